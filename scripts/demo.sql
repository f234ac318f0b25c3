\pset pager off
CREATE EXTENSION IF NOT EXISTS netflix_rec;
SELECT * FROM netflix_load(:'data');
SELECT * FROM train_als();
SELECT * FROM evaluate();
\set QUIET 1
\set ECHO none
SELECT customer_id AS customer FROM dim_customer WHERE rating_count > 0
ORDER BY abs(rating_count - 100) + 100 * abs(rating_mean - 3.5), customer_id LIMIT 1 \gset
\set ECHO queries
SELECT * FROM recommend(:customer, 10);

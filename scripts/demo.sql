\pset pager off
CREATE EXTENSION IF NOT EXISTS netflix_rec;
SELECT * FROM netflix_load(:'data');
SELECT * FROM train_als();
\set QUIET 1
\set ECHO none
SELECT EXISTS (SELECT FROM fact_ratings WHERE is_probe) AS has_probe \gset
\set ECHO queries
\if :has_probe
SELECT * FROM evaluate();
\else
\echo 'There is no probe.txt to judge by. train_als(hold_out => 0.1) holds ratings out instead, and shows the errors on them.'
\endif
\set ECHO none
SELECT customer_id AS customer FROM dim_customer WHERE rating_count > 0
ORDER BY abs(rating_count - 100) + 100 * abs(rating_mean - 3.5), customer_id LIMIT 1 \gset
\set ECHO queries
SELECT * FROM recommend(:customer, 10);

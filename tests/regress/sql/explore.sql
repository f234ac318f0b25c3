-- Statistics of the ratings are views. data_quality() checks the warehouse.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;

-- A warehouse without ratings: the views have no rows, or rows without statistics, and no check fails.
SELECT * FROM rating_distribution ORDER BY rating;
SELECT (SELECT count(*) FROM ratings_by_month) AS months, (SELECT count(*) FROM movie_statistics) AS movies,
       (SELECT count(*) FROM customer_statistics) AS customers, (SELECT count(*) FROM normalized_ratings) AS ratings,
       (SELECT count(*) FROM movie_bias) AS movie_biases, (SELECT count(*) FROM customer_bias) AS customer_biases;
SELECT * FROM data_quality() WHERE status <> 'ok';
BEGIN;
INSERT INTO dim_movie VALUES (1, 1, 'Rated by Nobody', 2000, 0, NULL, NULL, NULL);
INSERT INTO dim_customer VALUES (1, 1, 0, NULL, NULL, NULL);
SELECT movie_id, rating_count, rating_mean, rating_stddev, stars_5, damped_mean, popularity_rank FROM movie_statistics;
SELECT customer_id, rating_count, rating_mean, rating_stddev, stars_5, active_days FROM customer_statistics;
SELECT * FROM movie_bias;
SELECT * FROM customer_bias;
ROLLBACK;

SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');

-- How often each rating was given.
SELECT rating, rating_count, round(share::numeric, 4) AS share FROM rating_distribution ORDER BY rating;
BEGIN;
DELETE FROM fact_ratings WHERE rating < 4;
SELECT * FROM rating_distribution ORDER BY rating;
ROLLBACK;

-- ratings_by_month has a row for each month from the first rating to the last, also for months without ratings.
SELECT count(*) AS months, min(first_day), max(first_day), sum(rating_count) AS ratings FROM ratings_by_month;
SELECT * FROM ratings_by_month WHERE rating_count > 0 OR month = 12 ORDER BY first_day;
BEGIN;
DELETE FROM fact_ratings WHERE rating_key NOT IN (2, 3, 5);
SELECT count(*) AS months, min(first_day), max(first_day) FROM ratings_by_month;
ROLLBACK;

-- Movies and customers.
SELECT movie_id, title, release_year, rating_count, rating_mean, round(rating_stddev::numeric, 4) AS stddev,
       first_rated_on, last_rated_on, round(damped_mean::numeric, 4) AS damped_mean, popularity_rank
FROM movie_statistics ORDER BY popularity_rank, movie_id;
SELECT movie_id, stars_1, stars_2, stars_3, stars_4, stars_5 FROM movie_statistics ORDER BY movie_id;
SELECT * FROM customer_statistics ORDER BY customer_id;
-- The damped mean of movie 1, by hand: its 3 ratings have 12 stars in all, and 25 ratings of the global mean are added.
SELECT round((12 + 25 * avg(rating)) / (3 + 25), 4) AS by_hand FROM fact_ratings;

-- Ratings with a mean subtracted. If a customer gave one rating only, or always the same one, the standard deviation is
-- 0, and so is the z-score.
SELECT customer_id, movie_id, rating, round(minus_global_mean::numeric, 4) AS minus_global, minus_customer_mean,
       minus_movie_mean, z_score, is_probe
FROM normalized_ratings ORDER BY customer_id, movie_id;

-- Damped biases of movies and customers, computed without the probe's ratings. Global mean plus both biases is a
-- prediction.
SELECT movie_id, train_count, round(global_mean::numeric, 4) AS global_mean, round(bias::numeric, 6) AS bias
FROM movie_bias ORDER BY movie_id;
SELECT customer_id, train_count, round(bias::numeric, 6) AS bias FROM customer_bias ORDER BY customer_id;
SELECT customer_id, movie_id, rating, round((global_mean + m.bias + c.bias)::numeric, 4) AS prediction
FROM normalized_ratings JOIN movie_bias m USING (movie_id) JOIN customer_bias c USING (customer_id)
WHERE is_probe ORDER BY 1;
-- The same by hand. Not counting the probe: movie 1 has 2 ratings with 9 stars in all, movie 2 has 2 with 5 stars,
-- customer 7 gave 5 and 1, and the global mean is 3.8.
WITH movie (id, bias) AS (VALUES (1, (9 - 2 * 3.8) / (2 + 25)), (2, (5 - 2 * 3.8) / (2 + 25)))
SELECT round(first.bias, 6) AS movie_1, round(second.bias, 6) AS movie_2,
       round(((5 - 3.8 - first.bias) + (1 - 3.8 - second.bias)) / (2 + 10), 6) AS customer_7
FROM movie first, movie second WHERE first.id = 1 AND second.id = 2;

-- A query that needs columns of the dimension alone does not read fact_ratings. The statistics of one customer use the
-- index on fact_ratings.
EXPLAIN (costs off) SELECT customer_id, rating_count FROM customer_statistics;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (costs off) SELECT customer_id, rating_stddev FROM customer_statistics WHERE customer_id = 42;
RESET enable_seqscan;
RESET enable_bitmapscan;

-- Every check, with the number of rows that it counts.
SELECT * FROM data_quality();

-- Each kind of damage makes its own checks fail, and no others.
CREATE VIEW trouble AS
SELECT * FROM data_quality() WHERE status <> 'ok' AND check_name <> 'movies_without_ratings';
SELECT * FROM trouble;

BEGIN;
ALTER TABLE fact_ratings ALTER is_probe DROP NOT NULL;
UPDATE fact_ratings SET is_probe = NULL WHERE rating_key = 1;
SELECT * FROM trouble;
ROLLBACK;
-- Without the unique index, the check counts duplicate pairs.
BEGIN;
ALTER TABLE fact_ratings DROP CONSTRAINT fact_ratings_customer_key_movie_key_key;
SELECT * FROM data_quality() WHERE check_name = 'duplicates';
INSERT INTO fact_ratings VALUES (8, 1, 1, 20040229, 5, false);
UPDATE dim_customer SET rating_count = 3, rating_mean = 11 / 3.0 WHERE customer_key = 1;
UPDATE dim_movie SET rating_count = 4, rating_mean = 17 / 4.0 WHERE movie_key = 1;
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
ALTER TABLE fact_ratings DROP CONSTRAINT fact_ratings_rating_check;
UPDATE fact_ratings SET rating = 0 WHERE rating_key = 4;
UPDATE dim_customer SET rating_mean = 2.5 WHERE customer_key = 1;
UPDATE dim_movie SET rating_mean = 2 WHERE movie_key = 2;
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
UPDATE fact_ratings SET date_key = 19991110 WHERE rating_key = 7;
UPDATE dim_customer SET first_rated_on = '1999-11-10', last_rated_on = '1999-11-10' WHERE customer_key = 5;
UPDATE dim_movie SET first_rated_on = '1999-11-10' WHERE movie_key = 3;
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
UPDATE dim_movie SET release_year = 2004 WHERE movie_key = 1;
SELECT * FROM trouble;
ROLLBACK;
-- Keys that are missing in their dimension. (session_replication_role = replica disables the foreign keys.)
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM dim_customer WHERE customer_key = 5;
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM dim_movie WHERE movie_key = 3;
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM dim_date WHERE date_key = 20051231;
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM dim_customer WHERE customer_key = 2;
SELECT * FROM trouble;
ROLLBACK;
-- Wrong counts, means, and first and last days in the dimensions.
BEGIN;
UPDATE dim_customer SET rating_mean = 3.01 WHERE customer_key = 1;
UPDATE dim_customer SET last_rated_on = '2005-12-31' WHERE customer_key = 3;
UPDATE dim_movie SET rating_count = 2 WHERE movie_key = 1;
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
DELETE FROM fact_ratings WHERE rating_key = 7;
SELECT * FROM trouble;
ROLLBACK;
-- A movie without a title, and a customer without ratings and qualifying pairs.
BEGIN;
UPDATE dim_movie SET title = NULL WHERE movie_key = 3;
INSERT INTO dim_customer VALUES (6, 77, 0, NULL, NULL, NULL);
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
DELETE FROM dim_date WHERE date_key IN (20010101, 20020228);
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
UPDATE fact_ratings SET rating_key = 10 WHERE rating_key = 7;
SELECT * FROM trouble;
ROLLBACK;
-- An invalid index is reported, and is no proof that keys are unique.
BEGIN;
UPDATE pg_index SET indisvalid = false
WHERE indexrelid IN ('fact_ratings_customer_key_movie_key_key'::regclass, 'dim_movie_movie_id_key'::regclass);
SELECT * FROM trouble;
SELECT * FROM data_quality() WHERE check_name = 'duplicates';
ROLLBACK;
BEGIN;
ALTER TABLE fact_ratings DROP CONSTRAINT fact_ratings_movie_key_fkey;
ALTER TABLE qualifying DROP CONSTRAINT qualifying_date_key_fkey;
SELECT * FROM trouble;
ALTER TABLE fact_ratings ADD FOREIGN KEY (movie_key) REFERENCES dim_movie NOT VALID;
ALTER TABLE qualifying ADD FOREIGN KEY (date_key) REFERENCES dim_date;
SELECT * FROM trouble;
ROLLBACK;
BEGIN;
UPDATE load_run SET status = 'loading', finished_at = NULL, rejected = 3;
SELECT * FROM trouble;
ROLLBACK;

-- If the warehouse has as many customers and movies as the Prize's data set, its other counts are compared with the
-- official ones.
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO dim_movie SELECT n, n, 'Movie ' || n, NULL, 0, NULL, NULL, NULL FROM generate_series(5, 17770) AS n;
INSERT INTO dim_customer SELECT n, n + 3000000, 1, 3, '2005-06-01', '2005-06-01' FROM generate_series(6, 480190) AS n;
INSERT INTO fact_ratings SELECT n + 2, n, 4, 20050601, 3, false FROM generate_series(6, 480190) AS n;
UPDATE dim_movie SET rating_count = 480185, rating_mean = 3, first_rated_on = '2005-06-01', last_rated_on = '2005-06-01'
WHERE movie_key = 4;
SELECT * FROM data_quality() WHERE check_name LIKE 'official%';
ROLLBACK;
DROP VIEW trouble;

-- Objects of the same names in other schemas do not mislead the views and functions.
CREATE SCHEMA planted;
CREATE TABLE planted.fact_ratings (LIKE fact_ratings);
CREATE TABLE planted.dim_customer (LIKE dim_customer);
CREATE TEMP TABLE dim_movie (LIKE public.dim_movie);
CREATE FUNCTION planted.count("any") RETURNS bigint LANGUAGE internal AS 'int8abs';
CREATE FUNCTION planted.equal(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE OPERATOR planted.= (LEFTARG = int, RIGHTARG = int, FUNCTION = planted.equal);
SET search_path = planted, pg_temp, public, pg_catalog;
SELECT value FROM public.data_quality() WHERE check_name IN ('ratings', 'movies_without_ratings');
SELECT sum(rating_count) FROM public.rating_distribution;
SELECT sum(train_count) FROM public.customer_bias;
RESET search_path;
DROP TABLE pg_temp.dim_movie;
DROP SCHEMA planted CASCADE;

-- A role with SELECT on the tables can use all views and checks. A role without it can use none.
CREATE ROLE regress_analyst;
SET ROLE regress_analyst;
SELECT * FROM rating_distribution;
\set VERBOSITY sqlstate
SELECT * FROM data_quality();
\set VERBOSITY default
RESET ROLE;
-- SELECT on the view alone is not enough.
GRANT SELECT ON rating_distribution TO regress_analyst;
SET ROLE regress_analyst;
SELECT * FROM rating_distribution;
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO regress_analyst;
SET ROLE regress_analyst;
SELECT sum(rating_count) FROM rating_distribution;
SELECT sum(train_count) FROM customer_bias;
SELECT check_name, status, value FROM data_quality() WHERE status <> 'ok';
RESET ROLE;
-- Rows that a row-level security policy hides are hidden in the views, too. data_quality reports that it did not see
-- all rows.
ALTER TABLE fact_ratings ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON fact_ratings USING (customer_key = 1);
SET ROLE regress_analyst;
SELECT sum(rating_count) FROM rating_distribution;
SELECT * FROM data_quality() WHERE check_name IN ('row_security', 'ratings');
RESET ROLE;
DROP OWNED BY regress_analyst;
DROP ROLE regress_analyst;
DROP EXTENSION netflix_rec;

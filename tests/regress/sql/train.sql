-- train_als trains a model on the ratings that are not in the probe.
CREATE EXTENSION netflix_rec;
SELECT * FROM train_als();
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
SELECT model, version, algorithm, params, ratings, iterations, round(train_rmse::numeric, 2) AS train_rmse,
       round(probe_rmse::numeric, 2) AS probe_rmse, elapsed > '0' AS took_time
FROM train_als();

-- Its RMSE on the probe closes at least 60 % of the gap between damped biases (computed here by hand) and the truth
-- from which the sample's ratings were generated.
CREATE TEMP VIEW bias_error AS
WITH train AS (SELECT * FROM fact_ratings WHERE NOT is_probe),
mean AS (SELECT avg(rating)::float8 AS mean FROM train),
movie AS (SELECT movie_key, sum(rating - mean) / (count(*) + 25) AS bias FROM train, mean GROUP BY 1),
customer AS (SELECT customer_key, sum(rating - mean - movie.bias) / (count(*) + 10) AS bias
             FROM train JOIN movie USING (movie_key), mean GROUP BY 1)
SELECT sqrt(avg((least(5, greatest(1, mean + coalesce(movie.bias, 0) + coalesce(customer.bias, 0))) - rating) ^ 2)) AS rmse
FROM fact_ratings LEFT JOIN movie USING (movie_key) LEFT JOIN customer USING (customer_key), mean
WHERE is_probe;
SELECT (bias_error.rmse - model.probe_rmse) / (bias_error.rmse - truth.rmse) >= 0.6 AS closes_60_percent_of_the_gap
FROM bias_error, model, (SELECT pg_read_file('/tmp/netflix_rec_test/fixtures/million.rmse')::float8 AS rmse) AS truth;

-- The model's rows: one for each customer and each movie with at least one training rating.
SELECT name, version, algorithm, is_deployed, factors, ratings FROM model;
SELECT count(*), min(cardinality(factors)), max(cardinality(factors)) FROM customer_factors;
SELECT count(*), min(cardinality(factors)), max(cardinality(factors)) FROM movie_factors;
-- evaluate() loads all of these rows into memory, and needs room for them.
SET netflix_rec.max_memory = '1MB';
SELECT * FROM evaluate();
RESET netflix_rec.max_memory;

-- The same seed gives the same bits on any number of threads. Another seed gives other bits.
SET netflix_rec.threads = 1;
SELECT version FROM train_als(factors => 10, iterations => 3);
SET netflix_rec.threads = 3;
SELECT version FROM train_als(factors => 10, iterations => 3);
SELECT version FROM train_als(factors => 10, iterations => 3, seed => 7);
RESET netflix_rec.threads;
SELECT count(DISTINCT digest) AS different, array_agg(version ORDER BY version) AS versions
FROM (SELECT version, md5(string_agg(bias::text || f.factors::text, ',' ORDER BY customer_key)) AS digest
      FROM customer_factors f JOIN model USING (model_id) WHERE version > 1 GROUP BY 1) AS digests GROUP BY digest
ORDER BY 2;

-- The first version of a name is deployed. A later one is deployed if its RMSE on the probe is lower, or if the call
-- says deploy => true.
SELECT version, is_deployed FROM model ORDER BY version;
SELECT version FROM train_als(factors => 1, iterations => 1, deploy => true);
SELECT version FROM train_als(factors => 20, iterations => 4);
SELECT version FROM train_als(factors => 20, iterations => 5, deploy => false);
SELECT version, is_deployed FROM model WHERE version > 4 ORDER BY version;

-- A model trained on all ratings has no probe RMSE. So no later version is known to be better.
SELECT model, ratings, probe_rmse FROM train_als('everything', factors => 2, iterations => 1, train_on => 'all');
SELECT version, probe_rmse < 1 AS judged FROM train_als('everything', factors => 2, iterations => 1);
SELECT version, is_deployed FROM model WHERE name = 'everything' ORDER BY version;

-- Training stops early when an iteration lowers the RMSE by less than the tolerance. The RMSE is that on the probe, or
-- on a held-out set.
SELECT iterations BETWEEN 2 AND 14 AS ended_early, ratings FROM train_als('short', factors => 10, tolerance => 0.001);
SELECT iterations BETWEEN 2 AND 14 AS ended_early, ratings BETWEEN 970000 AND 980000 AS held_out, probe_rmse < 0.95 AS judged
FROM train_als('short', factors => 10, tolerance => 0.001, hold_out => 0.01);
SELECT iterations BETWEEN 2 AND 14 AS ended_early, probe_rmse
FROM train_als('short', factors => 10, tolerance => 0.001, hold_out => 0.01, train_on => 'all');

-- Parameters out of range.
SELECT * FROM train_als(factors => 0);
SELECT * FROM train_als(factors => 2000);
SELECT * FROM train_als(iterations => -1);
SELECT * FROM train_als(regularization => -0.1);
SELECT * FROM train_als(regularization => 'NaN');
SELECT * FROM train_als(bias_regularization => 'infinity');
SELECT * FROM train_als(tolerance => 2);
SELECT * FROM train_als(hold_out => 1);
SELECT * FROM train_als(hold_out => 'NaN');
SELECT * FROM train_als(train_on => 'probe');
SELECT * FROM train_als(model => '');
SELECT * FROM train_als(model => repeat('model', 100));
-- Without regularization, a customer with few ratings has no unique solution. (Only the SQLSTATE is shown, because the
-- message names the customer.)
\set VERBOSITY sqlstate
SELECT * FROM train_als(regularization => 0, bias_regularization => 0, factors => 200, iterations => 1);
\set VERBOSITY default
-- The training needs more memory than allowed. This is found before the ratings are read, from the counts in dim_movie,
-- or while they are read, if the counts are too low.
SET netflix_rec.max_memory = '10MB';
SET netflix_rec.threads = 2;
SELECT * FROM train_als();
\echo :SQLSTATE
UPDATE dim_movie SET rating_count = 0, rating_mean = NULL;
SELECT * FROM train_als(factors => 1);
\echo :SQLSTATE
UPDATE dim_movie SET rating_count = n, rating_mean = mean
FROM (SELECT movie_key, count(*) AS n, avg(rating) AS mean FROM fact_ratings GROUP BY movie_key) AS rated
WHERE rated.movie_key = dim_movie.movie_key;
RESET netflix_rec.max_memory;
RESET netflix_rec.threads;

-- A statement timeout stops a training at once. It leaves no model behind, and the session can go on.
SET statement_timeout = '1s';
SELECT * FROM train_als('slow', factors => 200, iterations => 1000);
RESET statement_timeout;
SELECT count(*) FROM model WHERE name = 'slow';
SELECT version FROM train_als('quick', factors => 2, iterations => 1);

-- A training writes to tables. In a read-only transaction it is refused at once.
BEGIN READ ONLY;
SELECT * FROM train_als('refused');
ROLLBACK;

-- Version numbers also count versions that other sessions have committed, even if a REPEATABLE READ transaction does
-- not see them.
CREATE EXTENSION dblink;
SELECT dblink_connect('other', format('host=%s port=%s user=postgres dbname=%I options=-cclient_min_messages=warning',
  current_setting('unix_socket_directories'), current_setting('port'), current_database()));
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM model WHERE name = 'both';
SELECT * FROM dblink('other', $$SELECT version FROM train_als('both', factors => 2, iterations => 1)$$) AS t (version int);
SELECT version FROM train_als('both', factors => 2, iterations => 1);
SELECT * FROM train_als('both', factors => 2, iterations => 1, deploy => true);
\echo :SQLSTATE
ROLLBACK;
SELECT dblink_disconnect('other');
DROP EXTENSION dblink;

-- A training that is rolled back leaves no model behind.
BEGIN;
SELECT version FROM train_als('undone', factors => 2, iterations => 1);
ROLLBACK;
SELECT count(*) FROM model WHERE name = 'undone';
DROP VIEW bias_error;
DROP EXTENSION netflix_rec;

-- The smallest data set: one movie, one customer and one rating.
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles');
SELECT ratings, round(train_rmse::numeric, 6) AS train_rmse, probe_rmse FROM train_als();
DROP EXTENSION netflix_rec;

-- Whether a rating is held out depends on its customer and movie id alone. So the held-out set is the same for every
-- order of loading and for every algorithm.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
CREATE TABLE votes AS SELECT 1 + g % 200 AS customer_id, 1 + g / 200 AS movie_id, 1 + g * 7 % 5 AS rating, date '2005-01-01' AS rated_on FROM generate_series(0, 3999) g;
SELECT ratings_loaded FROM ratings_load('SELECT * FROM votes');
SELECT ratings FROM train_als(factors => 2, iterations => 2, hold_out => 0.2);
SELECT ratings FROM train_baseline(hold_out => 0.2);
SELECT ratings FROM train_svd(factors => 2, iterations => 2, hold_out => 0.2, seed => 7);
SELECT count(*) AS trainings, count(DISTINCT judged_digest) AS sets_held_out, min(judged_digest) AS digest FROM model \gset
SELECT :trainings AS trainings, :sets_held_out AS sets_held_out;
SELECT name, held_out_rmse IS NOT NULL AS judged, judged_ratings FROM model ORDER BY name;
SELECT netflix_reset();
SELECT ratings_loaded FROM ratings_load('SELECT * FROM votes WHERE movie_id > 10 AND customer_id > 100');
SELECT ratings_loaded FROM ratings_load('SELECT * FROM votes ORDER BY customer_id DESC');
SELECT ratings FROM train_als(factors => 2, iterations => 2, hold_out => 0.2);
SELECT judged_digest = :digest AS same_ratings FROM model;
-- refresh_customer folds a customer in from the same ratings that the training used, without the held-out set. The
-- result is the same.
CREATE TEMP TABLE trained AS SELECT customer_key, bias, f.factors FROM customer_factors f;
SELECT count(ratings) FROM dim_customer, LATERAL refresh_customer(customer_id);
SELECT max(abs(c.bias - t.bias)) < 1e-4 AS as_trained FROM trained t JOIN customer_factors c USING (customer_key);
DROP TABLE votes;
DROP EXTENSION netflix_rec;

-- The cache: which parts of a model a session keeps between calls, and when it reads them again.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_loaded FROM ratings_load($$
    SELECT c AS customer_id, m AS movie_id, 1 + (c * 7 + m * 13 + c * m) % 5 AS rating, DATE '2005-01-01' + m AS rated_on
    FROM generate_series(1, 30) c, generate_series(1, 12) m WHERE (c + m) % 3 = 0
$$);
SELECT version FROM train_als(factors => 2, iterations => 5);
CREATE FUNCTION pg_temp.listed() RETURNS int[] LANGUAGE sql AS 'SELECT array_agg(movie_id ORDER BY movie_id) FROM recommend(1, 100, remove_seen => false)';
SELECT pg_temp.listed();

-- The session reads factors again after somebody deletes or changes them. First, a change in this session.
DELETE FROM movie_factors f USING dim_movie m WHERE m.movie_key = f.movie_key AND movie_id = 2;
SELECT pg_temp.listed();
-- The rollback of such a change.
BEGIN;
DELETE FROM movie_factors f USING dim_movie m WHERE m.movie_key = f.movie_key AND movie_id = 3;
SELECT pg_temp.listed();
ROLLBACK;
SELECT pg_temp.listed();
-- A change in another session.
\! psql -X -q -d regress -c "DELETE FROM movie_factors f USING dim_movie m WHERE m.movie_key = f.movie_key AND movie_id = 4"
SELECT pg_temp.listed();
UPDATE movie_factors f SET bias = 100 FROM dim_movie m WHERE m.movie_key = f.movie_key AND movie_id = 5;
SELECT movie_id, predicted_rating FROM recommend(1, 1, remove_seen => false);
-- A change with session_replication_role = replica, for which ordinary triggers do not fire.
SET session_replication_role = replica;
DELETE FROM movie_factors f USING dim_movie m WHERE m.movie_key = f.movie_key AND movie_id = 5;
RESET session_replication_role;
SELECT pg_temp.listed();

-- A REPEATABLE READ transaction lists what its snapshot sees. The session does not keep this in the cache afterwards.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM movie_factors;
\! psql -X -q -d regress -c "DELETE FROM movie_factors f USING dim_movie m WHERE m.movie_key = f.movie_key AND movie_id = 6"
SELECT pg_temp.listed();
SELECT pg_temp.listed();
COMMIT;
SELECT pg_temp.listed();

-- A new movie gets the key of a deleted one. It is not listed by the factors of the deleted one.
SELECT movie_key AS key FROM dim_movie WHERE movie_id = 7 \gset
DELETE FROM fact_ratings WHERE movie_key = :key;
DELETE FROM movie_factors WHERE movie_key = :key;
DELETE FROM dim_movie WHERE movie_key = :key;
INSERT INTO dim_movie (movie_key, movie_id, title, rating_count) VALUES (:key, 77, 'Another', 0);
SELECT pg_temp.listed();
-- A movie's id and title change.
UPDATE dim_movie SET movie_id = 88, title = 'Renamed' WHERE movie_id = 8;
SELECT movie_id, title FROM recommend(1, 100, remove_seen => false) WHERE movie_id > 12;

-- All movies are replaced by others. Then nothing is left of the model from which a customer could be folded in.
TRUNCATE dim_movie CASCADE;
SELECT ratings_loaded FROM ratings_load($$SELECT c AS customer_id, m AS movie_id, 5 AS rating, DATE '2006-01-01' AS rated_on
                                          FROM generate_series(1, 3) c, generate_series(100, 105) m$$);
SELECT * FROM refresh_customer(1);
SELECT count(*) FROM customer_factors JOIN dim_customer USING (customer_key) WHERE customer_id = 1;
SELECT count(*) FROM recommend(2, remove_seen => false);

-- The triggers that send invalidation messages fire for the columns that a cache holds. Updates of counts and means do
-- not fire them.
SELECT t.tgrelid::regclass AS table, t.tgenabled,
       array(SELECT attname FROM unnest(t.tgattr) WITH ORDINALITY c (number, place)
             JOIN pg_attribute a ON (a.attrelid, a.attnum) = (t.tgrelid, number) ORDER BY place) AS updates_of
FROM pg_trigger t WHERE tgname = 'tell_sessions' ORDER BY 1;

-- A model of 8 MB, and the session's memory while the model is cached. DISCARD ALL, which connection pools call, frees
-- the memory.
CREATE FUNCTION pg_temp.megabytes() RETURNS int LANGUAGE sql
AS $$SELECT substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s*(\d+)')::int / 1024$$;
INSERT INTO dim_movie (movie_key, movie_id, rating_count) SELECT 1000 + m, 1000 + m, 0 FROM generate_series(1, 2000) m;
INSERT INTO model (name, version, algorithm, params, is_deployed, factors, global_mean, ratings, iterations, train_rmse, elapsed, train_on, hold_out, samples)
VALUES ('large', 1, 'als', '{}', true, 1000, 3, 1, 1, 1, '1 s', 'train', 0, 1);
INSERT INTO movie_factors SELECT model_id('large'), 1000 + m, 0, array_fill(m::real, ARRAY[1000]) FROM generate_series(1, 2000) m;
SELECT count(*) FROM similar_movies(1001, 5, 'als');
SELECT pg_temp.megabytes() AS before \gset
SELECT count(*) FROM similar_movies(1001, 5, 'large');
SELECT pg_temp.megabytes() - :before >= 6 AS is_kept;
DISCARD PLANS;
SELECT pg_temp.megabytes() - :before >= 6 AS is_kept;
SELECT count(*) FROM similar_movies(1001, 5, 'large');
SET netflix_rec.cache_memory = '1MB';
SELECT pg_temp.megabytes() - :before >= 6 AS is_kept;
DISCARD ALL;
DROP EXTENSION netflix_rec;

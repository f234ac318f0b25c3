-- Interrupted loads: what others may do before such a load is finished, how to finish it, and how to give it up. To
-- interrupt a load at a chosen place, these tests use an index on an expression that fails for some rows.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
CREATE FUNCTION loaded() RETURNS TABLE (customer_id int, movie_id int, date_key int, rating smallint) LANGUAGE sql AS
    'SELECT customer_id, movie_id, date_key, rating FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
     ORDER BY 2, 1';

-- The first load fills an empty table, and builds the indexes when all ratings are in. If it is interrupted before
-- that, the ratings are there but their indexes are disabled. Nobody may write until the load is completed or
-- abandoned.
CREATE INDEX picky ON fact_ratings ((1 / (date_key - 20040301)));
-- A failed REINDEX CONCURRENTLY leaves an index like this one behind. The load must leave it alone.
CREATE INDEX fact_ratings_pkey_ccnew ON fact_ratings (rating_key);
SET allow_system_table_mods = on;
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'fact_ratings_pkey_ccnew'::regclass;
RESET allow_system_table_mods;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
SELECT status, ratings_loaded, is_first FROM load_run;
SELECT count(*) FROM fact_ratings;
\set VERBOSITY sqlstate
INSERT INTO fact_ratings SELECT rating_key, customer_key, movie_key, date_key, 1, false FROM fact_ratings WHERE rating_key = 1;
\set VERBOSITY default
UPDATE fact_ratings SET rating = 1;
DELETE FROM fact_ratings;
TRUNCATE fact_ratings;
DELETE FROM dim_date WHERE date_key = 20040229;
UPDATE dim_movie SET title = 'Mine';
INSERT INTO dim_customer VALUES (77, 77, 0);
DELETE FROM qualifying;
SET session_replication_role = replica;
DELETE FROM fact_ratings;
-- Logical replication may not write either. Its apply worker fires row triggers only.
BEGIN;
ALTER TABLE fact_ratings DISABLE TRIGGER refuse_while_indexes_are_disabled;
DELETE FROM fact_ratings;
ROLLBACK;
RESET session_replication_role;
SELECT * FROM ratings_load('SELECT 7 AS customer_id, 3 AS movie_id, 5 AS rating, date ''2005-01-01'' AS rated_on');
SELECT * FROM add_rating(7, 3, 5, '2005-01-01');
SELECT * FROM train_als(factors => 2);
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT check_name, status, value FROM data_quality() WHERE check_name IN ('unfinished_loads', 'invalid_indexes');

-- When the cause is gone, the same call finishes the load. The index of the failed REINDEX stays as it was.
DROP INDEX picky;
SELECT status, ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
SELECT indexrelid::regclass, indisvalid, indisready FROM pg_index WHERE indrelid = 'fact_ratings'::regclass ORDER BY 1;
DROP INDEX fact_ratings_pkey_ccnew;
INSERT INTO fact_ratings SELECT rating_key, customer_key, movie_key, date_key, 1, false FROM fact_ratings WHERE rating_key = 1;
SELECT version FROM train_als(factors => 2);

-- Giving up a first load leaves an empty warehouse.
SELECT netflix_reset();
CREATE INDEX picky ON fact_ratings ((1 / (date_key - 20040301)));
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
SELECT * FROM netflix_load_abandon();
SELECT status, ratings_loaded, finished_at > started_at AS has_ended FROM load_run;
SELECT (SELECT count(*) FROM fact_ratings), (SELECT count(*) FROM dim_customer), (SELECT count(*) FROM qualifying), (SELECT count(*) FROM load_unit);
SELECT indexrelid::regclass, indisvalid, indisready FROM pg_index WHERE indrelid = 'fact_ratings'::regclass ORDER BY 1;
SELECT * FROM netflix_load_abandon();
DROP INDEX picky;
SELECT run_id, status, ratings_loaded, customers, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
SELECT min(rating_key), max(rating_key) FROM fact_ratings;
SELECT model, version FROM train_als(factors => 2);

-- A later load keeps all indexes in use. So others may write while it is unfinished, and the load respects what they
-- write.
CREATE INDEX picky ON fact_ratings ((1 / (date_key - 20051010)));
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/more', 1);
SELECT status, first_rating_key, rating_keys, is_first FROM load_run JOIN load_inserted USING (run_id) WHERE status = 'loading';
-- Three rows of others: one with an explicit key, which the load had planned to use; one with the next key of the
-- sequence; and one for a customer and movie that are in the load's files, too.
INSERT INTO fact_ratings SELECT max(rating_key) + 1, 1, 3, 20051231, 1, false FROM fact_ratings RETURNING rating_key;
INSERT INTO fact_ratings (customer_key, movie_key, date_key, rating, is_probe) VALUES (2, 3, 20051231, 2, false) RETURNING rating_key;
INSERT INTO fact_ratings (customer_key, movie_key, date_key, rating, is_probe)
SELECT customer_key, movie_key, 20051231, 1, false FROM dim_customer, dim_movie WHERE customer_id = 9 AND movie_id = 5 RETURNING rating_key;
-- Somebody also deletes a day that the load needs.
DELETE FROM dim_date WHERE date_key = 20051010;
SELECT * FROM train_als(factors => 2);
SELECT n FROM evaluate();
SELECT count(*) FROM recommend(42);
DROP INDEX picky;
SELECT status, ratings_read, ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/more', 1);
-- The day is back. No transaction adds both days and ratings: two workers that do could wait for each other's days for ever.
SELECT (SELECT count(*) FROM dim_date WHERE date_key = 20051010) AS back,
       (SELECT count(*) FROM fact_ratings WHERE xmin::text IN (SELECT xmin::text FROM dim_date)) AS with_days;
SELECT * FROM loaded();
SELECT count(*), count(DISTINCT rating_key) FROM fact_ratings;
SELECT check_name, status, value FROM data_quality() WHERE status = 'failed';

-- Giving up a later load deletes the ratings that it inserted, and nothing else.
CREATE FUNCTION ratings() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM fact_ratings';
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined');
SELECT version FROM train_als(factors => 2);
CREATE TABLE before AS SELECT * FROM loaded();
-- This trigger stops the load when its ratings are in but its counts are not yet written.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE OF rating_count ON dim_movie FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
SELECT ratings() > (SELECT count(*) FROM before) AS has_more;
INSERT INTO fact_ratings (customer_key, movie_key, date_key, rating, is_probe)
SELECT customer_key, movie_key, 20051231, 1, false FROM dim_customer, dim_movie WHERE customer_id = 2649429 AND movie_id = 1;
-- A rating that this load inserted, and that its customer has changed since, no longer belongs to the load.
SELECT action FROM add_rating(7, 1, 1, '2006-06-06');
DROP TRIGGER refuse ON dim_movie;
SELECT ratings_removed FROM netflix_load_abandon();
SELECT check_name, status, value FROM data_quality() WHERE status = 'failed';
-- Ratings that others inserted stay.
SELECT * FROM loaded() EXCEPT SELECT * FROM before;
SELECT count(*) FROM (SELECT * FROM before EXCEPT SELECT * FROM loaded()) AS gone;
SELECT count(*) FROM recommend(42, 3);

-- A role that may load may also give up a load. This deletes only the ratings that the load inserted, although the
-- deletion runs with the owner's rights. If the role has added a trigger, giving up is refused, because the trigger
-- would run with these rights.
CREATE ROLE regress_loader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO regress_loader;
GRANT INSERT ON dim_date, dim_movie, dim_customer, fact_ratings, qualifying, load_run, load_file, load_unit, load_reject TO regress_loader;
GRANT UPDATE ON dim_movie, dim_customer, fact_ratings, qualifying, load_run, load_file TO regress_loader;
GRANT DELETE ON load_unit TO regress_loader;
GRANT TRIGGER ON fact_ratings TO regress_loader;
REVOKE SELECT ON load_inserted FROM regress_loader;
SET ROLE regress_loader;
INSERT INTO load_run (path, status, started_at, files, ratings_read, ratings_loaded, duplicates, rejected, first_rating_key, is_first)
VALUES ('/forged', 'loading', now(), 0, 0, 0, 0, 0, 1, true);
INSERT INTO load_inserted SELECT run_id, '{[1,1000000)}' FROM load_run WHERE path = '/forged';
SELECT path, ratings_removed FROM netflix_load_abandon();
SELECT ratings() = (SELECT count(*) + 2 FROM before) AS all_are_there;
INSERT INTO load_run (path, status, started_at, files, ratings_read, ratings_loaded, duplicates, rejected, first_rating_key, is_first)
VALUES ('/forged', 'loading', now(), 0, 0, 0, 0, 0, 1, true);
CREATE TRIGGER planted BEFORE DELETE ON fact_ratings FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT * FROM netflix_load_abandon();
RESET ROLE;
DROP TRIGGER planted ON fact_ratings;
SELECT ratings_removed FROM netflix_load_abandon();
DROP OWNED BY regress_loader;
DROP ROLE regress_loader;

-- All ratings were deleted, and a load fills the table again. Giving up this load leaves the movies and factors of
-- earlier loads in place.
DELETE FROM fact_ratings;
CREATE INDEX picky ON fact_ratings ((1 / (date_key - 20040301)));
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
SELECT ratings_removed FROM netflix_load_abandon();
SELECT (SELECT count(*) FROM dim_movie) > 0 AS movies, (SELECT count(*) FROM movie_factors) > 0 AS factors;
DROP INDEX picky;

-- Other things that get in the way of a load. If ANALYZE fails, the load is completed all the same.
SELECT netflix_reset();
CREATE FUNCTION once(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN IF current_setting('test.fails', true) = 'yes' THEN RAISE 'not analyzed'; END IF; RETURN $1; END $$;
CREATE INDEX picky ON fact_ratings (once(date_key));
SET test.fails = 'yes';
SELECT status FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
SELECT status FROM load_run;
RESET test.fails;
DROP INDEX picky;
-- A load commits as it goes. So it must be a statement of its own.
DO $$ BEGIN PERFORM netflix_load('/tmp/netflix_rec_test/fixtures/more'); END $$;
CREATE FUNCTION nightly() RETURNS text LANGUAGE plpgsql AS
    $$ DECLARE said record; BEGIN FOR said IN SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/more') LOOP RETURN said.status; END LOOP; END $$;
SELECT nightly();
CREATE TABLE kept AS SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
PREPARE load AS SELECT status FROM netflix_load('/tmp/netflix_rec_test/fixtures/more', 1);
EXECUTE load;
-- If somebody deletes ratings of an interrupted load, the load is completed with a warning.
CREATE TRIGGER refuse BEFORE UPDATE OF rating_count ON dim_movie FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined', 1);
DELETE FROM fact_ratings WHERE rating_key IN (SELECT max(rating_key) - n FROM fact_ratings, generate_series(0, 2) AS n GROUP BY n);
DROP TRIGGER refuse ON dim_movie;
SELECT status, ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined', 1);
-- If somebody deletes a customer that an interrupted load needs, the load cannot be completed.
SELECT netflix_reset();
SELECT status FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
CREATE INDEX picky ON fact_ratings ((1 / (date_key - 20051010)));
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/more', 1);
DROP INDEX picky;
DELETE FROM dim_customer WHERE customer_id = 9;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/more', 1);
SELECT ratings_removed FROM netflix_load_abandon();
-- The key of the deleted customer is not used again.
SELECT status, ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/more', 1);
SELECT customer_key, customer_id FROM dim_customer ORDER BY 1;

-- A sequence may be behind its table, for example after logical replication. Training and loading work all the same.
SELECT setval('load_run_run_id_seq', 1), setval('model_model_id_seq', 1, false), setval('fact_ratings_rating_key_seq', 1),
       setval('model_deployment_deployment_id_seq', 1, false);
SELECT version FROM train_als(factors => 2);
SELECT setval('model_model_id_seq', 1, false), setval('model_deployment_deployment_id_seq', 1, false);
SELECT version FROM train_als(factors => 2, deploy => true);
SELECT status, ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined', 1);
SELECT action FROM add_rating(9, 2, 4, '2005-12-31');
SELECT count(*), count(DISTINCT rating_key) FROM fact_ratings;
DEALLOCATE load;
DROP FUNCTION loaded(), ratings(), nightly();
DROP TABLE before;
DROP EXTENSION netflix_rec;
DROP FUNCTION refuse(), once(int);

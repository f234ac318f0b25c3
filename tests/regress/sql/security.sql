-- Names planted in the search_path, or in the extension's own schema, mislead no function.
CREATE SCHEMA warehouse;
CREATE FUNCTION warehouse.unnest(int[]) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE FUNCTION warehouse.times(bigint, float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE OPERATOR warehouse.* (LEFTARG = bigint, RIGHTARG = float8, FUNCTION = warehouse.times);
CREATE FUNCTION warehouse.least(numeric, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE OPERATOR warehouse.>= (LEFTARG = numeric, RIGHTARG = int, FUNCTION = warehouse.least);
CREATE FUNCTION warehouse.least(float8, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE OPERATOR warehouse.>= (LEFTARG = float8, RIGHTARG = int, FUNCTION = warehouse.least);
CREATE FUNCTION warehouse.same(oid, regclass) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE OPERATOR warehouse.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = warehouse.same);
CREATE EXTENSION netflix_rec SCHEMA warehouse;
CREATE SCHEMA planted;
CREATE TABLE planted.fact_ratings (rating_key bigint, customer_key int, movie_key int, date_key int, rating smallint, is_probe bool);
CREATE TABLE planted.model AS SELECT 1 AS model_id, 'als' AS name;
CREATE TEMP TABLE dim_movie (movie_key int, movie_id int, rating_count bigint);
CREATE TEMP TABLE model (model_id int);
CREATE FUNCTION planted.count("any") RETURNS bigint LANGUAGE internal AS 'int8abs';
CREATE FUNCTION planted.equal(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE OPERATOR planted.= (LEFTARG = int, RIGHTARG = int, FUNCTION = planted.equal);
CREATE FUNCTION planted.unnest(int[]) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
SET search_path = planted, pg_temp, warehouse, pg_catalog;
SET client_min_messages = warning;
SELECT warehouse.netflix_load('/tmp/netflix_rec_test/fixtures/tiny') IS NOT NULL AS loaded;
UPDATE warehouse.dim_customer SET rating_mean = rating_mean;
SELECT ratings, version FROM warehouse.train_als(factors => 2);
SELECT n FROM warehouse.evaluate();
SELECT rank, movie_id FROM warehouse.recommend(42);
SELECT rank, movie_id, title FROM warehouse.recommend(0);
RESET search_path;
SELECT count(*) FROM planted.fact_ratings;
DROP TABLE pg_temp.model, pg_temp.dim_movie;

-- A role with SELECT may ask, and one with INSERT and UPDATE on the models' tables may train.
CREATE ROLE regress_analyst;
SET ROLE regress_analyst;
SELECT * FROM warehouse.recommend(42);
RESET ROLE;
GRANT USAGE ON SCHEMA warehouse TO regress_analyst;
SET ROLE regress_analyst;
SELECT * FROM warehouse.recommend(42);
SELECT * FROM warehouse.evaluate();
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO regress_analyst;
SET ROLE regress_analyst;
SELECT rank, movie_id FROM warehouse.recommend(42);
SELECT n FROM warehouse.evaluate();
SELECT * FROM warehouse.train_als(factors => 2);
RESET ROLE;
GRANT INSERT, UPDATE ON warehouse.model, warehouse.customer_factors, warehouse.movie_factors TO regress_analyst;
SET ROLE regress_analyst;
SELECT version FROM warehouse.train_als(factors => 2);
RESET ROLE;
SELECT version, trained_by FROM warehouse.model ORDER BY version;

-- Rows that a policy hides are not read past it.
ALTER TABLE warehouse.fact_ratings ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON warehouse.fact_ratings USING (customer_key = 1);
SET ROLE regress_analyst;
SELECT * FROM warehouse.train_als(factors => 2);
SELECT * FROM warehouse.evaluate();
RESET ROLE;

DROP OWNED BY regress_analyst;
DROP ROLE regress_analyst;
DROP SCHEMA planted CASCADE;
DROP EXTENSION netflix_rec;
SET client_min_messages = warning;
DROP SCHEMA warehouse CASCADE;

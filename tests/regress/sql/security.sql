-- Privileges, row-level security, and objects of the same names in other schemas. First: such objects, also in the
-- extension's own schema, mislead no function.
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
CREATE FUNCTION warehouse.more(numeric, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE OPERATOR warehouse.> (LEFTARG = numeric, RIGHTARG = int, FUNCTION = warehouse.more);
CREATE FUNCTION warehouse.over(float8, bigint) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE OPERATOR warehouse./ (LEFTARG = float8, RIGHTARG = bigint, FUNCTION = warehouse.over);
CREATE EXTENSION netflix_rec SCHEMA warehouse;
-- No view uses an operator that is not PostgreSQL's own.
SELECT viewname FROM pg_views WHERE schemaname = 'warehouse' AND definition LIKE '%OPERATOR(%' ORDER BY 1;
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
SELECT customer_id, movie_id FROM warehouse.recommend_all(1, min_ratings => 1) ORDER BY 1;
SELECT count(*) FROM warehouse.recommend_for(ARRAY[1, 2], ARRAY[5, 1], 1);
SELECT count(*) FROM warehouse.recommend_users(2, 3);
SELECT (SELECT count(*) FROM warehouse.similar_movies(1)), (SELECT count(*) FROM warehouse.similar_customers(42));
SELECT count(*) FROM warehouse.explain(42, 2);
SELECT * FROM warehouse.refresh_customer(42);
SELECT version, replaced FROM warehouse.deploy_model('als');
SELECT i.version FROM warehouse.import_model(warehouse.export_model('als'), 'als') i;
SELECT * FROM warehouse.drop_model('als', 2);
SELECT check_name, value FROM warehouse.data_quality() WHERE status <> 'ok';
SELECT sum(damped_mean) IS NOT NULL AS damped FROM warehouse.movie_statistics;
SELECT sum(train_count) FROM warehouse.customer_bias;
SELECT sum(z_score) IS NOT NULL AS normalized FROM warehouse.normalized_ratings;
RESET search_path;
SELECT count(*) FROM planted.fact_ratings;
DROP TABLE pg_temp.model, pg_temp.dim_movie;

-- A role with SELECT may get recommendations. A role that also has INSERT and UPDATE on the tables of models may train.
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
GRANT INSERT, UPDATE ON warehouse.model, warehouse.model_version, warehouse.model_iteration, warehouse.model_deployment, warehouse.customer_factors, warehouse.movie_factors
TO regress_analyst;
SET ROLE regress_analyst;
SELECT version FROM warehouse.train_als(factors => 2);
RESET ROLE;
SELECT version, trained_by FROM warehouse.model ORDER BY version;

-- Training and evaluation are refused if a policy hides rows from the role.
ALTER TABLE warehouse.fact_ratings ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON warehouse.fact_ratings USING (customer_key = 1);
SET ROLE regress_analyst;
SELECT * FROM warehouse.train_als(factors => 2);
SELECT * FROM warehouse.evaluate();
RESET ROLE;
ALTER TABLE warehouse.fact_ratings DISABLE ROW LEVEL SECURITY;
ALTER TABLE warehouse.dim_customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON warehouse.dim_customer USING (customer_key < 2);
SET ROLE regress_analyst;
SELECT * FROM warehouse.train_als(factors => 2);
SELECT * FROM warehouse.evaluate();
RESET ROLE;

-- For this role, a customer that a policy hides is not in the data. Lists for all customers are refused, because they
-- would be incomplete.
SELECT warehouse.deploy_model('als', 1) IS NOT NULL AS deployed;
SET ROLE regress_analyst;
SELECT count(*) FROM warehouse.recommend(42, 1);
SELECT * FROM warehouse.recommend_all(1);
SELECT * FROM warehouse.recommend_users(1);
RESET ROLE;
ALTER TABLE warehouse.dim_customer DISABLE ROW LEVEL SECURITY;
-- Ratings that a policy hides do not count as seen, and do not explain a prediction.
SELECT count(*) AS unseen FROM warehouse.recommend(1000, 10);
SELECT count(*) FILTER (WHERE rating IS NOT NULL) AS ratings FROM warehouse.explain(1000, 2);
ALTER TABLE warehouse.fact_ratings ENABLE ROW LEVEL SECURITY;
SET ROLE regress_analyst;
SELECT count(*) AS unseen FROM warehouse.recommend(1000, 10);
SELECT customer_id, count(*) AS unseen FROM warehouse.recommend_all(10) GROUP BY 1 ORDER BY 1;
SELECT count(*) FILTER (WHERE rating IS NOT NULL) AS ratings FROM warehouse.explain(1000, 2);
RESET ROLE;
ALTER TABLE warehouse.fact_ratings DISABLE ROW LEVEL SECURITY;
-- The session caches the model's factors. A role without SELECT on them gets no answer from the cache.
SET ROLE regress_analyst;
SELECT count(*) FROM warehouse.recommend(42, 1);
RESET ROLE;
REVOKE SELECT ON warehouse.movie_factors FROM regress_analyst;
SET ROLE regress_analyst;
SELECT count(*) FROM warehouse.recommend(42, 1);
RESET ROLE;
DROP OWNED BY regress_analyst;
DROP ROLE regress_analyst;

-- The roles that grants.sql creates: netflix_reader gets recommendations, netflix_trainer also trains and manages
-- models, netflix_loader also loads.
\getenv folder PG_ABS_SRCDIR
\set grants :folder '/../../sql/grants.sql'
\set schema warehouse
\i :grants
CREATE ROLE regress_reader IN ROLE netflix_reader;
CREATE ROLE regress_trainer IN ROLE netflix_trainer;
SET search_path = warehouse;
SET ROLE regress_reader;
SELECT (SELECT count(*) FROM recommend(42, 1)), (SELECT count(*) FROM recommend_all(1)), (SELECT count(*) FROM recommend_for('{1}', '{5}', 1)),
       (SELECT count(*) FROM recommend_users(1, 1)), (SELECT count(*) FROM similar_movies(1, 1)), (SELECT count(*) FROM similar_customers(42, 1)),
       (SELECT count(*) > 0 FROM explain(42, 1)) AS explained, (SELECT count(*) FROM predict_rating(42, 1)), export_model() IS NOT NULL AS exported,
       (SELECT count(*) > 0 FROM models) AS listed;
SELECT * FROM deploy_model('als', 2);
SELECT * FROM drop_model('als', 2);
SELECT * FROM refresh_customer(42);
SELECT * FROM import_model('');
SELECT * FROM grid_search('baseline');
SELECT * FROM graph_project_movies('movies');
SELECT * FROM graph_project_sql('edges', 'SELECT 1 AS from_id, 2 AS to_id');
SET ROLE regress_trainer;
SELECT graph, nodes, edges FROM graph_project_sql('edges', 'SELECT movie_id - 1 AS from_id, movie_id AS to_id FROM dim_movie', 'movies');
SELECT communities FROM graph_store_communities('edges');
SELECT graph, nodes, edges FROM graph_backbone('edges', 'backbone', alpha => 1);
SELECT graph_drop('backbone');
SELECT graph, created_by FROM graphs;
SET ROLE regress_reader;
SELECT (SELECT count(*) > 0 FROM graph_pagerank('edges')) AS ranked, (SELECT count(*) > 0 FROM graph_communities('edges', 'stored')) AS described,
       (SELECT count(*) > 0 FROM graph_edges) AS listed, (SELECT pairs > 0 FROM graph_estimate()) AS estimated;
SELECT * FROM graph_store_communities('edges');
SELECT graph_drop('edges');
-- A graph that a policy hides is refused, because a part of it would be another graph.
RESET ROLE;
ALTER TABLE graph_edge ENABLE ROW LEVEL SECURITY;
SET ROLE regress_reader;
SELECT * FROM graph_pagerank('edges');
SELECT count(*) AS visible FROM graph_edges;
RESET ROLE;
ALTER TABLE graph_edge DISABLE ROW LEVEL SECURITY;
SET ROLE regress_trainer;
SELECT graph_drop('edges');
SELECT rank, state FROM grid_search('baseline', folds => 2);
SELECT state, judged, started_by FROM searches;
DELETE FROM search;
SELECT version FROM train_als(factors => 2, deploy => true);
SELECT * FROM rollback_model('als');
SELECT * FROM deploy_model('als', 3);
SELECT * FROM drop_model('als', 4);
SELECT * FROM refresh_customer(42);
SELECT model, version FROM import_model(export_model(), 'copy');
SELECT * FROM netflix_reset();
RESET ROLE;
CREATE ROLE regress_loader LOGIN IN ROLE netflix_loader;
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/fixtures';
SET ROLE regress_loader;
SET client_min_messages = error;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT * FROM deploy_model('als');
RESET ROLE;
RESET search_path;
DROP OWNED BY regress_reader, regress_trainer, regress_loader, netflix_reader, netflix_trainer, netflix_loader;
RESET netflix_rec.data_directory;
DROP ROLE regress_reader, regress_trainer, regress_loader, netflix_reader, netflix_trainer, netflix_loader;
DROP SCHEMA planted CASCADE;
DROP EXTENSION netflix_rec;
SET client_min_messages = warning;
DROP SCHEMA warehouse CASCADE;

-- Models: each name has versions, and one version of it is deployed.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT * FROM models;
SELECT * FROM deploy_model('als');
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
-- The first version is deployed. A later one is deployed if it is better, or if deploy => true says so.
SELECT version, deployed, reason FROM train_als(factors => 8, iterations => 3);
SELECT version, deployed, regexp_replace(reason, '(\.\d\d)\d+', '\1..', 'g') AS reason FROM train_baseline('als', kind => 'mean');
SELECT version, deployed, reason FROM train_als(factors => 4, iterations => 2, deploy => true);
SELECT version, deployed, reason FROM train_als(factors => 5, iterations => 2, deploy => false);
SELECT model, version, state, algorithm, factors, iterations, train_rmse IS NOT NULL AS judged, trained_by, deployed_at IS NOT NULL AS deployed FROM models ORDER BY version;
-- deploy_model deploys the version with this number, or the newest one.
SELECT * FROM deploy_model('als', 2);
SELECT * FROM deploy_model('als');
SELECT model, version, state FROM models ORDER BY version;
-- rollback_model goes back one deployment at a time, as far as there are any.
SELECT * FROM rollback_model('als');
SELECT * FROM rollback_model('als');
SELECT * FROM rollback_model('als');
SELECT * FROM rollback_model('als');
SELECT version, state FROM models ORDER BY version;
-- A new deployment after a rollback can be rolled back again.
SELECT * FROM deploy_model('als', 4);
SELECT * FROM rollback_model('als');
-- recommend answers from the deployed version.
SELECT version, (SELECT count(*) FROM recommend(1, 3, 'als')) FROM models WHERE state = 'deployed';
-- A deployed version is dropped only with force => true.
SELECT * FROM drop_model('als', 1);
SELECT * FROM drop_model('als');
SELECT * FROM drop_model('als', 2);
SELECT * FROM drop_model('als', 1, force => true);
-- The number of a dropped version is not used again, not even if it was the last one.
BEGIN;
SELECT * FROM drop_model('als', 4);
SELECT version FROM train_als(factors => 1, iterations => 1);
SELECT count(*) FROM drop_model('als', force => true);
SELECT version, reason FROM train_als(factors => 1, iterations => 1);
ROLLBACK;
SELECT * FROM recommend(1, 3, 'als');
SELECT * FROM rollback_model('als');
SELECT * FROM deploy_model('als', 3);
-- Models and versions that do not exist.
SELECT * FROM deploy_model('als', 1);
SELECT * FROM deploy_model('asl');
SELECT * FROM deploy_model(NULL);
SELECT * FROM rollback_model('asl');
SELECT * FROM drop_model('als', 99);
BEGIN READ ONLY;
SELECT * FROM deploy_model('als', 4);
ROLLBACK;
-- A rollback of the transaction undoes deployments and drops.
BEGIN;
SELECT * FROM deploy_model('als', 4);
SELECT count(*) FROM drop_model('als', 3);
ROLLBACK;
SELECT version, state FROM models ORDER BY version;

-- export_model and import_model take a model from one database to another, as one value of type bytea.
SELECT version FROM train_svdpp(factors => 3, iterations => 2);
SELECT version FROM train_bpmf(factors => 2, burn_in => 1, samples => 3, hold_out => 0.1);
CREATE TABLE exported AS SELECT name, export_model(name) AS archive FROM unnest(ARRAY['als', 'svdpp', 'bpmf']) AS name;
SELECT name, length(archive) > 100000 AS is_large FROM exported ORDER BY name;
SELECT i.model, version, deployed, reason, customers = (SELECT count(*) FROM customer_factors WHERE model_id = model_id(name)) AS all_customers,
       movies = (SELECT count(*) FROM movie_factors WHERE model_id = model_id(name)) AS all_movies
FROM exported, LATERAL import_model(archive, name || ' again') i ORDER BY name;
-- The imported model is the same, but for its name and the time of import.
SELECT count(*), bool_and(a.algorithm = b.algorithm AND a.params = b.params AND a.factors = b.factors AND a.samples = b.samples AND a.global_mean = b.global_mean
       AND a.train_on = b.train_on AND a.hold_out = b.hold_out AND a.ratings = b.ratings AND a.train_rmse = b.train_rmse
       AND a.probe_rmse IS NOT DISTINCT FROM b.probe_rmse AND a.elapsed = b.elapsed
       AND a.prior IS NOT DISTINCT FROM b.prior) AS same
FROM model a JOIN model b ON b.name = a.name || ' again' AND a.is_deployed;
SELECT count(*) AS different FROM (
    (SELECT name, movie_key, bias, f.factors, links FROM movie_factors f JOIN model USING (model_id) WHERE is_deployed AND name NOT LIKE '% again'
     EXCEPT SELECT replace(name, ' again', ''), movie_key, bias, f.factors, links FROM movie_factors f JOIN model USING (model_id) WHERE name LIKE '% again')
    UNION ALL
    (SELECT name, customer_key, bias, f.factors, NULL::real[] FROM customer_factors f JOIN model USING (model_id) WHERE is_deployed AND name NOT LIKE '% again'
     EXCEPT SELECT replace(name, ' again', ''), customer_key, bias, f.factors, NULL::real[] FROM customer_factors f JOIN model USING (model_id) WHERE name LIKE '% again')
) d;
SELECT count(*) AS different FROM (SELECT iteration, train_rmse, held_out_rmse, round(seconds::numeric, 6) FROM training_curve('svdpp') EXCEPT SELECT iteration, train_rmse, held_out_rmse, round(seconds::numeric, 6) FROM training_curve('svdpp again')) d;
-- Imported under its own name, it becomes a new version.
SELECT i.model, version, deployed, reason FROM exported, LATERAL import_model(archive) i WHERE name = 'als';
-- Its RMSE is computed on the probe of this database, whatever the archive says. It is not compared with other
-- versions, because nobody knows on which ratings it was trained.
SELECT abs(probe_rmse - rmse) < 1e-5 AS judged_here, judged_digest FROM model, evaluate('als again') WHERE name = 'als again';
SELECT version, deployed, reason FROM train_als('als again', factors => 9, iterations => 6);
SELECT version, state FROM models WHERE model = 'als' ORDER BY version;
-- Factors of customers and movies that are not in this database are left out.
BEGIN;
DELETE FROM fact_ratings WHERE customer_key <= 10;
DELETE FROM qualifying WHERE customer_key <= 10;
DELETE FROM customer_factors WHERE customer_key <= 10;
DELETE FROM dim_customer WHERE customer_key <= 10;
SELECT customers = (SELECT count(*) FROM customer_factors WHERE model_id = model_id('als')) AS fewer FROM exported, LATERAL import_model(archive, 'elsewhere') WHERE name = 'als';
ROLLBACK;
-- A value that is not an exported model, or only a part of one, is refused.
SELECT import_model(NULL);
SELECT import_model('');
SELECT import_model('\x504b0304');
SELECT import_model(substring(archive FOR 1000)) FROM exported WHERE name = 'als';
SELECT import_model(set_byte(archive, 5000, 255 - get_byte(archive, 5000))) FROM exported WHERE name = 'als';
\echo :SQLSTATE
SELECT import_model(archive, repeat('x', 256)) FROM exported WHERE name = 'als';
SELECT import_model(archive, '') FROM exported WHERE name = 'als';
SELECT export_model('asl');
-- A model is refused if its archive would be larger than a value that PostgreSQL can print, because pg_dump could not
-- dump it. This is checked before its rows are read.
BEGIN;
UPDATE model SET factors = 1000000 WHERE name = 'als';
\set VERBOSITY sqlstate
SELECT export_model('als');
\set VERBOSITY default
ROLLBACK;
-- If the model's name is left out, the version is one of the default model.
SELECT export_model(version => 99);
SET netflix_rec.default_model = 'als';
SELECT export_model(version => 99);
RESET netflix_rec.default_model;
-- An imported model never replaces the deployed version by its RMSE, but only with deploy => true.
SELECT i.version FROM exported, LATERAL import_model(archive, 'svdpp') i WHERE name = 'als';
SELECT i.version FROM exported, LATERAL import_model(archive, 'svdpp', deploy => true) i WHERE name = 'svdpp';
SELECT version, state FROM models WHERE model = 'svdpp' ORDER BY version;
DROP TABLE exported;

-- Two versions are compared only if they were judged by the same ratings. A probe that has changed since is another set
-- of ratings. If there is no probe, the held-out set is used.
BEGIN;
SELECT version, deployed, reason FROM train_als('probed', factors => 2, iterations => 1);
UPDATE fact_ratings SET is_probe = false WHERE rating_key = (SELECT min(rating_key) FROM fact_ratings WHERE is_probe);
SELECT version, deployed, reason FROM train_als('probed', factors => 8, iterations => 5);
UPDATE fact_ratings SET is_probe = false WHERE is_probe;
SELECT version, deployed, reason FROM train_als('probed', factors => 8, iterations => 5);
SELECT version, deployed, reason FROM train_baseline('held', kind => 'mean', hold_out => 0.1);
SELECT version, deployed, regexp_replace(reason, '(\.\d\d)\d+', '\1..', 'g') AS reason FROM train_als('held', factors => 8, iterations => 5, hold_out => 0.1);
SELECT version, deployed, reason FROM train_als('held', factors => 8, iterations => 6, hold_out => 0.2, seed => 7);
SELECT count(DISTINCT judged_digest) AS same_pairs, bool_and(held_out_rmse IS NOT NULL AND probe_rmse IS NULL) AS judged FROM model WHERE name = 'held' AND hold_out < 0.15;
ROLLBACK;
-- The default model is the one whose name was trained first. It stays the default until it is dropped.
SET client_min_messages = notice;
SELECT name AS default_model FROM model WHERE model_id = model_id();
SELECT count(*) FROM drop_model('als', force => true);
SET client_min_messages = warning;
SELECT name AS default_model FROM model WHERE model_id = model_id();

-- When a model is dropped, sessions that have it cached forget it.
SELECT count(*) FROM recommend(1, 3, 'svdpp');
SELECT * FROM drop_model('svdpp', force => true);
SELECT count(*) FROM recommend(1, 3, 'svdpp');
-- A new model of the same name is another model.
SELECT version FROM train_svdpp(factors => 2, iterations => 1);
SELECT count(*) FROM recommend(1, 3, 'svdpp');
-- netflix_reset deletes all models, too. Model ids begin at 1 again, and no cached model is taken for a new one with
-- the same id.
SELECT netflix_reset();
SELECT count(*) FROM models;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT version FROM train_als(factors => 2, iterations => 1);
SELECT count(*) FROM recommend(42, 1000);
DROP EXTENSION netflix_rec;

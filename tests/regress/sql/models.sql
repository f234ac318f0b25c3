-- Models come and go: versions under a name, one of which is deployed.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT * FROM models;
SELECT * FROM deploy_model('als');
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
-- The first version is deployed; a later one if it is better, or when told.
SELECT version, deployed, reason FROM train_als(factors => 8, iterations => 3);
SELECT version, deployed, regexp_replace(reason, '(\.\d\d)\d+', '\1..', 'g') AS reason FROM train_baseline('als', kind => 'mean');
SELECT version, deployed, reason FROM train_als(factors => 4, iterations => 2, deploy => true);
SELECT version, deployed, reason FROM train_als(factors => 5, iterations => 2, deploy => false);
SELECT model, version, state, algorithm, factors, iterations, train_rmse IS NOT NULL AS judged, trained_by, deployed_at IS NOT NULL AS deployed FROM models ORDER BY version;
-- By number, or the newest.
SELECT * FROM deploy_model('als', 2);
SELECT * FROM deploy_model('als');
SELECT model, version, state FROM models ORDER BY version;
-- Back, and back, as far as it goes.
SELECT * FROM rollback_model('als');
SELECT * FROM rollback_model('als');
SELECT * FROM rollback_model('als');
SELECT * FROM rollback_model('als');
SELECT version, state FROM models ORDER BY version;
-- And on from there.
SELECT * FROM deploy_model('als', 4);
SELECT * FROM rollback_model('als');
-- Each answers as itself.
SELECT version, (SELECT count(*) FROM recommend(1, 3, 'als')) FROM models WHERE state = 'deployed';
-- The deployed one is not dropped unless that is meant.
SELECT * FROM drop_model('als', 1);
SELECT * FROM drop_model('als');
SELECT * FROM drop_model('als', 2);
SELECT * FROM drop_model('als', 1, force => true);
-- A number that was dropped is no other version's, the last one's as little as any.
BEGIN;
SELECT * FROM drop_model('als', 4);
SELECT version FROM train_als(factors => 1, iterations => 1);
SELECT count(*) FROM drop_model('als', force => true);
SELECT version, reason FROM train_als(factors => 1, iterations => 1);
ROLLBACK;
SELECT * FROM recommend(1, 3, 'als');
SELECT * FROM rollback_model('als');
SELECT * FROM deploy_model('als', 3);
-- What is not there.
SELECT * FROM deploy_model('als', 1);
SELECT * FROM deploy_model('asl');
SELECT * FROM deploy_model(NULL);
SELECT * FROM rollback_model('asl');
SELECT * FROM drop_model('als', 99);
BEGIN READ ONLY;
SELECT * FROM deploy_model('als', 4);
ROLLBACK;
-- What is undone was never done.
BEGIN;
SELECT * FROM deploy_model('als', 4);
SELECT count(*) FROM drop_model('als', 3);
ROLLBACK;
SELECT version, state FROM models ORDER BY version;

-- From one database to another, as one value.
SELECT version FROM train_svdpp(factors => 3, iterations => 2);
SELECT version FROM train_bpmf(factors => 2, burn_in => 1, samples => 3, hold_out => 0.1);
CREATE TABLE exported AS SELECT name, export_model(name) AS archive FROM unnest(ARRAY['als', 'svdpp', 'bpmf']) AS name;
SELECT name, length(archive) > 100000 AS is_large FROM exported ORDER BY name;
SELECT i.model, version, deployed, reason, customers = (SELECT count(*) FROM customer_factors WHERE model_id = model_id(name)) AS all_customers,
       movies = (SELECT count(*) FROM movie_factors WHERE model_id = model_id(name)) AS all_movies
FROM exported, LATERAL import_model(archive, name || ' again') i ORDER BY name;
-- It is the same in all but its name, and when it was written.
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
-- Under its own name it is a version more.
SELECT i.model, version, deployed, reason FROM exported, LATERAL import_model(archive) i WHERE name = 'als';
-- Its RMSE is that on the probe here, whatever its archive claims; and it is not compared, as nobody knows what it was trained on.
SELECT abs(probe_rmse - rmse) < 1e-5 AS judged_here, judged_digest FROM model, evaluate('als again') WHERE name = 'als again';
SELECT version, deployed, reason FROM train_als('als again', factors => 9, iterations => 6);
SELECT version, state FROM models WHERE model = 'als' ORDER BY version;
-- Customers and movies that are not here are left out.
BEGIN;
DELETE FROM fact_ratings WHERE customer_key <= 10;
DELETE FROM qualifying WHERE customer_key <= 10;
DELETE FROM customer_factors WHERE customer_key <= 10;
DELETE FROM dim_customer WHERE customer_key <= 10;
SELECT customers = (SELECT count(*) FROM customer_factors WHERE model_id = model_id('als')) AS fewer FROM exported, LATERAL import_model(archive, 'elsewhere') WHERE name = 'als';
ROLLBACK;
-- What is not one, or not all of one, is refused.
SELECT import_model(NULL);
SELECT import_model('');
SELECT import_model('\x504b0304');
SELECT import_model(substring(archive FOR 1000)) FROM exported WHERE name = 'als';
SELECT import_model(set_byte(archive, 5000, 255 - get_byte(archive, 5000))) FROM exported WHERE name = 'als';
\echo :SQLSTATE
SELECT import_model(archive, repeat('x', 256)) FROM exported WHERE name = 'als';
SELECT import_model(archive, '') FROM exported WHERE name = 'als';
SELECT export_model('asl');
-- One that would be larger than a value that PostgreSQL can print is refused before its rows are read: nobody could dump it.
BEGIN;
UPDATE model SET factors = 1000000 WHERE name = 'als';
\set VERBOSITY sqlstate
SELECT export_model('als');
\set VERBOSITY default
ROLLBACK;
-- A version without a name is one of the default model's.
SELECT export_model(version => 99);
SET netflix_rec.default_model = 'als';
SELECT export_model(version => 99);
RESET netflix_rec.default_model;
-- However good it says it is, one that is imported replaces nothing unless that is meant.
SELECT i.version FROM exported, LATERAL import_model(archive, 'svdpp') i WHERE name = 'als';
SELECT i.version FROM exported, LATERAL import_model(archive, 'svdpp', deploy => true) i WHERE name = 'svdpp';
SELECT version, state FROM models WHERE model = 'svdpp' ORDER BY version;
DROP TABLE exported;

-- By the same ratings or not at all: a probe that has changed is another, a share held out decides where there is none.
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
-- Who names no model is answered by the one whose name was trained first, whatever is trained beside it, until that is dropped.
SET client_min_messages = notice;
SELECT name AS default_model FROM model WHERE model_id = model_id();
SELECT count(*) FROM drop_model('als', force => true);
SET client_min_messages = warning;
SELECT name AS default_model FROM model WHERE model_id = model_id();

-- A model that another session drops is forgotten; here, by the same.
SELECT count(*) FROM recommend(1, 3, 'svdpp');
SELECT * FROM drop_model('svdpp', force => true);
SELECT count(*) FROM recommend(1, 3, 'svdpp');
-- A new one of the same name is another.
SELECT version FROM train_svdpp(factors => 2, iterations => 1);
SELECT count(*) FROM recommend(1, 3, 'svdpp');
-- With the warehouse emptied, so are the models; ids begin anew, and nothing that was kept is taken for what comes.
SELECT netflix_reset();
SELECT count(*) FROM models;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT version FROM train_als(factors => 2, iterations => 1);
SELECT count(*) FROM recommend(42, 1000);
DROP EXTENSION netflix_rec;

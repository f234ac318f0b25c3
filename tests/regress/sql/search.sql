-- cross_validate() trains and judges once for each fold; grid_search() and random_search() look for the best parameters.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT * FROM cross_validate('baseline', folds => 10);
\echo :SQLSTATE
SELECT netflix_reset() IS NOT NULL AS emptied;
SELECT * FROM cross_validate('baseline');
\echo :SQLSTATE
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');

-- A row for each fold, and one with the means. The probe is in no fold, and each other rating is in the test set of one.
CREATE TEMP TABLE validated AS SELECT * FROM cross_validate('als', '{"factors": 4, "iterations": 3}', folds => 3);
SELECT fold, train_ratings + test_ratings = (SELECT count(*) FROM fact_ratings WHERE NOT is_probe) AS whole, train_rmse < test_rmse AS better_on_its_own,
       test_mae < test_rmse AS mae_below_rmse, seconds > 0 AS took_time, test_rmse_sd IS NULL AS no_sd FROM validated;
SELECT sum(test_ratings) = (SELECT count(*) FROM fact_ratings WHERE NOT is_probe) AS each_once,
       abs(avg(test_rmse) - max(test_rmse) FILTER (WHERE fold IS NULL)) < 1e-12 AS mean,
       abs(stddev(test_rmse) FILTER (WHERE fold IS NOT NULL) - max(test_rmse_sd)) < 1e-12 AS sd FROM validated;
-- A fold is the fold of a split with the same seed: a model that is trained on it has the same errors.
SELECT test_ratings > 0 AS made FROM split_ratings('thirds', 'folds', folds => 3, seed => 42);
SELECT abs(test_rmse - (SELECT test_rmse FROM validated WHERE fold = 2)) < 1e-6 AS same
FROM train_als(factors => 4, iterations => 3, split => 'thirds:2');

-- A list of values for each parameter that is not to have its default. The trials come back with the best one first.
SET client_min_messages = notice;
SELECT rank, trial_no, params ->> 'factors' AS factors, params ->> 'regularization' AS regularization, state, sample, score > 0.5 AS judged, sd > 0 AS sd, error, version
FROM grid_search('als', '{"factors": [2, 4], "regularization": [0.02, 0.07], "iterations": 2}') ORDER BY trial_no;
SET client_min_messages = warning;
SELECT kind, algorithm, space, folds, split, metric, halving, trials, state, judged, failed, best_score = (SELECT min(score) FROM search_trial) AS best,
       best_params = (SELECT params FROM search_trial ORDER BY score LIMIT 1) AS of_the_best, finished_at > started_at AS took_time, started_by = current_user AS mine
FROM searches;
-- The tables have every training.
SELECT count(*) AS trainings, count(DISTINCT (trial_no, fold)) AS different, bool_and(score = rmse) AS by_rmse, bool_and(train_rmse < rmse) AS better_on_its_own FROM search_fold;
SELECT bool_and(abs(t.score - f.score) < 1e-12) AS means FROM search_trial t JOIN (SELECT trial_no, avg(score) AS score FROM search_fold GROUP BY 1) f USING (trial_no);
-- The errors are those of cross_validate().
SELECT abs(min(score) - (SELECT test_rmse FROM cross_validate('als', (SELECT best_params FROM searches), folds => 3) WHERE fold IS NULL)) < 1e-12 AS same FROM search_trial;

-- "range" and "log" stand for values between two bounds: in a grid, as many as "steps" says. At the end, a model is trained with the parameters
-- of the best trial on all training ratings; or of the one with the least work whose score is within one standard error of the best.
SELECT trial_no, params ->> 'factors' AS factors, params ->> 'regularization' AS regularization, version IS NOT NULL AS is_trained, version IS NOT NULL = one_standard_error AS as_chosen
FROM grid_search('als', '{"factors": {"range": [2, 4], "steps": 3}, "regularization": {"log": [0.01, 1], "steps": 2}, "iterations": 2}', folds => 2,
                 refit => 'one_standard_error', model => 'simple', deploy => true) ORDER BY trial_no;
SELECT model, version, ratings = (SELECT count(*) FROM fact_ratings WHERE NOT is_probe) AS all_training_ratings FROM models WHERE model = 'simple' AND state = 'deployed';

-- A split's test set may judge the trials, by another metric. The model that is trained at the end leaves it out, too.
SELECT made.test_ratings > 0 AS made FROM split_ratings('fifth', fraction => 0.2) AS made;
SELECT rank, trial_no, params ->> 'kind' AS kind, score > 0 AS judged, sd, best, version FROM grid_search('baseline', '{"kind": ["mean", "biases"]}', split => 'fifth', metric => 'ndcg', refit => 'best');
SELECT split, ratings = (SELECT train_ratings FROM rating_split WHERE name = 'fifth') AS left_out FROM models WHERE model = 'baseline';
SELECT rank, params ->> 'kind' AS kind, state FROM grid_search('baseline', '{"kind": ["mean", "biases"]}', split => 'fifth', metric => 'mae');
SELECT count(*) AS trainings, bool_and(t.score = f.mae AND f.mae < f.rmse) AS by_mae FROM search_trial t JOIN search_fold f USING (search_id, trial_no)
WHERE search_id = (SELECT max(search_id) FROM search);

-- Points drawn at random depend on the seed and on their number only. With halving, all trials begin with a sample of the customers, and the
-- better third goes on with three times as many.
SELECT state, round(sample::numeric, 3) AS sample, count(*), bool_or(best) AS has_best
FROM random_search('svd', '{"factors": {"log": [1, 8]}, "learning_rate": {"range": [0.01, 0.03]}, "iterations": 3}', trials => 9, folds => 2, halving => true)
GROUP BY 1, 2 ORDER BY 2;
SELECT count(*) AS trainings FROM search_fold WHERE search_id = (SELECT max(search_id) FROM search);

-- A budget of seconds: no trial begins after them. The same call goes on with search => id, without the trials that are done.
CREATE TEMP TABLE begun AS SELECT * FROM random_search('baseline', '{"customer_damping": {"range": [1, 50]}}', trials => 3, folds => 2, seconds => 1e-9);
SELECT state, count(*) FROM begun GROUP BY 1;
SELECT state, judged FROM searches ORDER BY search_id DESC LIMIT 1;
SELECT rank, state, best FROM random_search(search => (SELECT max(search_id) FROM begun));
-- A random search may get more trials.
SELECT count(*) AS trials, count(*) FILTER (WHERE state = 'judged') AS judged, bool_or(best) AS has_best FROM random_search(search => (SELECT max(search_id) FROM begun), trials => 5);
CREATE TEMP TABLE again AS SELECT * FROM random_search('baseline', '{"customer_damping": {"range": [1, 50]}}', trials => 5, folds => 2);
SELECT count(*) AS same FROM again JOIN search_trial t USING (trial_no, params, score) WHERE t.search_id = (SELECT max(search_id) FROM begun);

-- In a transaction block, the search is a part of the transaction.
BEGIN;
SET LOCAL client_min_messages = notice;
SELECT count(*) AS judged FROM grid_search('baseline', '{"customer_damping": [5, 10]}', folds => 2);
RESET client_min_messages;
ROLLBACK;
SELECT count(*) AS left FROM search WHERE search_id > (SELECT max(search_id) FROM again);
-- So it is in a function.
DO $$ BEGIN PERFORM FROM grid_search('baseline', '{"customer_damping": [5, 10]}', folds => 2); END $$;
SELECT state, judged FROM searches ORDER BY search_id DESC LIMIT 1;

-- A trial that fails is a row with its error. The others go on.
SELECT rank, trial_no, state, error ~ 'normal equations .* are singular' AS singular, best FROM grid_search('als', '{"factors": [2, 3], "regularization": [0, 0.05], "bias_regularization": [0], "prior_count": [0], "iterations": [1]}', folds => 2) ORDER BY trial_no;
SELECT state, judged, failed FROM searches ORDER BY search_id DESC LIMIT 1;

-- So it is if the descent diverges.
SELECT rank, trial_no, state, error FROM grid_search('svd', '{"learning_rate": [0.02, 1], "decay": 1, "regularization": 0, "iterations": 20}', folds => 2) ORDER BY trial_no;
-- A model whose training would be refused is refused before the search.
SELECT * FROM grid_search('baseline', refit => 'best', model => '');
\echo :SQLSTATE

-- Mistakes.
\set VERBOSITY default
SELECT * FROM cross_validate('alss');
\echo :SQLSTATE
SELECT * FROM cross_validate('als', '{"factor": 3}');
\echo :SQLSTATE
SELECT * FROM cross_validate('als', folds => 1);
\echo :SQLSTATE
SELECT * FROM cross_validate('als', folds => 1000000);
\echo :SQLSTATE
SELECT * FROM cross_validate('als', folds => -5);
\echo :SQLSTATE
SELECT * FROM cross_validate(NULL);
\echo :SQLSTATE
SELECT * FROM grid_search();
\echo :SQLSTATE
SELECT * FROM grid_search('als', '{"factor": [3]}');
\echo :SQLSTATE
SELECT * FROM grid_search('als', '{"factors": []}');
\echo :SQLSTATE
SELECT * FROM grid_search('als', '{"factors": [10, 5000]}');
\echo :SQLSTATE
SELECT * FROM grid_search('als', '[1]');
\echo :SQLSTATE
SELECT * FROM grid_search('als', '{"factors": {"range": [1, 3]}}');
\echo :SQLSTATE
SELECT * FROM grid_search('als', metric => 'auc');
\echo :SQLSTATE
SELECT * FROM grid_search('als', split => 'none');
\echo :SQLSTATE
SELECT * FROM grid_search('als', split => 'fifth', folds => 3);
\echo :SQLSTATE
SELECT * FROM grid_search('als', folds => 1);
\echo :SQLSTATE
SELECT * FROM grid_search('als', seconds => 0);
\echo :SQLSTATE
SELECT * FROM grid_search('als', refit => 'worst');
\echo :SQLSTATE
SELECT * FROM grid_search('als', deploy => true);
\echo :SQLSTATE
SELECT * FROM random_search('als', trials => 0);
\echo :SQLSTATE
SELECT * FROM grid_search(search => 4711);
\echo :SQLSTATE
SELECT * FROM grid_search(search => (SELECT max(search_id) FROM again));
\echo :SQLSTATE
SELECT * FROM random_search(search => (SELECT max(search_id) FROM again), metric => 'mae');
\echo :SQLSTATE
SELECT * FROM random_search(search => (SELECT max(search_id) FROM again), trials => 2);
\echo :SQLSTATE
SELECT * FROM random_search(search => (SELECT max(search_id) FROM again), trials => 20000);
\echo :SQLSTATE
-- A test set that is no more.
SELECT made.test_ratings > 0 AS made FROM split_ratings('late', 'by_time', since => '2005-11-01') AS made;
BEGIN;
DELETE FROM fact_ratings WHERE date_key >= 20051101;
SELECT * FROM grid_search('baseline', split => 'late');
\echo :SQLSTATE
ROLLBACK;
-- With other ratings, or with another test set, a search cannot go on.
CREATE TEMP TABLE late AS SELECT * FROM grid_search('baseline', split => 'late');
BEGIN;
UPDATE fact_ratings SET date_key = 20051102 WHERE rating_key = (SELECT min(rating_key) FROM fact_ratings WHERE date_key < 20051101 AND NOT is_probe);
SELECT * FROM grid_search(search => (SELECT max(search_id) FROM late));
\echo :SQLSTATE
ROLLBACK;
DO $$ BEGIN PERFORM FROM add_rating(424242, (SELECT min(movie_id) FROM dim_movie), 5, '2005-05-05'); END $$;
SELECT * FROM random_search(search => (SELECT max(search_id) FROM again));
\echo :SQLSTATE
-- Before anything is tried, the number of points and the time that they would take.
DO $$
DECLARE detail text;
BEGIN
    PERFORM FROM grid_search('als', '{"factors": {"range": [1, 100], "steps": 100}, "regularization": {"log": [0.001, 1], "steps": 10000}}');
EXCEPTION WHEN program_limit_exceeded THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RAISE WARNING '%: %', sqlerrm, regexp_replace(detail, '\d+ \w+\.', 'N units.');
END $$;
-- A read-only transaction.
BEGIN READ ONLY;
SELECT * FROM grid_search('als');
\echo :SQLSTATE
ROLLBACK;
DROP EXTENSION netflix_rec;

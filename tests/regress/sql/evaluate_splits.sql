-- split_ratings() divides the ratings into those to train on and those to judge models by.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT * FROM split_ratings('early');
\echo :SQLSTATE
SELECT ratings_loaded, probe_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');

-- Without further arguments, one rating in ten is in the test set. The probe stays outside.
SELECT name, kind, params, seed, train_ratings + test_ratings = (SELECT count(*) FROM fact_ratings WHERE NOT is_probe) AS whole,
       round(test_ratings / (train_ratings + test_ratings)::numeric, 1) AS share
FROM split_ratings('random');
SELECT count(*) AS of_the_probe FROM test_set('random') t JOIN dim_customer USING (customer_id) JOIN dim_movie USING (movie_id)
JOIN fact_ratings f USING (customer_key, movie_key) WHERE f.is_probe;
SELECT train_ratings + test_ratings = (SELECT count(*) FROM fact_ratings) AS whole FROM split_ratings('with_probe', include_probe => true);

-- The last ratings of each customer, for those who have more than these.
SELECT params, test_ratings = 2 * test_customers AS two_each FROM split_ratings('last', 'last_k', k => 2);
WITH test AS (SELECT customer_id, movie_id, rated_on FROM test_set('last')),
train AS (SELECT customer_id, to_date(date_key::text, 'yyyymmdd') AS rated_on FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
          WHERE NOT is_probe AND (customer_id, movie_id) NOT IN (SELECT customer_id, movie_id FROM test))
SELECT count(*) AS later_in_training FROM (SELECT customer_id, min(rated_on) AS since FROM test GROUP BY 1) t JOIN train USING (customer_id) WHERE train.rated_on > since;

-- The ratings since a day.
SELECT params, test_ratings = (SELECT count(*) FROM fact_ratings WHERE NOT is_probe AND date_key >= 20050701) AS counted
FROM split_ratings('time', 'by_time', since => '2005-07-01');

-- Folds: each rating is in the test set of one of them. A call names one: 'folds:1'.
SELECT params, test_ratings = (SELECT count(*) FROM fact_ratings WHERE NOT is_probe) AS all_ratings, round(train_ratings / test_ratings::numeric, 1) AS share
FROM split_ratings('folds', 'folds', folds => 4);
SELECT count(*) = count(DISTINCT (customer_id, movie_id)) AS disjoint, count(*) = (SELECT count(*) FROM fact_ratings WHERE NOT is_probe) AS whole
FROM (SELECT (test_set('folds:' || fold)).* FROM generate_series(1, 4) AS fold) AS folds;

-- Some of the customers, for a quick look.
SELECT params, round(test_customers / (SELECT count(DISTINCT customer_key) FROM fact_ratings)::numeric, 1) AS share
FROM split_ratings('sample', 'sample_customers', fraction => 0.3, test_fraction => 0.5);
-- The probe itself.
SELECT params, test_ratings = (SELECT count(*) FROM fact_ratings WHERE is_probe) AS probe FROM split_ratings('the_probe', 'probe');
SELECT name, kind, params, seed, include_probe, created_by = current_user AS mine FROM rating_split ORDER BY split_id;

-- A model is trained on the training ratings of a split, and judged by its test set.
SELECT test_rmse IS NOT NULL AS judged, probe_rmse FROM train_als('random', factors => 5, split => 'random');
SELECT m.split, m.ratings = s.train_ratings AS trained FROM models m JOIN rating_split s ON s.name = m.split;
SELECT n = (SELECT test_ratings FROM rating_split WHERE name = 'random') AS n, abs(rmse - m.test_rmse) < 1e-5 AS same, unknown > 0 AS has_unknown, is_trained_on, sample
FROM evaluate('random', 'random'), model m WHERE m.name = 'random';
-- The probe is outside of it, so that it is fit to judge the model, too.
SELECT is_trained_on FROM evaluate('random');
-- Of another split, the model has seen a part of the test set.
SELECT is_trained_on FROM evaluate('random', 'time');
SELECT test_rmse IS NOT NULL AS judged FROM train_als('fold', factors => 5, split => 'folds:2');
SELECT is_trained_on FROM evaluate('fold', 'folds:2');
SELECT is_trained_on FROM evaluate('fold', 'folds:3');
-- A customer who is folded in is folded in by training ratings alone.
SELECT customer_id FROM test_set('folds:2') GROUP BY 1 HAVING count(*) > 3 ORDER BY 1 LIMIT 1 \gset
SELECT ratings = (SELECT count(*) FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
                  WHERE customer_id = :customer_id AND NOT is_probe AND (customer_id, movie_id) NOT IN (SELECT customer_id, movie_id FROM test_set('folds:2'))) AS those_of_training
FROM refresh_customer(:customer_id, 'fold');
SELECT test_rmse IS NOT NULL AS judged FROM train_als('last', factors => 2, split => 'last');
SELECT ratings = (SELECT count(*) FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
                  WHERE customer_id = :customer_id AND NOT is_probe AND (customer_id, movie_id) NOT IN (SELECT customer_id, movie_id FROM test_set('last'))) AS those_of_training
FROM refresh_customer(:customer_id, 'last');
-- Results of a sample say so.
SET client_min_messages = notice;
SELECT test_rmse IS NOT NULL AS judged FROM train_baseline('sampled', split => 'sample');
SELECT n > 0 AS n, is_trained_on, sample FROM evaluate('sampled', 'sample');
SET client_min_messages = warning;
-- A model remembers its rule, also when the split is dropped and another one gets its name.
SELECT drop_split('random');
SELECT is_trained_on FROM evaluate('random', 'probe');
SELECT name FROM split_ratings('random', seed => 7);
SELECT is_trained_on FROM evaluate('random', 'random');
-- Two versions that were judged by different ratings are not compared.
SELECT deployed, reason ~ 'was judged by other ratings' AS told FROM train_als('random', factors => 5, split => 'random');

-- The same ratings give the same split in whatever order they were loaded.
SELECT md5(string_agg(format('%s:%s', customer_id, movie_id), ',' ORDER BY customer_id, movie_id)) AS digest FROM test_set('last') \gset
CREATE TEMP TABLE kept AS
SELECT customer_id, movie_id, rating, to_date(date_key::text, 'yyyymmdd') AS rated_on, is_probe
FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key);
SELECT netflix_reset();
SELECT ratings_loaded > 0 AS loaded FROM ratings_load('SELECT * FROM pg_temp.kept WHERE rating > 3');
SELECT ratings_loaded > 0 AS loaded FROM ratings_load('SELECT * FROM pg_temp.kept ORDER BY rated_on DESC, customer_id DESC');
SELECT name FROM split_ratings('last', 'last_k', k => 2);
SELECT md5(string_agg(format('%s:%s', customer_id, movie_id), ',' ORDER BY customer_id, movie_id)) = :'digest' AS same FROM test_set('last');

-- What is in a test set teaches a model nothing: if its ratings are changed, or deleted, no bit of any model changes.
SELECT name FROM split_ratings('random') UNION ALL SELECT name FROM split_ratings('time', 'by_time', since => '2005-07-01')
UNION ALL SELECT name FROM split_ratings('folds', 'folds', folds => 4) UNION ALL SELECT name FROM split_ratings('sample', 'sample_customers', fraction => 0.3);
CREATE TEMP TABLE algorithm (algorithm, params) AS VALUES
    ('als', '{"factors": 4, "iterations": 8, "tolerance": 0.001}'::jsonb), ('als', '{"factors": 4, "iterations": 2, "implicit_weight": 1}'),
    ('svd', '{"factors": 4, "iterations": 8, "tolerance": 0.001}'), ('svdpp', '{"factors": 4, "iterations": 4, "tolerance": 0.001}'),
    ('bpmf', '{"factors": 2, "burn_in": 1, "samples": 2}'), ('truncated_svd', '{"factors": 4}'), ('baseline', '{}');
CREATE FUNCTION pg_temp.train_all(labels text[], hold_out float8 DEFAULT 0) RETURNS TABLE (label text, model text) LANGUAGE sql AS $$
    SELECT label, t.model FROM unnest(labels) AS label, algorithm a,
        train(a.algorithm, a.params, format('%s %s %s', label, a.algorithm, md5(a.params::text || hold_out::text)), hold_out => hold_out, split => label, deploy => true) t
$$;
CREATE FUNCTION pg_temp.bits() RETURNS TABLE (model text, bits text) LANGUAGE sql AS $$
    SELECT name, md5((SELECT string_agg(format('%s %s %s', customer_key, bias, factors), ',' ORDER BY customer_key) FROM customer_factors c WHERE c.model_id = m.model_id)
        || (SELECT string_agg(format('%s %s %s %s', movie_key, bias, factors, links), ',' ORDER BY movie_key) FROM movie_factors f WHERE f.model_id = m.model_id)
        || global_mean || iterations)
    FROM model m WHERE is_deployed
$$;
SELECT count(*) FROM pg_temp.train_all('{probe,random,time,folds:1,sample,last}');
SELECT count(*) FROM pg_temp.train_all('{random}', 0.1);
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.bits();
-- The ratings of each test set, one after the other.
CREATE FUNCTION pg_temp.changed(labels text[], statement text, hold_out float8 DEFAULT 0) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    label text;
BEGIN
    FOREACH label IN ARRAY labels LOOP
        BEGIN
            CREATE TEMP TABLE test ON COMMIT DROP AS SELECT customer_key, movie_key FROM test_set(label) JOIN dim_customer USING (customer_id) JOIN dim_movie USING (movie_id);
            EXECUTE statement || ' WHERE (customer_key, movie_key) IN (TABLE test)';
            PERFORM pg_temp.train_all(ARRAY[label], hold_out);
            RETURN QUERY SELECT format('%s: %s of %s models learned from the test set', label, count(*) FILTER (WHERE b.bits <> a.bits), count(*))
                FROM before b JOIN pg_temp.bits() a USING (model) WHERE starts_with(model, label || ' ');
            RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = 'undo';
        EXCEPTION WHEN SQLSTATE 'P0001' THEN
            NULL;
        END;
    END LOOP;
END $$;
SELECT pg_temp.changed('{probe,random,time,folds:1,sample,last}', 'UPDATE fact_ratings SET rating = 6 - rating');
SELECT pg_temp.changed('{probe,random,time,folds:1,sample}', 'DELETE FROM fact_ratings');
SELECT pg_temp.changed('{random}', 'UPDATE fact_ratings SET rating = 6 - rating', 0.1);
-- The check itself notices if it is otherwise.
SELECT pg_temp.changed('{random}', 'UPDATE fact_ratings SET rating = 6 - rating WHERE rating_key = (SELECT min(rating_key) FROM fact_ratings f WHERE NOT f.is_probe AND (f.customer_key, f.movie_key) NOT IN (TABLE test)); DELETE FROM fact_ratings');

-- Mistakes.
SELECT * FROM split_ratings(NULL);
SELECT * FROM split_ratings('');
SELECT * FROM split_ratings('probe');
SELECT * FROM split_ratings('a:1');
\echo :SQLSTATE
SELECT * FROM split_ratings('random');
\echo :SQLSTATE
SELECT * FROM split_ratings('new', 'stratified');
SELECT * FROM split_ratings('new', fraction => 1);
SELECT * FROM split_ratings('new', k => 1);
SELECT * FROM split_ratings('new', 'last_k', k => -1);
SELECT * FROM split_ratings('new', 'folds', folds => 1);
SELECT * FROM split_ratings('new', 'by_time');
SELECT * FROM split_ratings('new', 'by_time', since => '2100-01-01');
SELECT * FROM split_ratings('new', 'by_time', since => '1900-01-01');
\echo :SQLSTATE
SELECT * FROM split_ratings('new', 'sample_customers', fraction => 0.00001);
SELECT * FROM train_als(split => 'nonesuch');
\echo :SQLSTATE
SELECT * FROM train_als(split => 'folds');
SELECT * FROM train_als(split => 'folds:5');
SELECT * FROM train_als(split => 'random:1');
SELECT * FROM train_als(split => 'random', train_on => 'all');
SELECT * FROM evaluate(split => 'nonesuch');
SELECT * FROM test_set('train');
SELECT drop_split('nonesuch');
SELECT drop_split('folds');
UPDATE rating_split SET params = '{"fraction": 7}' WHERE name = 'random';
SELECT * FROM evaluate(split => 'random');
\echo :SQLSTATE
SELECT drop_split('random');
DELETE FROM fact_ratings WHERE rating_key > (SELECT min(rating_key) FROM fact_ratings);
UPDATE fact_ratings SET is_probe = false;
SELECT * FROM split_ratings('new', 'folds');
DELETE FROM fact_ratings;
SELECT * FROM split_ratings('new');
DROP EXTENSION netflix_rec;

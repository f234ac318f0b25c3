-- train_blend() adds up the predictions of models, with weights that it learns.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');

-- The models are trained on a split. The blend learns from the first half of its test set, and is judged by the second half.
SELECT test_ratings > 0 AS made FROM split_ratings('test', fraction => 0.2);
SELECT model, version FROM train_als(factors => 4, split => 'test');
SELECT model, version FROM train_svdpp(factors => 3, iterations => 5, split => 'test');
SELECT model, version FROM train_bpmf(factors => 2, burn_in => 2, samples => 4, split => 'test');
SELECT model, version, algorithm, iterations, test_rmse < 1 AS judged, deployed, reason, ratings < (SELECT test_ratings FROM rating_split) AS from_a_half
FROM train_blend(ARRAY['als', 'svdpp', 'bpmf'], 'test');
SELECT split, test_rmse = (SELECT rmse FROM evaluate('blend', 'test/2')) AS judged_by_the_second_half, jsonb_array_length(params -> 'parts') AS parts FROM models WHERE model = 'blend';

-- A prediction is the weighted sum of the models' predictions, before these are limited to the scale.
CREATE VIEW parts AS
SELECT part ->> 'model' AS model, (part -> 'weight' ->> 'constant')::float8 AS weight, (part -> 'weight' ->> 'by_customer')::float8 AS by_customer,
       (part -> 'weight' ->> 'by_movie')::float8 AS by_movie, version
FROM (SELECT version, jsonb_array_elements(params -> 'parts') AS part FROM models WHERE model = 'blend') AS p;
SELECT model, weight <> 0 AS has_weight, by_customer, by_movie FROM parts;
CREATE FUNCTION unclamped(customer bigint, movie bigint, model text) RETURNS float8 LANGUAGE sql AS
$$ SELECT sum(contribution) FROM explain(customer, movie, model) WHERE title IS DISTINCT FROM '(limited to the rating scale)' $$;
CREATE TEMP TABLE pairs AS SELECT customer_id, movie_id FROM test_set('test') ORDER BY customer_id, movie_id LIMIT 40;
SELECT count(*) AS pairs, bool_and(abs(unclamped(customer_id, movie_id, 'blend') - (SELECT (params -> 'intercept' ->> 'constant')::float8 FROM models WHERE model = 'blend')
       - (SELECT sum(weight * unclamped(customer_id, movie_id, model)) FROM parts)) < 1e-3) AS weighted_sum FROM pairs;

-- It is a model like any other.
SELECT count(*) FROM recommend(1, 5, 'blend');
SELECT count(*), count(DISTINCT customer_id) AS customers FROM recommend_all(3, 'blend', customer_ids => '{1,2,3}');
SELECT count(*) FROM similar_movies(1, 3, 'blend');
SELECT count(*) FROM similar_customers((SELECT min(customer_id) FROM pairs), 3, 'blend');
SELECT bool_and(predicted_rating(customer_id, movie_id, 'blend') BETWEEN 1 AND 5) AS on_the_scale FROM pairs;
SELECT count(*) AS explained FROM pairs WHERE (SELECT count(*) FROM explain(customer_id, movie_id, 'blend')) > 3;
-- A customer who came later is folded into each of the models.
SELECT action FROM add_rating(999999, 1, 5, '2005-12-01');
SELECT action FROM add_rating(999999, 2, 2, '2005-12-01');
SELECT action FROM add_rating(999999, 3, 4, '2005-12-02');
SELECT DISTINCT source FROM recommend(999999, 5, 'blend');
SELECT bool_and(abs(unclamped(999999, movie, 'blend') - (SELECT (params -> 'intercept' ->> 'constant')::float8 FROM models WHERE model = 'blend')
       - (SELECT sum(weight * unclamped(999999, movie, model)) FROM parts)) < 1e-3) AS weighted_sum FROM generate_series(1, 20) AS movie;
SELECT ratings FROM refresh_customer(999999, 'blend');
SELECT DISTINCT source FROM recommend(999999, 5, 'blend');
-- It can be exported and imported.
SELECT model, version FROM import_model(export_model('blend'), 'copy');
SELECT bool_and(predicted_rating(customer_id, movie_id, 'blend') = predicted_rating(customer_id, movie_id, 'copy')) AS same FROM pairs;
SELECT bool_and(abs(unclamped(999999, movie, 'blend') - unclamped(999999, movie, 'copy')) < 1e-5) AS same FROM generate_series(1, 5) AS movie;

-- It has learned from the first half, and says so. By the second half it can be compared with its parts.
SELECT n, is_trained_on FROM evaluate('blend', 'test');
SELECT model, is_trained_on, n = (SELECT n FROM evaluate('blend', 'test/2')) AS same_pairs FROM compare_models(ARRAY['als', 'svdpp', 'bpmf', 'blend'], 'test/2', resamples => 100);
SELECT (SELECT n FROM evaluate('als', 'test/2')) < (SELECT n FROM evaluate('als', 'test')) AS a_half;

-- With counts, the weights depend on how many ratings the customer and the movie have (Sill et al. 2009).
SELECT version, deployed, test_rmse < 1 AS judged FROM train_blend(ARRAY['als', 'svdpp', 'bpmf'], 'test', counts => true, deploy => true);
SELECT bool_and(by_customer <> 0 AND by_movie <> 0) AS by_counts FROM parts WHERE version = 2;
CREATE TEMP TABLE numbers AS
SELECT (params -> 'intercept' ->> 'constant')::float8 AS c0, (params -> 'intercept' ->> 'by_customer')::float8 AS c1, (params -> 'intercept' ->> 'by_movie')::float8 AS c2
FROM models WHERE model = 'blend' AND version = 2;
CREATE TEMP TABLE trained AS SELECT customer_id, movie_id FROM fact_ratings f JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
WHERE NOT is_probe AND customer_id <> 999999 EXCEPT SELECT customer_id, movie_id FROM test_set('test');
CREATE TEMP TABLE logs AS
SELECT customer_id, movie_id, ln(1.0 + (SELECT count(*) FROM trained t WHERE t.customer_id = p.customer_id))::float8 AS g,
       ln(1.0 + (SELECT count(*) FROM trained t WHERE t.movie_id = p.movie_id))::float8 AS h FROM pairs p;
SELECT bool_and(abs(unclamped(customer_id, movie_id, 'blend') - (c0 + c1 * g + c2 * h)
       - (SELECT sum((weight + by_customer * g + by_movie * h) * unclamped(customer_id, movie_id, model)) FROM parts WHERE version = 2)) < 1e-3) AS weighted_sum
FROM logs, numbers;
SELECT DISTINCT source FROM recommend(999999, 5, 'blend');

-- What is in the second half teaches a blend nothing: if its ratings are changed, no bit of the blend changes. Those of the first half teach it.
CREATE FUNCTION pg_temp.bits_after(changed text, counts bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    bits text;
BEGIN
    UPDATE fact_ratings SET rating = 6 - rating WHERE (customer_key, movie_key) IN (
        SELECT customer_key, movie_key FROM test_set('test') t JOIN dim_customer USING (customer_id) JOIN dim_movie USING (movie_id)
        WHERE CASE changed WHEN 'first' THEN (customer_id, movie_id) NOT IN (SELECT customer_id, movie_id FROM test_set('test/2'))
                           WHEN 'second' THEN (customer_id, movie_id) IN (SELECT customer_id, movie_id FROM test_set('test/2')) END);
    PERFORM train_als('a', factors => 4, split => 'test', deploy => true), train_svdpp('b', factors => 3, iterations => 3, tolerance => 0.001, split => 'test', deploy => true);
    PERFORM train_blend(ARRAY['a', 'b'], 'test', 'c', counts => counts, deploy => true);
    SELECT md5((SELECT string_agg(format('%s %s %s', customer_key, bias, factors), ',' ORDER BY customer_key) FROM customer_factors c WHERE c.model_id = m.model_id)
        || (SELECT string_agg(format('%s %s %s %s', movie_key, bias, factors, links), ',' ORDER BY movie_key) FROM movie_factors f WHERE f.model_id = m.model_id)
        || global_mean || regexp_replace(params::text, '"version": \d+', '', 'g')) INTO bits FROM model m WHERE name = 'c' AND is_deployed;
    RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = bits;
EXCEPTION WHEN SQLSTATE 'P0001' THEN
    RETURN sqlerrm;
END $$;
SELECT counts, pg_temp.bits_after('second', counts) = pg_temp.bits_after('none', counts) AS second_half_is_unknown,
       pg_temp.bits_after('first', counts) = pg_temp.bits_after('none', counts) AS first_half_is_unknown FROM unnest('{f,t}'::bool[]) AS counts;

-- A part is not dropped unnoticed.
SELECT version, deployed FROM train_svdpp(factors => 2, iterations => 2, split => 'test', deploy => true);
SELECT * FROM drop_model('svdpp', 1);
\echo :SQLSTATE
SET client_min_messages = notice;
SELECT * FROM drop_model('svdpp', 1, force => true);
SET client_min_messages = warning;
SELECT count(*) FROM recommend(1, 5, 'blend');
SELECT bool_and(abs(unclamped(999999, movie, 'blend')) < 6) AS still_folds_in FROM generate_series(1, 5) AS movie;

-- The probe is a split, too: models that leave it out can be blended by it.
SELECT model, version FROM train_als('one', factors => 2);
SELECT model, version FROM train_baseline('two');
SELECT version, test_rmse > 0 AS judged FROM train_blend(ARRAY['one', 'two'], model => 'third');
SELECT split FROM models WHERE model = 'third';

-- Mistakes.
SELECT * FROM train_blend(ARRAY['one']);
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['one', 'one@1']);
\echo :SQLSTATE
SELECT * FROM train_blend(NULL);
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['one', NULL]);
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['one', 'four']);
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['one', 'third']);
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['one', 'two'], 'test');
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['als', 'bpmf']);
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['als', 'bpmf'], 'test/2');
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['als', 'bpmf'], 'none');
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['one', 'two'], regularization => -1);
\echo :SQLSTATE
SELECT * FROM train_blend(ARRAY['one', 'two'], model => '');
\echo :SQLSTATE
-- What a model was trained without must not have changed since.
SELECT version FROM train_als('fresh', factors => 2, deploy => true);
SELECT version FROM import_model(export_model('fresh'), 'imported');
SELECT * FROM train_blend(ARRAY['fresh', 'imported']);
\echo :SQLSTATE
BEGIN;
UPDATE fact_ratings SET is_probe = true WHERE rating_key = (SELECT min(rating_key) FROM fact_ratings WHERE NOT is_probe);
SELECT * FROM train_blend(ARRAY['fresh', 'two']);
\echo :SQLSTATE
ROLLBACK;
-- What was held out counts, too.
SELECT version FROM train_als('held', factors => 2, hold_out => 0.1, deploy => true);
SELECT version FROM train_blend(ARRAY['held', 'two'], model => 'of held');
-- Two models that predict the same have no single weights without a regularization.
SELECT version FROM train_baseline('two');
SELECT * FROM train_blend(ARRAY['two@1', 'two@2'], regularization => 0);
\echo :SQLSTATE
SELECT * FROM split_ratings('test/2');
\echo :SQLSTATE
SELECT * FROM train('blend');
\echo :SQLSTATE
DROP EXTENSION netflix_rec CASCADE;

-- train() takes an algorithm's name, and its parameters as JSON. For each algorithm there is also a function with named
-- arguments.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
SELECT model, version, algorithm, params, iterations, round(probe_rmse::numeric, 2) AS probe_rmse
FROM train('baseline');
SELECT model, version, iterations, round(probe_rmse::numeric, 2) AS probe_rmse
FROM train('svd', '{"factors": 20, "iterations": 5, "learning_rate": 0.03}', model => 'descent');
SELECT algorithm, iterations, probe_rmse < 0.86 AS is_good FROM train_svd('descent', factors => 20, iterations => 5, learning_rate => 0.03);

-- Both ways give the same model, bit for bit.
SELECT count(*) AS movies, count(DISTINCT f.factors::text) AS different
FROM movie_factors f JOIN model USING (model_id) WHERE name = 'descent'
GROUP BY movie_key HAVING count(DISTINCT f.factors::text) > 1;

-- SVD++ also learns from which movies a customer rated. ALS does so with implicit_weight.
SELECT model, iterations, probe_rmse < 0.88 AS is_good FROM train_svdpp(factors => 10, iterations => 6, regularization => 0.06);
SELECT model, iterations, probe_rmse < 0.86 AS is_good FROM train_als('implicit', factors => 10, iterations => 4, implicit_weight => 0.1);
-- With cg_steps, ALS solves each row by a few steps of conjugate gradients. The result is close to that of the exact
-- solution.
SELECT abs(exact.probe_rmse - followed.probe_rmse) < 0.005 AS close
FROM train_als('exact', factors => 20, iterations => 5) AS exact, train_als('followed', factors => 20, iterations => 5, cg_steps => 3) AS followed;

-- A Bayesian model stores several posterior samples. Its prediction is their mean, and predicted_sd is their standard
-- deviation.
SELECT model, iterations, probe_rmse < 0.85 AS is_good FROM train_bpmf(factors => 5, burn_in => 5, samples => 10, links => false);
SELECT samples, m.factors, cardinality(f.factors) FROM model m JOIN movie_factors f USING (model_id)
WHERE name = 'bpmf' ORDER BY movie_key LIMIT 1;
SELECT customer_id AS customer FROM dim_customer WHERE rating_count = 100 ORDER BY 1 LIMIT 1 \gset
SELECT movie_id AS movie FROM dim_movie ORDER BY rating_count DESC LIMIT 1 \gset
WITH sides AS (
    SELECT m.samples, m.global_mean + c.bias + f.bias AS mean, c.factors AS p, f.factors AS q
    FROM model m JOIN customer_factors c USING (model_id) JOIN movie_factors f USING (model_id)
    JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
    WHERE m.name = 'bpmf' AND customer_id = :customer AND movie_id = :movie
), parts AS (
    SELECT min(mean) AS mean, sum(x * y) AS product, max(samples) * sum(x * y) AS sample
    FROM sides, unnest(p, q) WITH ORDINALITY AS u (x, y, n) GROUP BY (n - 1) / 7
)
SELECT abs(predicted_rating - (min(mean) + sum(product))) < 1e-3 AS predicts_the_mean,
       abs(predicted_sd - stddev_samp(sample)) < 1e-3 AS and_how_far_samples_scatter
FROM parts, predict_rating(:customer, :movie, 'bpmf') GROUP BY predicted_rating, predicted_sd;
SELECT predicted_rating BETWEEN 1 AND 5 AS on_scale, predicted_sd FROM predict_rating(:customer, :movie, 'exact');
-- If the model does not know the customer, the prediction is the movie's bias plus the mean, and the other way round.
-- If it knows neither, the prediction is the mean. A NULL argument returns no row.
SELECT abs(predicted_rating - (global_mean + f.bias)) < 1e-5 AS by_movie, predicted_sd
FROM predict_rating(0, :movie, 'bpmf'), model JOIN movie_factors f USING (model_id) JOIN dim_movie USING (movie_key)
WHERE name = 'bpmf' AND movie_id = :movie;
SELECT predicted_rating = global_mean AS by_mean, predicted_sd FROM predict_rating(0, 0, 'bpmf'), model WHERE name = 'bpmf';
SELECT * FROM predict_rating(NULL, :movie);
SELECT * FROM predict_rating(:customer, NULL);
SELECT count(*) FROM recommend(:customer, 5, 'bpmf');
SELECT abs(e.rmse - m.probe_rmse) < 1e-4 AS judged_alike FROM evaluate('bpmf') e, model m WHERE name = 'bpmf';

-- For a truncated singular value decomposition, singular_values() lists the components and the share of the variance
-- that each explains.
SELECT model, iterations, probe_rmse < 0.95 AS is_good FROM train_truncated_svd(factors => 5, iterations => 3);
SELECT component, singular_value > 0 AS is_positive, singular_value <= lag(singular_value) OVER () AS descends,
       explained_variance_ratio BETWEEN 0 AND 1 AS is_share
FROM singular_values('truncated_svd');
SELECT count(*) FROM singular_values('exact');

-- Baselines, which predict without factors.
SELECT kind, round(probe_rmse::numeric, 2) AS probe_rmse
FROM unnest(ARRAY['mean', 'popularity', 'biases']) AS kind, train_baseline('plain', kind);
SELECT count(*) > 3000 AS all_movies, bool_and(popular.rating_count >= next) AS by_count
FROM (SELECT rating_count, lead(rating_count) OVER (ORDER BY f.bias DESC, rating_count DESC) AS next
      FROM movie_factors f JOIN model USING (model_id) JOIN dim_movie USING (movie_key)
      WHERE name = 'plain' AND version = 2) AS popular;

-- training_curve() has a row for each iteration.
SELECT iteration, train_rmse > 0 AS trained, held_out_rmse IS NOT NULL AS judged, seconds > 0 AS took_time
FROM training_curve('svdpp');
SELECT count(*), bool_and(train_rmse <= before) AS falls
FROM (SELECT train_rmse, lag(train_rmse) OVER (ORDER BY iteration) AS before FROM training_curve('descent', 2)) AS c;
SELECT * FROM training_curve('descent', 9);
SELECT * FROM training_curve('nobody');

-- The parameters in a model's row train the same model again.
SELECT again.params = model.params AS same FROM model,
LATERAL train(algorithm, params, 'again', train_on, hold_out) AS again WHERE name = 'implicit';

-- train_estimate() estimates a training's memory and time before it starts.
SELECT algorithm, bytes BETWEEN 10e6 AND 200e6 AS bytes, seconds BETWEEN 0.01 AND 300 AS seconds
FROM unnest(ARRAY['als', 'svd', 'svdpp', 'bpmf', 'truncated_svd', 'baseline']) AS algorithm, train_estimate(algorithm);
SELECT more.bytes > less.bytes AS bytes
FROM train_estimate('als', '{"factors": 10}') AS less, train_estimate('als', '{"factors": 500, "cg_steps": 3}') AS more;

-- Mistakes.
SELECT * FROM train('alz');
SELECT * FROM train(NULL);
SELECT * FROM train('als', '{"facters": 10}');
SELECT * FROM train('als', '{"factors": "ten"}');
SELECT * FROM train('als', '{"factors": 1.5}');
SELECT * FROM train('als', '{"seed": 1.5}');
SELECT * FROM train('als', '[10]');
SELECT * FROM train('als', '{"regularization": 1e999}');
\echo :SQLSTATE
SELECT * FROM train('als', '{"seed": 1e400}');
SELECT * FROM train('svdpp', '{"link_movies": "perhaps"}');
SELECT * FROM train_estimate('bpmf', '{"samples": 1}');
SELECT * FROM train_baseline(kind => 'best');
SELECT * FROM train_truncated_svd(center => 'left');
SELECT * FROM train_svd(learning_rate => 0);
SELECT * FROM train_svd(decay => 1.1);
-- There is not enough memory for so many samples.
SET netflix_rec.max_memory = '100MB';
SET netflix_rec.threads = 2;
SELECT * FROM train_bpmf(samples => 1000);
RESET netflix_rec.max_memory;
RESET netflix_rec.threads;
-- The learning rate is too high, and the errors grow. The message says in which iteration, and the hint what to do.
SELECT * FROM train_svd(learning_rate => 1, factors => 10);
\echo :SQLSTATE
DROP EXTENSION netflix_rec;

-- The smallest data set: more factors than there are singular values.
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles');
SELECT * FROM train_truncated_svd();
SELECT algorithm, round(train_rmse::numeric, 3) < 0.5 AS is_near
FROM unnest(ARRAY['als', 'svd', 'svdpp', 'bpmf', 'baseline']) AS name, train(name, '{}');
DROP EXTENSION netflix_rec;

-- In this sample, customers choose movies that they like, so which movies a customer rated tells about the customer's
-- taste. Models that learn from it have a lower RMSE. In the sample above it tells nothing, and the RMSE is the same.
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/lifelike');
SELECT plain.probe_rmse - linked.probe_rmse > 0.003 AS links_help FROM train_als(factors => 20) plain, train_svdpp(iterations => 10) linked;
DROP EXTENSION netflix_rec;

-- evaluate() compares a model's predictions with the ratings of a split.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT * FROM evaluate();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
SELECT version FROM train_als(factors => 10, iterations => 5);
SELECT n, round(rmse::numeric, 2) AS rmse, round(mse::numeric, 2) AS mse, round(mae::numeric, 2) AS mae,
       round(mape::numeric) AS mape FROM evaluate();

-- The same by hand, from the model's rows: mean + biases + dot product of the factors, limited to 1 to 5.
CREATE TEMP VIEW by_hand AS
SELECT count(*) AS n, avg(error ^ 2) AS mse, avg(abs(error)) AS mae, 100 * avg(abs(error) / rating) AS mape
FROM (SELECT rating,
             least(5, greatest(1, global_mean + c.bias + m.bias
               + (SELECT sum(p * q) FROM unnest(c.factors, m.factors) AS product (p, q)))) - rating AS error
      FROM fact_ratings JOIN customer_factors c USING (customer_key) JOIN movie_factors m USING (model_id, movie_key)
      JOIN model USING (model_id) WHERE is_probe) AS errors;
SELECT e.n = h.n AS n, abs(e.mse - h.mse) < 1e-5 AS mse, abs(e.rmse - sqrt(h.mse)) < 1e-5 AS rmse,
       abs(e.mae - h.mae) < 1e-5 AS mae, abs(e.mape - h.mape) < 1e-3 AS mape
FROM evaluate('als', 'probe') e, by_hand h;

-- evaluate() finds the same errors that training reported.
SELECT abs(model.probe_rmse - probe.rmse) < 1e-5 AS probe, abs(model.train_rmse - train.rmse) < 1e-2 AS train,
       probe.n + train.n = everything.n AS all
FROM model, evaluate() probe, evaluate(split => 'train') train, evaluate(split => 'all') everything;

-- is_trained_on says whether the model was trained on these ratings. If so, evaluating on the probe also gives a
-- warning.
SELECT probe.is_trained_on AS probe, train.is_trained_on AS train, everything.is_trained_on AS all
FROM evaluate() probe, evaluate(split => 'train') train, evaluate(split => 'all') everything;
SELECT version FROM train_als('cheat', factors => 10, iterations => 5, train_on => 'all');
SELECT cheat.rmse < honest.rmse AS looks_better, cheat.is_trained_on FROM evaluate('cheat') cheat, evaluate('als') honest;
-- If the probe has changed since the training, the model may have been trained on some of its ratings. That gives a
-- warning, too.
BEGIN;
UPDATE fact_ratings SET is_probe = true WHERE rating_key = (SELECT min(rating_key) FROM fact_ratings WHERE NOT is_probe);
SELECT n, is_trained_on FROM evaluate('als');
ROLLBACK;
BEGIN;
UPDATE fact_ratings SET is_probe = false WHERE is_probe;
SELECT probe_rmse FROM train_baseline('early', kind => 'mean');
UPDATE fact_ratings SET is_probe = true WHERE rating_key % 100 = 0;
SELECT is_trained_on FROM evaluate('early');
ROLLBACK;

-- Mistakes.
SELECT * FROM evaluate('nonesuch');
\echo :SQLSTATE
SELECT * FROM evaluate(split => 'test');
UPDATE fact_ratings SET is_probe = false WHERE is_probe;
SELECT * FROM evaluate();
\echo :SQLSTATE
UPDATE fact_ratings SET is_probe = true;
SELECT * FROM train_als();
UPDATE customer_factors SET factors = '{1}' WHERE customer_key = 3;
SELECT * FROM evaluate();
SELECT * FROM recommend((SELECT customer_id FROM dim_customer WHERE customer_key = 3));
\echo :SQLSTATE
UPDATE model SET is_deployed = false;
SELECT * FROM evaluate();
SELECT * FROM evaluate('als');
DROP VIEW by_hand;
DROP EXTENSION netflix_rec;

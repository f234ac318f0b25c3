-- Which model is best, by how much, and for whom: evaluate_slices(), compare_models() and evaluate_ranking().
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT * FROM compare_models();
SELECT ratings_loaded, probe_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');
SELECT name FROM split_ratings('test', fraction => 0.2);
SELECT version FROM train_als(factors => 5, split => 'test');
SELECT version FROM train_baseline(split => 'test');
SELECT version FROM train_baseline('mean', 'mean', split => 'test');
CREATE TEMP TABLE judged_all AS
SELECT customer_id, movie_id, t.rating, rated_on, m.name, predicted_rating(customer_id, movie_id, m.name)::float8 AS predicted,
       EXISTS (SELECT FROM customer_factors f WHERE f.customer_key = c.customer_key AND f.model_id = m.model_id) AS knows_customer,
       EXISTS (SELECT FROM movie_factors f WHERE f.movie_key = d.movie_key AND f.model_id = m.model_id) AS knows_movie
FROM test_set('test') t JOIN dim_customer c USING (customer_id) JOIN dim_movie d USING (movie_id), model m;
-- (predicted_rating() folds in customers whom a model does not know, and evaluate() does not. Here it knows all of them.)
SELECT name, bool_and(knows_customer) AS knows_all FROM judged_all GROUP BY 1 ORDER BY 1;

-- The errors of evaluate(), by hand.
SELECT e.n = h.n AS n, e.unknown = h.unknown AS unknown, abs(e.rmse - h.rmse) < 1e-12 AS rmse, abs(e.mae - h.mae) < 1e-12 AS mae,
       abs(e.r2 - h.r2) < 1e-12 AS r2, abs(e.bias - h.bias) < 1e-12 AS bias, abs(e.mse - e.rmse ^ 2) < 1e-12 AS mse
FROM evaluate('als', 'test') e,
     (SELECT count(*) AS n, count(*) FILTER (WHERE NOT knows_customer OR NOT knows_movie) AS unknown, sqrt(avg((predicted - rating) ^ 2)) AS rmse, avg(abs(predicted - rating)) AS mae,
             1 - sum((predicted - rating) ^ 2) / (count(*) * var_pop(rating)) AS r2, avg(predicted - rating) AS bias
      FROM judged_all WHERE name = 'als') h;
-- Of predictions that are not clamped to 1 to 5. A prediction that is clamped is never farther from the rating.
SELECT unclamped_rmse >= rmse AS rmse, unclamped_mae >= mae AS mae, unclamped_mape >= mape AS mape, unclamped_r2 <= r2 AS r2,
       unclamped_mse >= mse AS mse, abs(unclamped_bias - bias) < 0.1 AS bias FROM evaluate('als', 'test');

-- Where are the errors? By rating, by month, by the customer's or the movie's number of training ratings, by whether both are known.
SELECT slice_no, slice, s.n = h.n AS n, abs(s.rmse - h.rmse) < 1e-12 AS rmse, abs(s.mae - h.mae) < 1e-12 AS mae, abs(s.bias - h.bias) < 1e-12 AS bias
FROM evaluate_slices('als', 'test', 'rating') s LEFT JOIN
     (SELECT rating, count(*) AS n, sqrt(avg((predicted - rating) ^ 2)) AS rmse, avg(abs(predicted - rating)) AS mae, avg(predicted - rating) AS bias
      FROM judged_all WHERE name = 'als' GROUP BY 1) h ON h.rating::text = s.slice ORDER BY 1;
SELECT count(*) = (SELECT count(DISTINCT date_trunc('month', rated_on)) FROM judged_all) AS months, bool_and(s.n = h.n) AS n, bool_and(abs(s.rmse - h.rmse) < 1e-12) AS rmse
FROM evaluate_slices('als', 'test', 'month') s LEFT JOIN
     (SELECT to_char(rated_on, 'YYYY-MM') AS month, count(*) AS n, sqrt(avg((predicted - rating) ^ 2)) AS rmse FROM judged_all WHERE name = 'als' GROUP BY 1) h ON h.month = s.slice;
CREATE TEMP TABLE train_counts AS
SELECT customer_id, movie_id, count(*) OVER (PARTITION BY customer_key) AS of_customer, count(*) OVER (PARTITION BY movie_key) AS of_movie
FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
WHERE NOT is_probe AND (customer_id, movie_id) NOT IN (SELECT customer_id, movie_id FROM test_set('test'));
SELECT slice, s.n = h.n AS n, abs(s.rmse - h.rmse) < 1e-12 AS rmse FROM evaluate_slices('als', 'test') s LEFT JOIN
     (SELECT width_bucket(coalesce(of_customer, 0), ARRAY[1, 10, 30, 100, 300, 1000]) AS slice_no, count(*) AS n, sqrt(avg((predicted - rating) ^ 2)) AS rmse
      FROM judged_all LEFT JOIN (SELECT DISTINCT customer_id, of_customer FROM train_counts) c USING (customer_id) WHERE name = 'als' GROUP BY 1) h USING (slice_no) ORDER BY slice_no;
SELECT slice, s.n = h.n AS n, abs(s.rmse - h.rmse) < 1e-12 AS rmse FROM evaluate_slices('als', 'test', 'movie_ratings') s LEFT JOIN
     (SELECT width_bucket(coalesce(of_movie, 0), ARRAY[1, 10, 30, 100, 300, 1000]) AS slice_no, count(*) AS n, sqrt(avg((predicted - rating) ^ 2)) AS rmse
      FROM judged_all LEFT JOIN (SELECT DISTINCT movie_id, of_movie FROM train_counts) c USING (movie_id) WHERE name = 'als' GROUP BY 1) h USING (slice_no) ORDER BY slice_no;
SELECT slice, n = (SELECT count(*) FROM judged_all WHERE name = 'als' AND slice = CASE WHEN NOT knows_customer AND NOT knows_movie THEN 'both unknown' WHEN NOT knows_customer THEN 'customer unknown'
    WHEN NOT knows_movie THEN 'movie unknown' ELSE 'both known' END) AS n FROM evaluate_slices('als', 'test', 'known');

-- Is the difference between two models more than luck? The customers are drawn again and again, and the models compared each time.
SELECT model, version, c.n = (SELECT test_ratings FROM rating_split) AS n, abs(c.rmse - e.rmse) < 1e-9 AS rmse, rmse_low < c.rmse AND c.rmse < rmse_high AS within,
       abs(difference - (c.rmse - (SELECT rmse FROM evaluate('baseline', 'test')))) < 1e-9 AS difference, difference_low <= difference AND difference <= difference_high AS within,
       p_value < 0.01 AS clear, c.is_trained_on
FROM compare_models(ARRAY['baseline', 'als', 'mean', 'baseline@1'], 'test', resamples => 200) c, LATERAL evaluate(model, 'test', version) e;
-- The same call gives the same bits on any number of threads. Another seed gives others.
SET netflix_rec.threads = 1;
CREATE TEMP TABLE one AS SELECT * FROM compare_models(ARRAY['mean', 'als'], 'test', resamples => 50);
SET netflix_rec.threads = 3;
SELECT count(*) FROM (TABLE one EXCEPT SELECT * FROM compare_models(ARRAY['mean', 'als'], 'test', resamples => 50)) AS differences;
RESET netflix_rec.threads;
SELECT count(*) FROM (TABLE one EXCEPT SELECT * FROM compare_models(ARRAY['mean', 'als'], 'test', resamples => 50, seed => 1)) AS differences;
-- A wider interval is surer.
SELECT bool_and(w.rmse_low < n.rmse_low AND w.rmse_high > n.rmse_high) AS wider
FROM compare_models(split => 'test', confidence => 0.99) w JOIN compare_models(split => 'test', confidence => 0.5) n USING (model);

-- Lists of movies: those of the model, the most popular movies, and those with the highest biases.
SELECT ranking, version, customers + without_relevant = (SELECT test_customers FROM rating_split) AS customers, is_trained_on, sample FROM evaluate_ranking('als', 'test');
-- By hand, from the lists of recommend_all(). It leaves out all movies that a customer has rated, so the test ratings are deleted first.
CREATE TEMP TABLE relevant AS SELECT customer_id, movie_id, rating FROM test_set('test') WHERE rating >= 4;
CREATE TEMP TABLE ranked AS SELECT * FROM evaluate_ranking('als', 'test', k => 5);
CREATE TEMP TABLE graded AS SELECT * FROM evaluate_ranking('als', 'test', k => 5, gain => 'rating');
BEGIN;
DELETE FROM fact_ratings f USING test_set('test') t JOIN dim_customer c USING (customer_id) JOIN dim_movie m USING (movie_id)
WHERE f.customer_key = c.customer_key AND f.movie_key = m.movie_key;
CREATE TEMP TABLE lists AS SELECT customer_id::int, movie_id, rank FROM recommend_all(5, 'als', customer_ids => (SELECT array_agg(DISTINCT customer_id) FROM relevant));
CREATE TEMP TABLE popular AS
SELECT customer_id, movie_id, rank FROM (SELECT DISTINCT customer_id FROM relevant) c, LATERAL (
    SELECT movie_id, row_number() OVER (ORDER BY n DESC, movie_key) AS rank
    FROM (SELECT movie_key, movie_id, count(*) AS n FROM fact_ratings JOIN dim_movie USING (movie_key) WHERE NOT is_probe GROUP BY 1, 2) m
    WHERE NOT EXISTS (SELECT FROM fact_ratings f JOIN dim_customer d USING (customer_key) WHERE f.movie_key = m.movie_key AND d.customer_id = c.customer_id)
    ORDER BY n DESC, movie_key LIMIT 5) l;
COMMIT;
CREATE FUNCTION pg_temp.by_hand(list regclass) RETURNS TABLE ("precision" float8, recall float8, hit_rate float8, mrr float8, map float8, ndcg float8, graded float8) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
    WITH hit AS (SELECT l.customer_id, rank, r.rating, row_number() OVER (PARTITION BY l.customer_id ORDER BY rank) AS hits FROM %s l JOIN relevant r USING (customer_id, movie_id)),
    ideal AS (SELECT customer_id, count(*) AS relevant, sum(1 / log(2.0, 1 + place)) FILTER (WHERE place <= 5) AS dcg, sum(rating / log(2.0, 1 + place)) FILTER (WHERE place <= 5) AS graded
              FROM (SELECT customer_id, rating, row_number() OVER (PARTITION BY customer_id ORDER BY rating DESC) AS place FROM relevant) r GROUP BY 1),
    of_customer AS (
        SELECT i.customer_id, count(rank) / 5.0 AS precision, count(rank) / relevant::float8 AS recall, count(rank) > 0 AS hit, coalesce(1.0 / min(rank), 0) AS rr,
               coalesce(sum(hits / rank::float8), 0) / relevant AS ap, coalesce(sum(1 / log(2.0, 1 + rank)), 0) / i.dcg AS ndcg, coalesce(sum(rating / log(2.0, 1 + rank)), 0) / i.graded AS graded
        FROM ideal i LEFT JOIN hit USING (customer_id) GROUP BY 1, relevant, i.dcg, i.graded)
    SELECT avg(o.precision)::float8, avg(o.recall)::float8, avg(hit::int)::float8, avg(rr)::float8, avg(ap)::float8, avg(o.ndcg)::float8, avg(o.graded)::float8 FROM of_customer o $q$, list);
END $$;
SELECT ranking, abs(r.precision - h.precision) < 1e-9 AS precision, abs(r.recall - h.recall) < 1e-9 AS recall, abs(r.hit_rate - h.hit_rate) < 1e-9 AS hit_rate, abs(r.mrr - h.mrr) < 1e-9 AS mrr,
       abs(r.map - h.map) < 1e-9 AS map, abs(r.ndcg - h.ndcg) < 1e-9 AS ndcg, abs(g.ndcg - h.graded) < 1e-9 AS graded
FROM ranked r JOIN graded g USING (ranking) JOIN (SELECT 'als' AS ranking, h.* FROM pg_temp.by_hand('lists') h UNION ALL SELECT 'most popular', h.* FROM pg_temp.by_hand('popular') h) h USING (ranking);
SELECT ranking, abs(r.coverage - l.movies / known::float8) < 1e-12 AS coverage, abs(r.popularity - l.popularity) < 1e-9 AS popularity, abs(r.novelty - l.novelty) < 1e-9 AS novelty, gini > 0 AND gini < 1 AS gini
FROM ranked r, (SELECT count(*) AS known FROM movie_factors JOIN model USING (model_id) WHERE name = 'als') k,
     (SELECT count(DISTINCT movie_id) AS movies, avg(n) AS popularity, avg(-log(2.0, n::numeric / customers)) AS novelty
      FROM lists JOIN (SELECT movie_id, count(*) AS n FROM train_counts GROUP BY 1) m USING (movie_id), (SELECT count(DISTINCT customer_id) AS customers FROM train_counts) c) l
WHERE ranking = 'als';
DROP EXTENSION netflix_rec;

-- Of a sample of the customers, the standard errors say how far the means may be off.
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');
SELECT name FROM split_ratings('test', fraction => 0.2);
SELECT version FROM train_als(factors => 5, split => 'test');
SELECT ranking, s.customers < w.customers / 2 AS fewer, s.sample, w.sample AS whole, abs(s.ndcg - w.ndcg) < 4 * s.ndcg_error AS near, s.ndcg_error > w.ndcg_error AS surer,
       s.precision_error > 0 AND s.recall_error > 0 AND s.hit_rate_error > 0 AND s.mrr_error > 0 AND s.map_error > 0 AS errors
FROM evaluate_ranking('als', 'test', sample => 0.3) s JOIN evaluate_ranking('als', 'test') w USING (ranking) WHERE ranking = 'als';
-- A customer whose test movies are all unknown to the model is judged as well: nothing of them is in the list.
BEGIN;
DELETE FROM movie_factors WHERE movie_key NOT IN (SELECT movie_key FROM movie_factors ORDER BY movie_key LIMIT 20) AND model_id = model_id('als');
SELECT ranking, customers > 100 AS customers, precision > 0 AS precision, coverage <= 1 AS coverage FROM evaluate_ranking('als', 'test');
ROLLBACK;

-- Mistakes.
SELECT * FROM evaluate_slices(by => 'genre', split => 'test');
\echo :SQLSTATE
SELECT * FROM evaluate_slices('nonesuch', 'test');
SELECT * FROM compare_models('{als,nonesuch}', 'test');
SELECT * FROM compare_models('{als@7}', 'test');
SELECT * FROM compare_models('{}', 'test');
SELECT * FROM compare_models('{als,NULL}', 'test');
SELECT * FROM compare_models(split => 'test', resamples => 1);
SELECT * FROM compare_models(split => 'test', confidence => 95);
SELECT * FROM compare_models(split => 'nonesuch');
SELECT * FROM evaluate_ranking(split => 'train');
\echo :SQLSTATE
SELECT * FROM evaluate_ranking(split => 'test', k => 0);
SELECT * FROM evaluate_ranking(split => 'test', k => 1000000);
SELECT * FROM evaluate_ranking(split => 'test', relevant => 6);
SELECT * FROM evaluate_ranking(split => 'test', gain => 'stars');
SELECT * FROM evaluate_ranking(split => 'test', sample => 0);
SET netflix_rec.max_memory = '1MB';
SELECT * FROM compare_models(split => 'test', resamples => 100000);
RESET netflix_rec.max_memory;
UPDATE fact_ratings SET rating = 2;
SELECT * FROM evaluate_ranking(split => 'test');
DROP EXTENSION netflix_rec;

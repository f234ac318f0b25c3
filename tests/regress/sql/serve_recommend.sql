-- recommend() lists the movies that a customer has not rated and would like best.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT * FROM recommend(1);
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
SELECT version FROM train_als(factors => 10, iterations => 5);
SELECT customer_id AS customer, customer_key FROM dim_customer WHERE rating_count = 100 ORDER BY 1 LIMIT 1 \gset
SELECT rank, count(title) AS titled, bool_and(predicted_rating BETWEEN 1 AND 5) AS on_scale
FROM recommend(:customer, 3) GROUP BY rank ORDER BY rank;

-- The same by hand: every movie that the model knows and the customer has not rated, ordered by score, then by id.
CREATE TEMP VIEW by_hand AS
SELECT c.customer_key, movie_id, global_mean + c.bias + m.bias
       + (SELECT sum(p * q) FROM unnest(c.factors, m.factors) AS product (p, q)) AS score,
       EXISTS (SELECT FROM fact_ratings f WHERE f.customer_key = c.customer_key AND f.movie_key = m.movie_key) AS seen
FROM customer_factors c JOIN movie_factors m USING (model_id) JOIN model USING (model_id)
JOIN dim_movie USING (movie_key);
SELECT count(*) AS listed, count(h.movie_id) AS as_by_hand, bool_and(abs(r.predicted_rating - h.predicted) < 1e-4) AS same_rating
FROM recommend(:customer, 20) r
LEFT JOIN (SELECT row_number() OVER (ORDER BY score DESC, movie_id) AS rank, movie_id,
                  least(5, greatest(1, score)) AS predicted
           FROM by_hand WHERE customer_key = :customer_key AND NOT seen) h USING (rank, movie_id);
SELECT count(*) = (SELECT count(*) FROM by_hand WHERE customer_key = :customer_key AND NOT seen) AS all_unseen
FROM recommend(:customer, 1000000);
SELECT count(*) = (SELECT count(*) FROM movie_factors) AS all_movies
FROM recommend(:customer, 1000000, remove_seen => false);

-- In a join, as BI tools use it.
SELECT customer_id > 0 AS customer, count(*) FROM (SELECT customer_id FROM dim_customer ORDER BY 1 LIMIT 3) c,
LATERAL recommend(customer_id, 5) GROUP BY 1;

-- A statement with many calls takes little memory, because the memory of each call is freed before the next.
SELECT count(*), max(total_bytes) AS bytes FROM (SELECT customer_id FROM dim_customer ORDER BY 1 LIMIT 300) c,
LATERAL recommend(customer_id, 1),
LATERAL (SELECT sum(total_bytes) AS total_bytes FROM pg_backend_memory_contexts WHERE customer_id > 0) m \gset many_
SELECT :many_count AS recommended, :many_bytes < 50000000 AS little_memory;

-- A customer who is not in the data gets the movies with the highest biases.
SELECT count(*) AS listed, count(b.movie_id) AS as_by_hand
FROM recommend(0, 20) r
LEFT JOIN (SELECT row_number() OVER (ORDER BY global_mean + bias DESC, movie_id) AS rank, movie_id
           FROM model JOIN movie_factors USING (model_id) JOIN dim_movie USING (movie_key)) b USING (rank, movie_id);
-- A NULL customer gets no rows.
SELECT * FROM recommend(NULL);

-- The model is chosen by name or by a setting. A model that does not exist gives an error.
SELECT version FROM train_als('small', factors => 2, iterations => 1);
SELECT version FROM train_als('Größe', factors => 2, iterations => 1);
SELECT count(*) FROM recommend(:customer, 5, 'small');
SELECT * FROM recommend(:customer, 5, 'smal');
\echo :SQLSTATE
SET netflix_rec.default_model = 'smal';
SELECT * FROM recommend(:customer);
SET netflix_rec.default_model = 'small';
SELECT count(*) FROM recommend(:customer);
RESET netflix_rec.default_model;

-- n must be positive.
SELECT * FROM recommend(:customer, 0);
SELECT * FROM recommend(:customer, -5);

-- This customer came after the training, and is folded in. Movies that the customer has rated are not listed.
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT count(*), count(*) FILTER (WHERE movie_id = 3) AS seen FROM recommend(2649429, 1000000);
DROP VIEW by_hand;
DROP EXTENSION netflix_rec;

-- What a model answers: lists with filters, for new customers and for all customers; similar movies and customers;
-- explanations.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
SELECT version FROM train_als(factors => 10, iterations => 5);
SELECT version FROM train_bpmf(factors => 3, burn_in => 2, samples => 4, links => false);
SELECT version FROM train_baseline();
SET netflix_rec.default_model = 'als';

-- A hundred customers, and their scores for all movies, computed by hand.
CREATE TEMP TABLE hundred AS
SELECT customer_id, customer_key FROM dim_customer JOIN customer_factors USING (customer_key)
WHERE model_id = model_id('als') ORDER BY md5(customer_id::text) LIMIT 100;
CREATE TEMP TABLE by_hand AS
SELECT h.customer_id, d.movie_id, d.release_year, d.rating_count, global_mean::float8 + c.bias + m.bias
       + c.factors[1]::float8 * m.factors[1] + c.factors[2]::float8 * m.factors[2] + c.factors[3]::float8 * m.factors[3]
       + c.factors[4]::float8 * m.factors[4] + c.factors[5]::float8 * m.factors[5] + c.factors[6]::float8 * m.factors[6]
       + c.factors[7]::float8 * m.factors[7] + c.factors[8]::float8 * m.factors[8] + c.factors[9]::float8 * m.factors[9]
       + c.factors[10]::float8 * m.factors[10] AS score,
       f.rating IS NOT NULL AS is_seen
FROM hundred h JOIN customer_factors c USING (customer_key) JOIN movie_factors m USING (model_id) JOIN model USING (model_id)
JOIN dim_movie d USING (movie_key) LEFT JOIN fact_ratings f ON f.customer_key = h.customer_key AND f.movie_key = d.movie_key
WHERE model_id = model_id('als');
CREATE INDEX ON by_hand (customer_id, movie_id);
ANALYZE by_hand;
-- Compares the lists with those by hand, rank by rank. The score at each rank must be the same. The movie may differ,
-- because two scores may differ by less than the rounding error.
CREATE FUNCTION pg_temp.agree(call text, condition text) RETURNS TABLE (lists bigint, as_by_hand bool) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('
        WITH ranked AS (
            SELECT customer_id, score, row_number() OVER (PARTITION BY customer_id ORDER BY score DESC, movie_id) AS rank
            FROM by_hand WHERE %2$s
        ), listed AS (SELECT h.customer_id, r.* FROM hundred h, LATERAL %1$s r)
        SELECT count(DISTINCT customer_id),
               bool_and(b.score IS NOT NULL AND abs(b.score - ranked.score) < 1e-5
                        AND abs(l.predicted_rating - least(5, greatest(1, b.score))) < 1e-5)
        FROM (SELECT * FROM ranked WHERE rank <= 10) ranked
        FULL JOIN listed l USING (customer_id, rank)
        LEFT JOIN (SELECT * FROM by_hand WHERE %2$s) b USING (customer_id, movie_id)', call, condition);
END $$;
SELECT * FROM pg_temp.agree('recommend(customer_id)', 'NOT is_seen');
SELECT * FROM pg_temp.agree('recommend(customer_id, remove_seen => false)', 'true');
SELECT * FROM pg_temp.agree('recommend(customer_id, min_year => 1990)', 'NOT is_seen AND release_year >= 1990');
SELECT * FROM pg_temp.agree('recommend(customer_id, max_year => 1980)', 'NOT is_seen AND release_year <= 1980');
SELECT * FROM pg_temp.agree('recommend(customer_id, min_year => 1980, max_year => 1989)', 'NOT is_seen AND release_year BETWEEN 1980 AND 1989');
SELECT * FROM pg_temp.agree('recommend(customer_id, min_ratings => 400)', 'NOT is_seen AND rating_count >= 400');
SELECT array_agg(movie_id) AS favourites FROM (SELECT movie_id FROM by_hand GROUP BY 1 ORDER BY sum(score) DESC LIMIT 20) f \gset
SELECT * FROM pg_temp.agree(format('recommend(customer_id, exclude_movie_ids => %L)', :'favourites'), format('NOT is_seen AND NOT movie_id = ANY (%L::int[])', :'favourites'));
-- Filters that pass few or none of the best movies, and a long list.
SELECT * FROM pg_temp.agree('recommend(customer_id, min_year => 1975, max_year => 1975, min_ratings => 50)', 'NOT is_seen AND release_year = 1975 AND rating_count >= 50');
SELECT count(*) = 150 AS long, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM by_hand b WHERE b.movie_id = r.movie_id AND b.release_year >= 1990)) AS too_old, count(DISTINCT rank) = max(rank) AS each_rank
FROM recommend((SELECT customer_id FROM hundred LIMIT 1), 150, min_year => 1990) r;
-- Without n there are ten rows. An excluded id that no movie has changes nothing.
SELECT count(*) FROM recommend((SELECT customer_id FROM hundred LIMIT 1), NULL);
SELECT count(*) AS different FROM (
    SELECT h.customer_id, r.* FROM hundred h, LATERAL recommend(h.customer_id) r
    EXCEPT SELECT h.customer_id, r.* FROM hundred h, LATERAL recommend(h.customer_id, exclude_movie_ids => '{99999999}') r
) d;
-- A filter that no movie passes.
SELECT count(*) FROM recommend((SELECT customer_id FROM hundred LIMIT 1), min_year => 2100);
-- Filters also apply to the list for an unknown customer. An excluded id must not be NULL.
SELECT count(*), min(release_year) >= 1990 AS recent FROM recommend(0, 5, min_year => 1990);
SELECT * FROM recommend(1, exclude_movie_ids => ARRAY[1, NULL]);

-- For all customers in one call: the same lists, with bit-identical predictions.
SELECT count(*) = 10 * (SELECT count(*) FROM dim_customer) AS ten_for_each, count(DISTINCT customer_id) = (SELECT count(*) FROM dim_customer) AS each_once
FROM recommend_all();
SELECT count(*) AS different FROM (
    SELECT a.* FROM hundred h JOIN recommend_all(5) a USING (customer_id)
    EXCEPT SELECT customer_id, r.rank, r.movie_id, r.title, r.release_year, r.predicted_rating, r.source FROM hundred h, LATERAL recommend(customer_id, 5) r
) d;
-- For some customers: each is listed once, in the given order. An unknown customer gets the movies with the highest
-- biases, a NULL gets nothing.
SELECT array_agg(customer_id) AS some FROM (SELECT customer_id FROM hundred LIMIT 3) s \gset
SELECT count(*) AS different FROM (
    SELECT a.* FROM recommend_all(5, customer_ids => :'some'::int[] || 0 || NULL::int, min_year => 1980) a
    EXCEPT SELECT c, r.rank, r.movie_id, r.title, r.release_year, r.predicted_rating, r.source
    FROM unnest(:'some'::int[] || 0) c, LATERAL recommend(c, 5, min_year => 1980) r
) d;
SELECT count(*), count(DISTINCT customer_id) FROM recommend_all(customer_ids => :'some'::int[] || 0 || NULL::int || :'some'::int[], n => 5);
-- No customers give no rows, however the call says so.
SELECT count(*) FROM recommend_all(customer_ids => '{}');
SELECT count(*) FROM recommend_all(customer_ids => NULL);
SELECT count(*) FROM recommend_all(customer_ids => (SELECT array_agg(customer_id) FROM dim_customer WHERE customer_id < 0), n => 5);
SELECT * FROM recommend_all(0);
-- Rows are computed when they are fetched. So this query ends early.
SELECT (recommend_all(1)).rank LIMIT 3;

-- recommend_for folds in somebody who is not in the data, from ratings of some movies. The list is that of a customer
-- who gave the same ratings.
SELECT customer_id AS customer, customer_key FROM hundred LIMIT 1 \gset
SELECT array_agg(movie_id ORDER BY movie_id) AS movies, array_agg(rating ORDER BY movie_id) AS stars
FROM fact_ratings JOIN dim_movie USING (movie_key) WHERE customer_key = :customer_key AND NOT is_probe \gset
SELECT count(*) AS listed, count(f.movie_id) AS as_the_customer, bool_and(abs(r.predicted_rating - f.predicted_rating) < 1e-4) AS same_rating
FROM recommend(:customer, 8, remove_seen => false) r LEFT JOIN recommend_for(:'movies', :'stars', 8, remove_seen => false) f USING (movie_id);
SELECT count(*) FILTER (WHERE movie_id = ANY (:'movies'::int[])) AS rated FROM recommend_for(:'movies', :'stars', 1000000);
-- Without ratings, the list is that of an average customer.
SELECT count(*), min(release_year) >= 1990 AS recent FROM recommend_for('{}', '{}', 4, min_year => 1990);
SELECT * FROM recommend_for(NULL, NULL);
SELECT * FROM recommend_for(ARRAY[1, 2], ARRAY[5]);
SELECT * FROM recommend_for(ARRAY[1, 1], ARRAY[5, 4]);
SELECT * FROM recommend_for(ARRAY[1], ARRAY[6]);
SELECT * FROM recommend_for(ARRAY[1], ARRAY['NaN'::real]);
SELECT * FROM recommend_for(ARRAY[1, NULL], ARRAY[5, 4]);
SELECT * FROM recommend_for(ARRAY[1], ARRAY[NULL::real]);
SELECT * FROM recommend_for(ARRAY[99999999], ARRAY[5]);
-- A Bayesian model folds in, too. The answer is the same at each call, and lists no rated movie.
CREATE TEMP TABLE bayesian AS SELECT movie_id, predicted_rating FROM recommend_for(ARRAY[1, 2], ARRAY[5, 1], 10, 'bpmf');
SELECT count(*), bool_and(movie_id NOT IN (1, 2)) AS unrated FROM bayesian;
SELECT count(*) FROM (TABLE pg_temp.bayesian EXCEPT SELECT movie_id, predicted_rating FROM recommend_for(ARRAY[1, 2], ARRAY[5, 1], 10, 'bpmf')) d;
-- It cannot fold in without the prior of its customers, which training stores.
BEGIN;
UPDATE model SET prior = NULL WHERE name = 'bpmf';
SELECT * FROM recommend_for(ARRAY[1], ARRAY[5], model => 'bpmf');
ROLLBACK;

-- refresh_customer folds a customer in. From the ratings of the training, the result is the trained factors.
CREATE TEMP TABLE trained AS SELECT customer_id, bias, factors FROM hundred JOIN customer_factors USING (customer_key) WHERE model_id = model_id('als');
SELECT count(*), bool_and(r.ratings > 0) AS with_ratings FROM trained t, LATERAL refresh_customer(t.customer_id) r;
SELECT max(greatest(abs(c.bias - t.bias), (SELECT max(abs(a - b)) FROM unnest(c.factors, t.factors) AS pair (a, b)))) < 1e-4 AS as_trained
FROM trained t JOIN hundred USING (customer_id) JOIN customer_factors c USING (customer_key) WHERE model_id = model_id('als');
-- A customer who came after the training gets factors, and loses them when the ratings are gone.
INSERT INTO dim_customer VALUES ((SELECT max(customer_key) + 1 FROM dim_customer), 2649430, 0) RETURNING customer_key AS new_key \gset
SELECT * FROM refresh_customer(2649430);
SELECT count(*) FROM similar_customers(2649430);
INSERT INTO fact_ratings SELECT (SELECT max(rating_key) FROM fact_ratings) + n, :new_key, n, (SELECT min(date_key) FROM dim_date), 1 + n % 5, false FROM generate_series(1, 40) n;
SELECT * FROM refresh_customer(2649430);
SELECT count(*) FROM similar_customers(2649430);
-- Another model folds the same customer in at each call. If it cannot, because its prior is missing, only popularity counts.
SELECT DISTINCT source FROM recommend(2649430, 5, 'bpmf');
BEGIN;
UPDATE model SET prior = NULL WHERE name = 'bpmf';
SELECT DISTINCT source FROM recommend(2649430, 5, 'bpmf');
ROLLBACK;
-- The trigger of the manual calls refresh_customer for each new rating. The rating is also kept if no model can be
-- refreshed.
CREATE FUNCTION refresh_raters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refresh_customer(customer_id) FROM dim_customer WHERE customer_key IN (SELECT customer_key FROM new_ratings);
    RETURN NULL;
EXCEPTION WHEN undefined_object OR object_not_in_prerequisite_state OR feature_not_supported OR numeric_value_out_of_range THEN
    RETURN NULL; -- no model is deployed, or one that cannot fold these ratings in: they are kept all the same
END $$;
CREATE TRIGGER refresh_raters AFTER INSERT ON fact_ratings
REFERENCING NEW TABLE AS new_ratings FOR EACH STATEMENT EXECUTE FUNCTION refresh_raters();
SELECT bias AS before FROM customer_factors WHERE customer_key = :new_key AND model_id = model_id('als') \gset
INSERT INTO fact_ratings SELECT (SELECT max(rating_key) FROM fact_ratings) + 1, :new_key, 41, (SELECT min(date_key) FROM dim_date), 5, false;
SELECT bias <> :before AS is_anew FROM customer_factors WHERE customer_key = :new_key AND model_id = model_id('als');
SET netflix_rec.default_model = 'bpmf';
INSERT INTO fact_ratings SELECT (SELECT max(rating_key) FROM fact_ratings) + 1, :new_key, 42, (SELECT min(date_key) FROM dim_date), 5, false;
SET netflix_rec.default_model = 'nothing';
INSERT INTO fact_ratings SELECT (SELECT max(rating_key) FROM fact_ratings) + 1, :new_key, 43, (SELECT min(date_key) FROM dim_date), 5, false;
SELECT version FROM train_svd('free', factors => 60, iterations => 1, regularization => 0, bias_regularization => 0);
SET netflix_rec.default_model = 'free';
SELECT * FROM refresh_customer(2649430);
INSERT INTO fact_ratings SELECT (SELECT max(rating_key) FROM fact_ratings) + 1, :new_key, 44, (SELECT min(date_key) FROM dim_date), 5, false;
SET netflix_rec.default_model = 'als';
SELECT count(*) AS kept FROM fact_ratings WHERE customer_key = :new_key;
DROP FUNCTION refresh_raters CASCADE;
DELETE FROM fact_ratings WHERE customer_key = :new_key;
SELECT * FROM refresh_customer(2649430);
SELECT count(*) FROM similar_customers(2649430);
SELECT * FROM refresh_customer(NULL);
SELECT * FROM refresh_customer(0);
-- In a Bayesian model, the folded-in customer's predictions are close to those of the samples.
BEGIN;
CREATE TEMP TABLE sampled AS SELECT movie_id, predicted_rating, predicted_sd FROM generate_series(1, 300) AS movie_id, LATERAL predict_rating(:customer, movie_id, 'bpmf');
SELECT ratings = cardinality(:'movies'::int[]) AS by_all FROM refresh_customer(:customer, 'bpmf');
SELECT avg(abs(p.predicted_rating - s.predicted_rating)) < 0.2 AS alike, bool_and(p.predicted_sd IS NOT NULL) AS unsure
FROM sampled s, LATERAL predict_rating(:customer, movie_id, 'bpmf') p;
ROLLBACK;

-- explain: its lines sum up to the prediction.
SELECT count(*), max(abs(total - predicted_rating)) < 1e-4 AS sums_up FROM (
    SELECT predicted_rating, (SELECT sum(contribution) FROM explain(customer_id, movie_id)) AS total
    FROM (SELECT customer_id, movie_id FROM by_hand ORDER BY md5(customer_id || ' ' || movie_id) LIMIT 100) pair,
         LATERAL predict_rating(customer_id, movie_id)
) e;
SELECT title, contribution > 3 AS usual FROM explain(:customer, 1) WHERE movie_id IS NULL ORDER BY contribution DESC LIMIT 1;
SELECT count(*) FILTER (WHERE rating IS NOT NULL) = cardinality(:'movies'::int[]) AS a_line_a_rating, count(*) FILTER (WHERE movie_id = ANY (:'movies'::int[])) = cardinality(:'movies'::int[]) AS each_rated
FROM explain(:customer, 1);
-- If the customer or the movie is not in the data, there are fewer lines.
SELECT title FROM explain(0, 1);
SELECT title FROM explain(:customer, 99999999);
SELECT title FROM explain(0, 99999999);
SELECT * FROM explain(NULL, 1);
-- For a Bayesian model, one line is the prior: what the model expects of every customer.
SELECT count(*), max(abs(total - predicted_rating)) < 1e-3 AS sums_up, count(*) FILTER (WHERE expected) AS expected FROM (
    SELECT predicted_rating, (SELECT sum(contribution) FROM explain(:customer, movie_id, 'bpmf')) AS total,
           EXISTS (SELECT FROM explain(:customer, movie_id, 'bpmf') WHERE title = '(what the model expects of every customer)') AS expected
    FROM generate_series(1, 20) AS movie_id, LATERAL predict_rating(:customer, movie_id, 'bpmf')
) e;
-- The lines also sum up for a model of biases alone.
SELECT abs(sum(contribution) - (SELECT predicted_rating FROM predict_rating(:customer, 1, 'baseline'))) < 1e-4 AS sums_up FROM explain(:customer, 1, 'baseline');

-- Similar movies and customers, by the cosine between their factors.
SELECT movie_id AS popular FROM dim_movie ORDER BY rating_count DESC, movie_id LIMIT 1 \gset
CREATE TEMP VIEW movie_cosine AS
SELECT d.movie_id, (SELECT sum(a::float8 * b) / sqrt(sum(a::float8 * a)) / sqrt(sum(b::float8 * b)) FROM unnest(this.factors, m.factors) AS pair (a, b)) AS cosine
FROM movie_factors this JOIN dim_movie t USING (movie_key) JOIN movie_factors m USING (model_id) JOIN dim_movie d ON d.movie_key = m.movie_key
WHERE model_id = model_id('als') AND t.movie_id = :popular AND m.movie_key <> this.movie_key;
SELECT count(*), bool_and(abs(s.similarity - c.cosine) < 1e-5) AS as_by_hand, max(similarity) <= 1 AS at_most_one
FROM similar_movies(:popular, 20) s JOIN (SELECT row_number() OVER (ORDER BY cosine DESC, movie_id) AS rank, cosine FROM movie_cosine) c USING (rank);
SELECT count(*) = (SELECT count(cosine) FROM movie_cosine) AS all_movies FROM similar_movies(:popular, 1000000);
SELECT count(*) FROM similar_movies(99999999);
SELECT count(*) FROM similar_movies(NULL);
SELECT * FROM similar_movies(:popular, 0);
SELECT * FROM similar_movies(:popular, model => 'baseline');
SELECT count(*), bool_and(abs(s.similarity - c.cosine) < 1e-5) AS as_by_hand
FROM similar_customers(:customer, 20) s JOIN (
    SELECT row_number() OVER (ORDER BY cosine DESC) AS rank, cosine FROM (
        SELECT (SELECT sum(a::float8 * b) / sqrt(sum(a::float8 * a)) / sqrt(sum(b::float8 * b)) FROM unnest(this.factors, o.factors) AS pair (a, b)) AS cosine
        FROM customer_factors this JOIN customer_factors o USING (model_id)
        WHERE model_id = model_id('als') AND this.customer_key = :customer_key AND o.customer_key <> this.customer_key) c
) c USING (rank);
SELECT count(*) FROM similar_customers(0);
SELECT count(*) FROM similar_customers(NULL);

-- recommend_users lists the customers who would like a movie best.
SELECT count(*), bool_and(abs(r.predicted_rating - c.predicted) < 1e-4) AS as_by_hand, bool_or(is_seen) AS seen
FROM recommend_users(:popular, 50) r JOIN (
    SELECT row_number() OVER (ORDER BY score DESC) AS rank, least(5, greatest(1, score)) AS predicted FROM (
        SELECT global_mean::float8 + c.bias + m.bias + (SELECT sum(a::float8 * b) FROM unnest(c.factors, m.factors) AS pair (a, b)) AS score
        FROM customer_factors c JOIN movie_factors m USING (model_id) JOIN model USING (model_id) JOIN dim_movie d USING (movie_key)
        WHERE model_id = model_id('als') AND d.movie_id = :popular
          AND NOT EXISTS (SELECT FROM fact_ratings f WHERE f.customer_key = c.customer_key AND f.movie_key = m.movie_key)) s
) c USING (rank), LATERAL (SELECT EXISTS (SELECT FROM fact_ratings JOIN dim_customer d USING (customer_key) JOIN dim_movie USING (movie_key)
                                          WHERE d.customer_id = r.customer_id AND movie_id = :popular) AS is_seen) s;
SELECT count(*) = (SELECT count(*) FROM customer_factors WHERE model_id = model_id('als')) AS all_known FROM recommend_users(:popular, 1000000, remove_seen => false);
SELECT count(*) FROM recommend_users(99999999);
SELECT count(*) FROM recommend_users(NULL);
SELECT * FROM recommend_users(:popular, -1);

-- A Bayesian model also returns predicted_sd. With lower_bound => 2, the list is ranked by the prediction minus two
-- times predicted_sd.
SELECT count(*) = 10 AS ten, min(predicted_sd) > 0 AS unsure FROM recommend(:customer, 10, 'bpmf');
SELECT count(*) AS listed, bool_and(abs(r.predicted_rating - p.predicted_rating) < 1e-4 AND abs(r.predicted_sd - p.predicted_sd) < 1e-4) AS as_predicted
FROM recommend(:customer, 10, 'bpmf') r, LATERAL predict_rating(:customer, r.movie_id, 'bpmf') p;
SELECT count(*) > 100 AS many, bool_and(lower <= before OR before IS NULL) AS descending FROM (
    SELECT predicted_rating - 2 * predicted_sd AS lower, lag(predicted_rating - 2 * predicted_sd) OVER (ORDER BY rank) + 1e-4 AS before
    FROM recommend(:customer, 1000000, 'bpmf', lower_bound => 2) WHERE predicted_rating < 5) l;
SELECT avg(b.predicted_sd) < avg(r.predicted_sd) AS surer FROM recommend(:customer, 30, 'bpmf', lower_bound => 3) b, recommend(:customer, 30, 'bpmf') r;
SELECT * FROM recommend(:customer, lower_bound => 1);
SELECT * FROM recommend(:customer, model => 'bpmf', lower_bound => -1);
SELECT * FROM recommend(:customer, model => 'bpmf', lower_bound => 'NaN');
SELECT * FROM recommend(:customer, model => 'bpmf', lower_bound => 101);

-- A customer who has rated every movie gets an empty list. A movie that came after the training is not listed either.
INSERT INTO fact_ratings SELECT (SELECT max(rating_key) FROM fact_ratings) + row_number() OVER (), :customer_key, movie_key, (SELECT min(date_key) FROM dim_date), 3, false
FROM dim_movie d WHERE NOT EXISTS (SELECT FROM fact_ratings f WHERE f.customer_key = :customer_key AND f.movie_key = d.movie_key);
INSERT INTO dim_movie VALUES ((SELECT max(movie_key) + 1 FROM dim_movie), 17771, 'Late', 2006, 0);
SELECT count(*) FROM recommend(:customer, 1000000);
SELECT count(*) FILTER (WHERE movie_id = 17771) AS late, count(*) = (SELECT count(*) FROM movie_factors WHERE model_id = model_id('als')) AS all_known
FROM recommend(:customer, 1000000, remove_seen => false);
SELECT abs(predicted_rating - least(5, greatest(1, global_mean + bias))) < 1e-5 AS by_bias_alone
FROM predict_rating(:customer, 17771), model JOIN customer_factors USING (model_id) WHERE model_id = model_id('als') AND customer_key = :customer_key;
SELECT count(*) AS same FROM (SELECT * FROM recommend_for(ARRAY[1, 17771], ARRAY[5, 1]) INTERSECT SELECT * FROM recommend_for(ARRAY[1], ARRAY[5])) d;

-- The column source says what the predictions are based on. All are on the scale of predict_rating.
SELECT max(customer_id) + 1 AS newcomer FROM dim_customer \gset
SELECT one.action, other.action FROM add_rating(:newcomer, 1, 5) one, add_rating(:newcomer, 2, 1) other;
SELECT c AS customer, array_agg(DISTINCT source) AS source, bool_and(abs(r.predicted_rating - predicted_rating(c, movie_id)) < 1e-5) AS as_predicted
FROM unnest(ARRAY[:customer, :newcomer, 2147483647, 99999999999]) c, LATERAL recommend(c, 5, remove_seen => false) r GROUP BY c ORDER BY c;
SELECT customer_id, array_agg(DISTINCT source) AS source, count(*) FROM recommend_all(5, remove_seen => false, customer_ids => ARRAY[:customer, :newcomer, 99999999999]) GROUP BY 1 ORDER BY 1;
-- A customer who came after the training gets the list that recommend_for gives for the same ratings. For an unknown
-- customer, a Bayesian model lists by popularity, too.
SELECT bool_and(r.movie_id = f.movie_id AND abs(r.predicted_rating - f.predicted_rating) < 1e-5) AS as_somebody_new
FROM recommend(:newcomer, 5) r JOIN recommend_for(ARRAY[1, 2], ARRAY[5, 1], 5) f USING (rank);
SELECT abs(sum(contribution) - predicted_rating(:newcomer, 7)) < 1e-4 AS adds_up FROM explain(:newcomer, 7);
SELECT DISTINCT source FROM recommend(2147483647, 5, 'bpmf');
-- For an unknown customer the predictions are the mean plus the movies' biases, as in predict_rating.
SELECT bool_and(abs(r.predicted_rating - least(5, greatest(1, global_mean + bias))) < 1e-5) AS by_bias_alone
FROM recommend(2147483647, 20) r JOIN dim_movie USING (movie_id) JOIN movie_factors USING (movie_key) JOIN model USING (model_id)
WHERE model_id = model_id('als');
-- similar_movies has the filters of recommend.
SELECT min(release_year) >= 1990 AND max(release_year) <= 1999 AS nineties, min(m.rating_count) >= 100 AS known, bool_or(movie_id = :popular) AS itself
FROM similar_movies(:popular, 20, min_year => 1990, max_year => 1999, min_ratings => 100) s JOIN dim_movie m USING (movie_id, release_year);
SELECT count(*) AS listed_though_excluded FROM similar_movies(:popular, 20, exclude_movie_ids => ARRAY(SELECT movie_id FROM similar_movies(:popular, 5))) s
WHERE movie_id IN (SELECT movie_id FROM similar_movies(:popular, 5));

-- predicted_rating returns a single value, for places where a set-returning function is not allowed.
SELECT predicted_rating(:customer, 1) = (SELECT predicted_rating FROM predict_rating(:customer, 1)) AS same,
       predicted_rating(NULL, 1), predicted_rating(:customer, NULL), CASE WHEN predicted_rating(:customer, 1, 'bpmf') > 0 THEN 'yes' END AS in_case;
SELECT count(*) > 1000 AS all_movies, avg(predicted_rating(:customer, movie_id)) BETWEEN 1 AND 5 AS mean FROM dim_movie WHERE predicted_rating(:customer, movie_id) > 0 AND movie_id <= 17770;
CREATE TEMP TABLE noted (movie_id int, predicted real);
INSERT INTO noted VALUES (1), (NULL);
UPDATE noted SET predicted = predicted_rating(:customer, movie_id);
SELECT movie_id, predicted IS NOT NULL AS predicted FROM noted;

-- Untyped literals, as some drivers send them, and arguments of wider types than those that are stored.
SELECT (SELECT count(*) FROM recommend('42', '3')), (SELECT count(*) FROM recommend_for('{1,2}', '{5,4.5}', '3')),
       (SELECT count(*) > 10000 AS all FROM recommend_all('3')), (SELECT count(*) FROM recommend_all(customer_ids => '{7}', n => '3')),
       (SELECT count(*) FROM similar_movies('1', '3')), (SELECT count(*) FROM recommend_users('1', '3')), predicted_rating('42', '1') > 0 AS value,
       (SELECT count(*) FROM recommend(42::bigint, 3::bigint)), (SELECT count(*) FROM recommend_for(ARRAY[1, 2]::bigint[], ARRAY[5, 4.5]::numeric[], 3)),
       (SELECT count(*) FROM recommend_for(ARRAY[1, 2]::smallint[], ARRAY[5, 4.5]::float8[], 3)),
       (SELECT count(*) FROM recommend(42, 3, lower_bound => 0.5::numeric, model => 'bpmf')), (SELECT count(*) FROM recommend(42, 9223372036854775807, remove_seen => false)) > 1000 AS all_movies;

-- The planner knows how many rows to expect.
CREATE FUNCTION pg_temp.expected(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT pg_temp.expected('SELECT * FROM recommend(42, 7)'), pg_temp.expected('SELECT * FROM recommend(42)'),
       pg_temp.expected('SELECT * FROM recommend_for(''{1}'', ''{5}'', 3)'), pg_temp.expected('SELECT * FROM similar_movies(1, 5 + 1)'),
       pg_temp.expected('SELECT * FROM recommend_users(1, (random() * 9)::int)'), pg_temp.expected('SELECT * FROM predict_rating(1, 1)'),
       pg_temp.expected('SELECT c.customer_id FROM (SELECT customer_id FROM dim_customer LIMIT 3) c, LATERAL recommend(c.customer_id, 4)') AS joined,
       pg_temp.expected('SELECT * FROM recommend_all(2, customer_ids => ARRAY[1, 2, 3])') AS for_three,
       pg_temp.expected('SELECT * FROM recommend_all(2)')::int / (SELECT reltuples::int FROM pg_class WHERE oid = 'dim_customer'::regclass) AS for_all;

-- With cache_memory = 0, cached factors are dropped, and each call reads them again.
SET netflix_rec.cache_memory = 0;
SELECT count(*) FROM recommend(0 + :customer, 3, 'bpmf', remove_seen => false);
SELECT count(*) FROM recommend(0 + :customer, 3, 'bpmf', remove_seen => false);
RESET netflix_rec.cache_memory;
SET netflix_rec.max_memory = 1;
SELECT count(*) FROM recommend_all(3);
-- recommend_all counts the memory for the customers' rated movies while it reads them.
SET netflix_rec.max_memory = '32MB';
SELECT count(*) > 10000 AS many FROM recommend_all(3, remove_seen => false, customer_ids => (SELECT array_agg(customer_id) FROM dim_customer));
SELECT count(*) > 10000 AS many FROM recommend_all(3, customer_ids => (SELECT array_agg(customer_id) FROM dim_customer));
RESET netflix_rec.max_memory;
-- A movie that is deleted with all its rows is no longer listed, although the session has it cached.
SELECT count(*) FROM recommend(:customer, 3, remove_seen => false);
SELECT movie_id AS gone, movie_key AS gone_key FROM similar_movies(:popular, 1) JOIN dim_movie USING (movie_id) \gset
DELETE FROM fact_ratings WHERE movie_key = :gone_key;
DELETE FROM qualifying WHERE movie_key = :gone_key;
DELETE FROM movie_factors WHERE movie_key = :gone_key;
DELETE FROM dim_movie WHERE movie_key = :gone_key;
SELECT count(*), count(*) FILTER (WHERE movie_id = :gone OR title IS NULL) AS gone, bool_and(abs(s.similarity - c.cosine) < 1e-5) AS as_by_hand
FROM similar_movies(:popular, 20) s JOIN (SELECT row_number() OVER (ORDER BY cosine DESC, movie_id) AS rank, cosine FROM movie_cosine) c USING (rank);
SELECT movie_id AS gone_too, movie_key AS gone_key FROM recommend(:customer, 1, remove_seen => false) JOIN dim_movie USING (movie_id) \gset
DELETE FROM fact_ratings WHERE movie_key = :gone_key;
DELETE FROM qualifying WHERE movie_key = :gone_key;
DELETE FROM movie_factors WHERE movie_key = :gone_key;
DELETE FROM dim_movie WHERE movie_key = :gone_key;
SELECT count(*), bool_or(movie_id = :gone_too) AS gone FROM recommend(:customer, 3, remove_seen => false);
SELECT count(*), bool_or(movie_id = :gone_too) AS gone FROM recommend(:customer, 3, remove_seen => false, min_ratings => 1);
SELECT count(*), bool_or(movie_id = :gone_too) AS gone FROM recommend_all(3, customer_ids => ARRAY[:customer], remove_seen => false);
SELECT count(*) FILTER (WHERE movie_id = :gone OR title IS NULL) AS gone, count(*) > 1000 AS many, max(rank) = count(*) AS each_rank FROM recommend(:customer, 1000000, remove_seen => false);
SELECT count(*) FILTER (WHERE movie_id = :gone OR title IS NULL) AS gone, count(*) > 1000 AS many, max(rank) = count(*) AS each_rank
FROM recommend_all(1000000, customer_ids => ARRAY[:customer, :customer], remove_seen => false);
DROP VIEW movie_cosine;
DROP EXTENSION netflix_rec;

-- explore: statistics of the ratings, ready for charts, and a check of the warehouse.
--
-- If all selected columns are in the dimensions, PostgreSQL does not read the ratings, because it removes a LEFT JOIN that adds
-- neither rows nor columns. Ratings are grouped by customer_id and movie_id, not by the keys, so that a condition on the id is
-- applied before the grouping: then the index finds the rows of one customer.

-- Unqualified names must mean PostgreSQL's own objects, whatever is in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- statistics -----------------------------------------------------------------------------------------------------

CREATE VIEW @extschema@.rating_distribution AS
SELECT s.rating::smallint, coalesce(f.rating_count, 0) AS rating_count,
       (coalesce(f.rating_count, 0) / sum(f.rating_count) OVER ())::float8 AS share
FROM generate_series(1, 5) AS s (rating)
LEFT JOIN (SELECT rating, count(*) AS rating_count FROM @extschema@.fact_ratings GROUP BY rating) AS f USING (rating);
COMMENT ON VIEW @extschema@.rating_distribution IS 'How often each rating was given';
COMMENT ON COLUMN @extschema@.rating_distribution.rating IS '1 to 5 stars';
COMMENT ON COLUMN @extschema@.rating_distribution.rating_count IS 'Number of ratings with so many stars';
COMMENT ON COLUMN @extschema@.rating_distribution.share IS
    'Their share of all ratings, 0 to 1; NULL if there are no ratings';

-- The WHERE clause removes the months before the first rating, where the sum so far is NULL, and those after the last rating,
-- where the sum was complete before them.
CREATE VIEW @extschema@.ratings_by_month AS
SELECT year, month, first_day, rating_count, rating_mean, customers, cumulative_count
FROM (
    SELECT d.year, d.month, d.first_day, coalesce(f.rating_count, 0) AS rating_count, f.rating_mean,
           coalesce(f.customers, 0) AS customers,
           (sum(f.rating_count) OVER (ORDER BY d.first_day))::bigint AS cumulative_count,
           sum(f.rating_count) OVER () AS total_count
    FROM (SELECT year, month, min(date) AS first_day, year * 100 + month AS month_key
          FROM @extschema@.dim_date GROUP BY year, month) AS d
    LEFT JOIN (SELECT date_key / 100 AS month_key, count(*) AS rating_count, avg(rating)::float8 AS rating_mean,
                      count(DISTINCT customer_key) AS customers
               FROM @extschema@.fact_ratings GROUP BY date_key / 100) AS f USING (month_key)
) AS months
WHERE cumulative_count > 0 AND cumulative_count - rating_count < total_count;
COMMENT ON VIEW @extschema@.ratings_by_month IS 'Ratings of each month, from the first month with ratings to the last';
COMMENT ON COLUMN @extschema@.ratings_by_month.year IS 'Year';
COMMENT ON COLUMN @extschema@.ratings_by_month.month IS 'Month of the year, 1 to 12';
COMMENT ON COLUMN @extschema@.ratings_by_month.first_day IS 'First day of the month';
COMMENT ON COLUMN @extschema@.ratings_by_month.rating_count IS 'Number of ratings in the month';
COMMENT ON COLUMN @extschema@.ratings_by_month.rating_mean IS 'Mean of these ratings; NULL if there are none';
COMMENT ON COLUMN @extschema@.ratings_by_month.customers IS 'Number of customers who gave them; costs a sort of all ratings';
COMMENT ON COLUMN @extschema@.ratings_by_month.cumulative_count IS
    'Number of ratings until the end of the month';

CREATE VIEW @extschema@.movie_statistics AS
SELECT m.movie_id, m.title, m.release_year, m.rating_count, m.rating_mean, f.rating_stddev,
       coalesce(f.stars_1, 0) AS stars_1, coalesce(f.stars_2, 0) AS stars_2, coalesce(f.stars_3, 0) AS stars_3,
       coalesce(f.stars_4, 0) AS stars_4, coalesce(f.stars_5, 0) AS stars_5,
       m.first_rated_on, m.last_rated_on, m.damped_mean, m.popularity_rank
FROM (
    SELECT movie_id, title, release_year, rating_count, rating_mean, first_rated_on, last_rated_on,
           (coalesce(rating_count * rating_mean, 0) + 25 * global_mean) / (rating_count + 25) AS damped_mean,
           popularity_rank
    FROM (SELECT *, sum(rating_count * rating_mean) OVER () / nullif(sum(rating_count) OVER (), 0) AS global_mean,
                 rank() OVER (ORDER BY rating_count DESC) AS popularity_rank
          FROM @extschema@.dim_movie) AS ranked
) AS m
LEFT JOIN (
    SELECT d.movie_id, stddev_pop(f.rating)::float8 AS rating_stddev,
           count(*) FILTER (WHERE f.rating = 1) AS stars_1, count(*) FILTER (WHERE f.rating = 2) AS stars_2,
           count(*) FILTER (WHERE f.rating = 3) AS stars_3, count(*) FILTER (WHERE f.rating = 4) AS stars_4,
           count(*) FILTER (WHERE f.rating = 5) AS stars_5
    FROM @extschema@.fact_ratings AS f JOIN @extschema@.dim_movie AS d USING (movie_key) GROUP BY d.movie_id
) AS f USING (movie_id);
COMMENT ON VIEW @extschema@.movie_statistics IS 'Statistics of each movie''s ratings';
COMMENT ON COLUMN @extschema@.movie_statistics.movie_id IS 'The data set''s own id';
COMMENT ON COLUMN @extschema@.movie_statistics.title IS 'Title; NULL if unknown';
COMMENT ON COLUMN @extschema@.movie_statistics.release_year IS 'Year of release; NULL if unknown';
COMMENT ON COLUMN @extschema@.movie_statistics.rating_count IS 'Number of its ratings, including those of the probe';
COMMENT ON COLUMN @extschema@.movie_statistics.rating_mean IS 'Mean of these ratings; NULL if there are none';
COMMENT ON COLUMN @extschema@.movie_statistics.rating_stddev IS
    'Population standard deviation of these ratings; NULL if there are none';
COMMENT ON COLUMN @extschema@.movie_statistics.stars_1 IS 'Number of ratings that are 1';
COMMENT ON COLUMN @extschema@.movie_statistics.stars_2 IS 'Number of ratings that are 2';
COMMENT ON COLUMN @extschema@.movie_statistics.stars_3 IS 'Number of ratings that are 3';
COMMENT ON COLUMN @extschema@.movie_statistics.stars_4 IS 'Number of ratings that are 4';
COMMENT ON COLUMN @extschema@.movie_statistics.stars_5 IS 'Number of ratings that are 5';
COMMENT ON COLUMN @extschema@.movie_statistics.first_rated_on IS 'Day of the first rating';
COMMENT ON COLUMN @extschema@.movie_statistics.last_rated_on IS 'Day of the last rating';
COMMENT ON COLUMN @extschema@.movie_statistics.damped_mean IS
    'Mean with 25 average ratings added: (sum of its ratings + 25 * mean of all ratings) / (rating_count + 25)';
COMMENT ON COLUMN @extschema@.movie_statistics.popularity_rank IS
    'Rank by rating_count, 1 for the most; movies with equal counts have the same rank';

CREATE VIEW @extschema@.customer_statistics AS
SELECT c.customer_id, c.rating_count, c.rating_mean, f.rating_stddev,
       coalesce(f.stars_1, 0) AS stars_1, coalesce(f.stars_2, 0) AS stars_2, coalesce(f.stars_3, 0) AS stars_3,
       coalesce(f.stars_4, 0) AS stars_4, coalesce(f.stars_5, 0) AS stars_5,
       c.first_rated_on, c.last_rated_on, coalesce(f.active_days, 0) AS active_days
FROM @extschema@.dim_customer AS c
LEFT JOIN (
    SELECT d.customer_id, stddev_pop(f.rating)::float8 AS rating_stddev,
           count(*) FILTER (WHERE f.rating = 1) AS stars_1, count(*) FILTER (WHERE f.rating = 2) AS stars_2,
           count(*) FILTER (WHERE f.rating = 3) AS stars_3, count(*) FILTER (WHERE f.rating = 4) AS stars_4,
           count(*) FILTER (WHERE f.rating = 5) AS stars_5, count(DISTINCT f.date_key) AS active_days
    FROM @extschema@.fact_ratings AS f JOIN @extschema@.dim_customer AS d USING (customer_key) GROUP BY d.customer_id
) AS f USING (customer_id);
COMMENT ON VIEW @extschema@.customer_statistics IS 'Statistics of each customer''s ratings';
COMMENT ON COLUMN @extschema@.customer_statistics.customer_id IS 'The data set''s own id';
COMMENT ON COLUMN @extschema@.customer_statistics.rating_count IS
    'Number of the customer''s ratings, including those of the probe';
COMMENT ON COLUMN @extschema@.customer_statistics.rating_mean IS 'Mean of these ratings; NULL if there are none';
COMMENT ON COLUMN @extschema@.customer_statistics.rating_stddev IS
    'Population standard deviation of these ratings; NULL if there are none';
COMMENT ON COLUMN @extschema@.customer_statistics.stars_1 IS 'Number of ratings that are 1';
COMMENT ON COLUMN @extschema@.customer_statistics.stars_2 IS 'Number of ratings that are 2';
COMMENT ON COLUMN @extschema@.customer_statistics.stars_3 IS 'Number of ratings that are 3';
COMMENT ON COLUMN @extschema@.customer_statistics.stars_4 IS 'Number of ratings that are 4';
COMMENT ON COLUMN @extschema@.customer_statistics.stars_5 IS 'Number of ratings that are 5';
COMMENT ON COLUMN @extschema@.customer_statistics.first_rated_on IS 'Day of the first rating';
COMMENT ON COLUMN @extschema@.customer_statistics.last_rated_on IS 'Day of the last rating';
COMMENT ON COLUMN @extschema@.customer_statistics.active_days IS
    'Number of days on which the customer rated';

-- normalization --------------------------------------------------------------------------------------------------

-- If a customer's ratings are all the same, each of them is at the mean: the z-score is 0, not NULL.
CREATE VIEW @extschema@.normalized_ratings AS
SELECT c.customer_id, m.movie_id, f.rating,
       f.rating - (SELECT sum(rating_count * rating_mean) / sum(rating_count) FROM @extschema@.dim_movie
                   WHERE rating_count > 0) AS minus_global_mean,
       f.rating - c.rating_mean AS minus_customer_mean,
       f.rating - m.rating_mean AS minus_movie_mean,
       CASE s.rating_stddev WHEN 0 THEN 0 ELSE (f.rating - c.rating_mean) / s.rating_stddev END AS z_score,
       f.is_probe
FROM @extschema@.fact_ratings AS f
JOIN @extschema@.dim_customer AS c USING (customer_key)
JOIN @extschema@.dim_movie AS m USING (movie_key)
LEFT JOIN (
    SELECT d.customer_id, stddev_pop(f.rating)::float8 AS rating_stddev
    FROM @extschema@.fact_ratings AS f JOIN @extschema@.dim_customer AS d USING (customer_key) GROUP BY d.customer_id
) AS s USING (customer_id);
COMMENT ON VIEW @extschema@.normalized_ratings IS
    'Each rating minus the mean of all, of its customer and of its movie; the means include the ratings of the probe';
COMMENT ON COLUMN @extschema@.normalized_ratings.customer_id IS 'Who rated';
COMMENT ON COLUMN @extschema@.normalized_ratings.movie_id IS 'What was rated';
COMMENT ON COLUMN @extschema@.normalized_ratings.rating IS '1 to 5 stars';
COMMENT ON COLUMN @extschema@.normalized_ratings.minus_global_mean IS 'The rating minus the mean of all ratings';
COMMENT ON COLUMN @extschema@.normalized_ratings.minus_customer_mean IS 'The rating minus the mean of the customer''s ratings';
COMMENT ON COLUMN @extschema@.normalized_ratings.minus_movie_mean IS 'The rating minus the mean of the movie''s ratings';
COMMENT ON COLUMN @extschema@.normalized_ratings.z_score IS
    'minus_customer_mean divided by the population standard deviation of the customer''s ratings; 0 if these are all the same';
COMMENT ON COLUMN @extschema@.normalized_ratings.is_probe IS 'Whether probe.txt names the pair';

CREATE VIEW @extschema@.movie_bias AS
SELECT movie_id, train_count, global_mean,
       coalesce((train_sum - train_count * global_mean) / (train_count + 25), 0) AS bias
FROM (
    SELECT m.movie_id, coalesce(f.train_count, 0) AS train_count, coalesce(f.train_sum, 0) AS train_sum,
           (sum(f.train_sum) OVER () / sum(f.train_count) OVER ())::float8 AS global_mean
    FROM @extschema@.dim_movie AS m
    LEFT JOIN (SELECT movie_key, count(*) AS train_count, sum(rating) AS train_sum
               FROM @extschema@.fact_ratings WHERE NOT is_probe GROUP BY movie_key) AS f USING (movie_key)
) AS movies;
COMMENT ON VIEW @extschema@.movie_bias IS
    'How much better than the mean each movie is liked, by all ratings except the probe''s (Koren 2010, "Factor in the neighbors", section 2.1)';
COMMENT ON COLUMN @extschema@.movie_bias.movie_id IS 'The data set''s own id';
COMMENT ON COLUMN @extschema@.movie_bias.train_count IS 'Number of its ratings, without those of the probe';
COMMENT ON COLUMN @extschema@.movie_bias.global_mean IS 'Mean of all ratings except the probe''s; the same in every row';
COMMENT ON COLUMN @extschema@.movie_bias.bias IS
    'Sum of (rating - global_mean) over its ratings, divided by (train_count + 25); 0 if it has none';

CREATE VIEW @extschema@.customer_bias AS
SELECT c.customer_id, coalesce(f.train_count, 0) AS train_count, coalesce(f.bias, 0) AS bias
FROM @extschema@.dim_customer AS c
LEFT JOIN (
    SELECT d.customer_id, count(*) AS train_count,
           sum(f.rating - b.global_mean - b.bias) / (count(*) + 10) AS bias
    FROM @extschema@.fact_ratings AS f
    JOIN @extschema@.dim_customer AS d USING (customer_key)
    JOIN @extschema@.dim_movie AS m USING (movie_key)
    JOIN @extschema@.movie_bias AS b USING (movie_id)
    WHERE NOT f.is_probe
    GROUP BY d.customer_id
) AS f USING (customer_id);
COMMENT ON VIEW @extschema@.customer_bias IS
    'How much higher than the mean each customer rates, by all ratings except the probe''s (Koren 2010, "Factor in the neighbors", section 2.1)';
COMMENT ON COLUMN @extschema@.customer_bias.customer_id IS 'The data set''s own id';
COMMENT ON COLUMN @extschema@.customer_bias.train_count IS 'Number of the customer''s ratings, without those of the probe';
COMMENT ON COLUMN @extschema@.customer_bias.bias IS
    'Sum of (rating - global mean - movie''s bias) over these ratings, divided by (train_count + 10); 0 if there are none';

-- Through a view, a role sees only what it may see in the tables. (PostgreSQL 14 cannot do this: there, views show the rows that
-- row-level security hides in the tables.)
DO $$
DECLARE
    view_name text;
BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN
        FOREACH view_name IN ARRAY ARRAY['rating_distribution', 'ratings_by_month', 'movie_statistics',
            'customer_statistics', 'normalized_ratings', 'movie_bias', 'customer_bias']
        LOOP
            EXECUTE 'ALTER VIEW @extschema@.' || view_name || ' SET (security_invoker = true)';
        END LOOP;
    END IF;
END $$;

-- data quality ---------------------------------------------------------------------------------------------------

-- Reads fact_ratings twice, grouped by movie and by customer, and computes everything it needs in these two passes.
CREATE FUNCTION @extschema@.data_quality()
RETURNS TABLE (check_name text, status text, value bigint, detail text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
WITH by_movie AS (
    SELECT f.movie_key, count(*) AS ratings, sum(f.rating) AS stars, min(f.date_key) AS first, max(f.date_key) AS last,
           min(f.rating_key) AS first_key, max(f.rating_key) AS last_key,
           count(*) FILTER (WHERE f.is_probe) AS probe,
           count(*) FILTER (WHERE f.rating_key IS NULL OR f.customer_key IS NULL OR f.movie_key IS NULL
                               OR f.date_key IS NULL OR f.rating IS NULL OR f.is_probe IS NULL) AS with_null,
           count(*) FILTER (WHERE f.rating NOT BETWEEN 1 AND 5) AS off_scale,
           count(*) FILTER (WHERE f.date_key NOT BETWEEN 19991111 AND 20051231) AS off_range,
           count(*) FILTER (WHERE f.date_key / 10000 < m.release_year) AS before_release,
           count(*) FILTER (WHERE f.date_key IS NOT NULL AND d.date_key IS NULL) AS off_calendar
    FROM @extschema@.fact_ratings AS f
    LEFT JOIN @extschema@.dim_movie AS m USING (movie_key)
    LEFT JOIN @extschema@.dim_date AS d USING (date_key)
    GROUP BY f.movie_key
), by_customer AS (
    SELECT customer_key, count(*) AS ratings, sum(rating) AS stars, min(date_key) AS first, max(date_key) AS last
    FROM @extschema@.fact_ratings GROUP BY customer_key
), facts AS (
    SELECT coalesce(sum(ratings), 0) AS ratings, coalesce(sum(probe), 0) AS probe,
           coalesce(sum(with_null), 0) AS with_null, coalesce(sum(off_scale), 0) AS off_scale,
           coalesce(sum(off_range), 0) AS off_range, coalesce(sum(before_release), 0) AS before_release,
           coalesce(sum(off_calendar), 0) AS off_calendar,
           coalesce(max(last_key) - min(first_key) + 1 - sum(ratings), 0) AS missing_keys
    FROM by_movie
), movies AS (
    SELECT count(m.movie_key) AS known,
           coalesce(sum(f.ratings) FILTER (WHERE f.movie_key IS NOT NULL AND m.movie_key IS NULL), 0) AS orphaned,
           count(*) FILTER (WHERE m.movie_key IS NOT NULL AND f.movie_key IS NULL) AS unrated,
           count(*) FILTER (WHERE m.movie_key IS NOT NULL AND m.title IS NULL) AS untitled,
           count(*) FILTER (WHERE m.movie_key IS NOT NULL AND (
               (m.rating_count, m.rating_mean IS NULL,
                to_char(m.first_rated_on, 'YYYYMMDD'), to_char(m.last_rated_on, 'YYYYMMDD'))
               IS DISTINCT FROM (coalesce(f.ratings, 0), f.stars IS NULL, f.first::text, f.last::text)
               OR abs(m.rating_mean - f.stars::float8 / f.ratings) > 1e-9)) AS miscounted
    FROM by_movie AS f FULL JOIN @extschema@.dim_movie AS m USING (movie_key)
), customers AS (
    SELECT count(f.customer_key) AS active,
           coalesce(sum(f.ratings) FILTER (WHERE f.customer_key IS NOT NULL AND c.customer_key IS NULL), 0) AS orphaned,
           count(*) FILTER (WHERE c.customer_key IS NOT NULL AND f.customer_key IS NULL AND NOT EXISTS (
               SELECT FROM @extschema@.qualifying AS q WHERE q.customer_key = c.customer_key)) AS idle,
           count(*) FILTER (WHERE c.customer_key IS NOT NULL AND (
               (c.rating_count, c.rating_mean IS NULL,
                to_char(c.first_rated_on, 'YYYYMMDD'), to_char(c.last_rated_on, 'YYYYMMDD'))
               IS DISTINCT FROM (coalesce(f.ratings, 0), f.stars IS NULL, f.first::text, f.last::text)
               OR abs(c.rating_mean - f.stars::float8 / f.ratings) > 1e-9)) AS miscounted
    FROM by_customer AS f FULL JOIN @extschema@.dim_customer AS c USING (customer_key)
), pairs AS (
    SELECT count(*) AS qualifying,
           count(*) FILTER (WHERE c.customer_key IS NULL OR m.movie_key IS NULL OR d.date_key IS NULL) AS orphaned
    FROM @extschema@.qualifying AS q
    LEFT JOIN @extschema@.dim_customer AS c USING (customer_key)
    LEFT JOIN @extschema@.dim_movie AS m USING (movie_key)
    LEFT JOIN @extschema@.dim_date AS d USING (date_key)
), calendar AS (
    SELECT coalesce(sum(make_date(year::int, 12, 31) - make_date(year::int, 1, 1) + 1 - days), 0) AS gaps
    FROM (SELECT year, count(*) AS days FROM @extschema@.dim_date GROUP BY year) AS years
), models AS (
    SELECT count(*) AS bare, string_agg(name || ' ' || version, ', ' ORDER BY name, version) AS names
    FROM @extschema@.model AS m
    WHERE NOT EXISTS (SELECT FROM @extschema@.movie_factors AS f WHERE f.model_id = m.model_id)
       OR NOT EXISTS (SELECT FROM @extschema@.customer_factors AS f WHERE f.model_id = m.model_id)
), loads AS (
    SELECT count(*) FILTER (WHERE status = 'loading') AS unfinished, coalesce(sum(rejected), 0) AS rejected
    FROM @extschema@.load_run
), unique_index AS (
    SELECT min(indexrelid::regclass::text) AS name
    FROM pg_index
    WHERE indrelid = '@extschema@.fact_ratings'::regclass
      AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL AND indnkeyatts = 2
      AND ARRAY[pg_get_indexdef(indexrelid, 1, true), pg_get_indexdef(indexrelid, 2, true)]
          @> ARRAY['customer_key', 'movie_key']
), repeated AS (
    -- If the index is valid and unique, there are no duplicates, and the ratings are not read.
    SELECT coalesce(sum(times - 1), 0) AS ratings
    FROM (SELECT count(*) AS times FROM @extschema@.fact_ratings
          WHERE (SELECT name FROM unique_index) IS NULL
          GROUP BY customer_key, movie_key HAVING count(*) > 1) AS pairs
), tables AS (
    SELECT unnest(ARRAY['@extschema@.fact_ratings'::regclass, '@extschema@.qualifying'::regclass,
                        '@extschema@.dim_customer'::regclass, '@extschema@.dim_movie'::regclass,
                        '@extschema@.dim_date'::regclass, '@extschema@.load_run'::regclass]) AS name
), hidden AS (
    SELECT count(*) AS tables, string_agg(name::text, ', ' ORDER BY name::text) AS names
    FROM tables WHERE row_security_active(name)
), invalid AS (
    SELECT count(*) AS indexes,
           string_agg(indexrelid::regclass::text, ', ' ORDER BY indexrelid::regclass::text) AS names
    FROM pg_index JOIN tables ON indrelid = tables.name
    WHERE NOT (indisvalid AND indisready)
), missing AS (
    SELECT count(*) AS keys,
           string_agg(child::text || ' to ' || parent::text, ', ' ORDER BY child::text, parent::text) AS names
    FROM unnest(ARRAY['@extschema@.fact_ratings'::regclass, '@extschema@.qualifying'::regclass]) AS child,
         unnest(ARRAY['@extschema@.dim_customer'::regclass, '@extschema@.dim_movie'::regclass,
                      '@extschema@.dim_date'::regclass]) AS parent
    WHERE NOT EXISTS (SELECT FROM pg_constraint
                      WHERE contype = 'f' AND conrelid = child AND confrelid = parent AND convalidated)
), whole AS (
    SELECT facts.ratings >= 100000000 OR (customers.active >= 480189 AND movies.known >= 17770) AS is_whole
    FROM facts, customers, movies
)
SELECT c.check_name, CASE WHEN c.is_good THEN 'ok' ELSE c.otherwise END AS status, c.value::bigint, c.detail
FROM facts, movies, customers, pairs, calendar, models, loads, unique_index, repeated, hidden, invalid, missing, whole,
LATERAL (VALUES
    (1, true, 'row_security', hidden.tables = 0, 'failed', hidden.tables,
        coalesce('what row-level security hides from this role was not checked: ' || hidden.names,
                 'tables of which row-level security hides rows from this role')),
    (2, true, 'ratings', facts.ratings > 0, 'warning', facts.ratings,
        CASE WHEN facts.ratings > 0 THEN 'ratings' ELSE 'no ratings: load some with netflix_load' END),
    (3, true, 'null_values', facts.with_null = 0, 'failed', facts.with_null, 'ratings with a NULL in a column'),
    (4, true, 'duplicates', repeated.ratings = 0, 'failed', repeated.ratings,
        coalesce('index ' || unique_index.name || ' holds customer and movie unique',
                 'ratings of a movie by a customer beyond the first; no valid unique index is there')),
    (5, true, 'rating_scale', facts.off_scale = 0, 'failed', facts.off_scale, 'ratings outside 1 to 5'),
    (6, true, 'date_range', facts.off_range = 0, 'warning', facts.off_range,
        'ratings dated outside the Prize''s range, 1999-11-11 to 2005-12-31'),
    (7, true, 'rated_before_release', facts.before_release = 0, 'warning', facts.before_release,
        'ratings dated before the movie''s year of release'),
    (8, true, 'orphaned_customer_keys', customers.orphaned = 0, 'failed', customers.orphaned,
        'ratings whose customer_key is not in dim_customer'),
    (9, true, 'orphaned_movie_keys', movies.orphaned = 0, 'failed', movies.orphaned,
        'ratings whose movie_key is not in dim_movie'),
    (10, true, 'orphaned_date_keys', facts.off_calendar = 0, 'failed', facts.off_calendar,
        'ratings whose date_key is not in dim_date'),
    (11, true, 'orphaned_qualifying_keys', pairs.orphaned = 0, 'failed', pairs.orphaned,
        'qualifying pairs with a key that is not in its dimension'),
    (12, true, 'customer_counts', customers.miscounted = 0, 'failed', customers.miscounted,
        'customers whose count, mean or days in dim_customer are not those of their ratings'),
    (13, true, 'movie_counts', movies.miscounted = 0, 'failed', movies.miscounted,
        'movies whose count, mean or days in dim_movie are not those of their ratings'),
    (14, true, 'movies_without_ratings', movies.unrated = 0, 'warning', movies.unrated, 'movies without ratings'),
    (15, true, 'movies_without_title', movies.untitled = 0, 'warning', movies.untitled, 'movies without a title'),
    (16, true, 'customers_without_ratings', customers.idle = 0, 'warning', customers.idle,
        'customers without ratings and without qualifying pairs'),
    (17, true, 'calendar_gaps', calendar.gaps = 0, 'failed', calendar.gaps,
        'days missing in dim_date of the years that it has'),
    (18, true, 'rating_key_gaps', facts.missing_keys = 0, 'warning', facts.missing_keys,
        'values missing between the least rating_key and the greatest'),
    (19, true, 'invalid_indexes', invalid.indexes = 0, 'failed', invalid.indexes,
        coalesce(invalid.names || ': run netflix_load again, or REINDEX', 'indexes that are not valid')),
    (20, true, 'foreign_keys', missing.keys = 0, 'failed', missing.keys,
        coalesce('missing or not validated: ' || missing.names, 'foreign keys that are missing or not validated')),
    (21, true, 'models_without_factors', models.bare = 0, 'failed', models.bare,
        coalesce('train them again, or drop them: ' || models.names, 'models without rows of factors')),
    (22, true, 'unfinished_loads', loads.unfinished = 0, 'warning', loads.unfinished,
        'loads that were not completed: see load_run'),
    (23, true, 'rejected_lines', loads.rejected = 0, 'warning', loads.rejected,
        'lines that loads could not use: see load_reject'),
    (24, NOT is_whole, 'official_counts', true, 'warning', facts.ratings,
        'ratings: not the whole set, whose official counts are not compared'),
    (25, is_whole, 'official_ratings', facts.ratings = 100480507, 'warning', facts.ratings,
        'ratings; the Prize has 100480507'),
    (26, is_whole, 'official_customers', customers.active = 480189, 'warning', customers.active,
        'customers with ratings; the Prize has 480189'),
    (27, is_whole, 'official_movies', movies.known = 17770, 'warning', movies.known, 'movies; the Prize has 17770'),
    (28, is_whole, 'official_probe', facts.probe = 1408395, 'warning', facts.probe,
        'ratings of the probe; the Prize has 1408395'),
    (29, is_whole, 'official_qualifying', pairs.qualifying = 2817131, 'warning', pairs.qualifying,
        'qualifying pairs; the Prize has 2817131')
) AS c (place, applies, check_name, is_good, otherwise, value, detail)
WHERE c.applies
ORDER BY c.place;
END;
COMMENT ON FUNCTION @extschema@.data_quality() IS
    'Checks the warehouse, one row per check: status is ok, warning (look at it) or failed (the warehouse contradicts itself)';

SET LOCAL search_path = @extschema@, pg_temp;

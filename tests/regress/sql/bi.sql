-- The views that BI tools read: flat columns under stable names.
SET client_min_messages = warning;
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/demo');

-- All of them.
SELECT c.relname, CASE c.relkind WHEN 'm' THEN 'materialised' ELSE 'view' END AS kind, obj_description(c.oid, 'pg_class') AS comment
FROM pg_class c WHERE c.relname LIKE 'bi\_%' AND c.relkind IN ('v', 'm') ORDER BY c.relname;

-- Every column is a scalar of a type that any tool shows, and has a comment.
SELECT DISTINCT format_type(a.atttypid, a.atttypmod) AS type
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relname LIKE 'bi\_%' AND c.relkind IN ('v', 'm') ORDER BY 1;
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relname LIKE 'bi\_%' AND c.relkind IN ('v', 'm') AND col_description(c.oid, a.attnum) IS NULL;

-- The materialised views are empty until the first refresh. Without a model there are no recommendations.
SELECT (SELECT count(*) FROM bi_ratings_by_day) AS days, (SELECT ratings FROM bi_refreshes) AS ratings;
SELECT view, rows FROM bi_refresh();
SELECT model, version FROM train_als(factors => 8, iterations => 4);
SELECT view, rows FROM bi_refresh();
SELECT ratings FROM bi_refreshes;

-- What a dashboard asks.
SELECT year, sum(rating_count) AS ratings, round(sum(rating * rating_count) / sum(rating_count), 2) AS mean
FROM bi_ratings_by_day GROUP BY year ORDER BY year;
SELECT day_name, sum(rating_count) AS ratings FROM bi_ratings_by_day GROUP BY day_of_week, day_name ORDER BY day_of_week;
SELECT label, rating_count FROM bi_movies ORDER BY rating_count DESC, movie_id LIMIT 3;
SELECT r.rank, r.movie_id = s.movie_id AS same, r.model, r.version
FROM bi_recommendations r JOIN recommend(3136) s USING (rank) WHERE r.customer_id = 3136 ORDER BY rank LIMIT 3;
SELECT model, version, state, algorithm, parameters FROM bi_models;
SELECT iteration, train_rmse < 2 AS is_plausible FROM bi_model_iterations WHERE model = 'als' ORDER BY iteration;
SELECT count(*) FROM grid_search('baseline', '{"movie_damping": [5, 10]}', folds => 2);
SELECT search_id, trial_no, parameters, state, is_best IS NOT NULL AS has_ended FROM bi_search_trials ORDER BY trial_no;
SELECT graph FROM graph_project_movies('movies', 'count', min_common => 100);
SELECT communities > 1 AS has_communities FROM graph_store_communities('movies');
SELECT count(*) = (SELECT nodes FROM graphs) AS each_node_once, bool_and(title IS NOT NULL) AS with_titles FROM bi_communities;
SELECT count(*) = (SELECT edges FROM graphs) AS each_edge_once, bool_and(from_title IS NOT NULL) AS with_titles FROM bi_graph_edges;
SELECT status, ratings_loaded, seconds > 0 AS took_time FROM bi_loads;

-- The materialised views say the same as the ratings.
SELECT bool_and(d.rating_count = r.rating_count) AS same
FROM (SELECT rated_on, rating, count(*) AS rating_count FROM bi_ratings GROUP BY rated_on, rating) AS r
FULL JOIN bi_ratings_by_day d USING (rated_on, rating);
SELECT sum(rating_count) = (SELECT count(*) FROM bi_ratings) AS same FROM bi_movie_months;

-- No view reads the ratings for what the dimensions know, nor a dimension that is not asked for.
CREATE FUNCTION tables_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json, COSTS off) ' || query INTO plan;
    RETURN (SELECT string_agg(DISTINCT name[1], ', ' ORDER BY name[1])
            FROM regexp_matches(plan::text, '"Relation Name": "([^"]*)"', 'g') AS name);
END $$;
SELECT query, tables_of(query) FROM (VALUES
    (1, 'SELECT DISTINCT title FROM bi_movies'),
    (2, 'SELECT label FROM bi_movies ORDER BY rating_count DESC LIMIT 20'),
    (3, 'SELECT count(*) FROM bi_customers'),
    (4, 'SELECT DISTINCT model FROM bi_models'),
    (5, 'SELECT title FROM bi_recommendations WHERE customer_id = 3136 ORDER BY rank'),
    (6, 'SELECT title, count(*) FROM bi_recommendations GROUP BY title'),
    (7, 'SELECT year, sum(rating_count) FROM bi_ratings_by_day GROUP BY year'),
    (8, 'SELECT month, rating_mean FROM bi_movie_months WHERE movie_id = 1'),
    (9, 'SELECT DISTINCT community FROM bi_communities'),
    (10, 'SELECT count(*) FROM bi_ratings'),
    (11, 'SELECT year, count(*) FROM bi_ratings GROUP BY year'),
    (12, 'SELECT title FROM bi_ratings WHERE customer_id = 3136')
) AS q (place, query) ORDER BY place;

-- The ratings of one customer are found by the index.
EXPLAIN (COSTS off) SELECT rated_on, rating FROM bi_ratings WHERE customer_id = 3136;

-- Readers are not blocked by a refresh, and see the old rows until it has ended.
BEGIN;
SELECT count(*) FROM bi_refresh();
SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'bi_recommendations'::regclass ORDER BY mode;
ROLLBACK;

-- After a change, a refresh is needed.
SELECT action FROM add_rating(3136, 1, 5, '2005-12-31');
SELECT ratings = (SELECT count(*) FROM fact_ratings) AS is_current FROM bi_refreshes;
SELECT count(*) FROM bi_refresh();
SELECT ratings = (SELECT count(*) FROM fact_ratings) AS is_current FROM bi_refreshes;

-- Mistakes: only the owner may refresh; a transaction that may not write; a default model that is not deployed.
CREATE ROLE regress_analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO regress_analyst;
SET ROLE regress_analyst;
SELECT count(*) > 0 AS can_read FROM bi_recommendations;
SELECT * FROM bi_refresh();
RESET ROLE;
DROP OWNED BY regress_analyst;
DROP ROLE regress_analyst;
BEGIN READ ONLY;
SELECT * FROM bi_refresh();
ROLLBACK;
SET netflix_rec.default_model = 'svd';
SELECT * FROM bi_refresh();
RESET netflix_rec.default_model;

-- After a reset, too.
SELECT netflix_reset();
SELECT count(*) > 0 AS is_old FROM bi_recommendations;
SELECT view, rows FROM bi_refresh();
DROP EXTENSION netflix_rec;

-- report: what BI tools read. Flat columns under stable names, in views that begin with bi_.
--
-- A LEFT JOIN of which no column is selected is removed by the planner. So a query of bi_ratings reads only the dimensions that it
-- shows. What would read all ratings or score all movies for each dashboard is a materialised view, which bi_refresh() brings up to
-- date.

-- Unqualified names must mean PostgreSQL's own objects, whatever is in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- the warehouse --------------------------------------------------------------------------------------------------

CREATE VIEW @extschema@.bi_movies AS
SELECT movie_id, title, release_year,
       coalesce(nullif(btrim(title), '') || coalesce(' (' || release_year || ')', ''), 'movie ' || movie_id) AS label,
       rating_count, rating_mean, first_rated_on, last_rated_on
FROM @extschema@.dim_movie;
COMMENT ON VIEW @extschema@.bi_movies IS 'Movies: one row for each';
COMMENT ON COLUMN @extschema@.bi_movies.movie_id IS 'The data set''s own id';
COMMENT ON COLUMN @extschema@.bi_movies.title IS 'Title; NULL if unknown. Remakes share a title';
COMMENT ON COLUMN @extschema@.bi_movies.release_year IS 'Year of release; NULL if unknown';
COMMENT ON COLUMN @extschema@.bi_movies.label IS 'Title and year for charts and filters; ''movie'' and the id if there is no title';
COMMENT ON COLUMN @extschema@.bi_movies.rating_count IS 'Number of its ratings';
COMMENT ON COLUMN @extschema@.bi_movies.rating_mean IS 'Mean of these ratings, in stars; NULL if there are none';
COMMENT ON COLUMN @extschema@.bi_movies.first_rated_on IS 'Day of the first of these ratings; NULL if there are none';
COMMENT ON COLUMN @extschema@.bi_movies.last_rated_on IS 'Day of the last of these ratings; NULL if there are none';

CREATE VIEW @extschema@.bi_customers AS
SELECT customer_id, rating_count, rating_mean, first_rated_on, last_rated_on FROM @extschema@.dim_customer;
COMMENT ON VIEW @extschema@.bi_customers IS 'Customers: one row for each';
COMMENT ON COLUMN @extschema@.bi_customers.customer_id IS 'The data set''s own id';
COMMENT ON COLUMN @extschema@.bi_customers.rating_count IS 'Number of the customer''s ratings';
COMMENT ON COLUMN @extschema@.bi_customers.rating_mean IS 'Mean of these ratings, in stars; NULL if there are none';
COMMENT ON COLUMN @extschema@.bi_customers.first_rated_on IS 'Day of the first of these ratings; NULL if there are none';
COMMENT ON COLUMN @extschema@.bi_customers.last_rated_on IS 'Day of the last of these ratings; NULL if there are none';

CREATE VIEW @extschema@.bi_ratings AS
SELECT c.customer_id, m.movie_id, m.title, m.release_year, d.date AS rated_on, d.year, d.quarter, d.month, d.day_of_week, d.day_name,
       d.is_weekend, f.rating, f.is_probe
FROM @extschema@.fact_ratings f
LEFT JOIN @extschema@.dim_customer c USING (customer_key)
LEFT JOIN @extschema@.dim_movie m USING (movie_key)
LEFT JOIN @extschema@.dim_date d USING (date_key);
COMMENT ON VIEW @extschema@.bi_ratings IS 'Ratings: one row for each. For dashboards over all of them, bi_ratings_by_day and bi_movie_months are faster';
COMMENT ON COLUMN @extschema@.bi_ratings.customer_id IS 'Who rated';
COMMENT ON COLUMN @extschema@.bi_ratings.movie_id IS 'What was rated';
COMMENT ON COLUMN @extschema@.bi_ratings.title IS 'The movie''s title; NULL if unknown. For a list of titles, bi_movies is faster';
COMMENT ON COLUMN @extschema@.bi_ratings.release_year IS 'Year of its release; NULL if unknown';
COMMENT ON COLUMN @extschema@.bi_ratings.rated_on IS 'Day of the rating';
COMMENT ON COLUMN @extschema@.bi_ratings.year IS 'Year of the rating';
COMMENT ON COLUMN @extschema@.bi_ratings.quarter IS 'Quarter of the year, 1 to 4';
COMMENT ON COLUMN @extschema@.bi_ratings.month IS 'Month of the year, 1 to 12';
COMMENT ON COLUMN @extschema@.bi_ratings.day_of_week IS 'Day of the week, 1 (Monday) to 7 (Sunday)';
COMMENT ON COLUMN @extschema@.bi_ratings.day_name IS 'Name of the weekday in English';
COMMENT ON COLUMN @extschema@.bi_ratings.is_weekend IS 'Whether the day is a Saturday or a Sunday';
COMMENT ON COLUMN @extschema@.bi_ratings.rating IS '1 to 5 stars';
COMMENT ON COLUMN @extschema@.bi_ratings.is_probe IS 'Whether the rating belongs to the probe';

CREATE VIEW @extschema@.bi_loads AS
SELECT run_id, path, status, started_at, finished_at, extract(epoch FROM finished_at - started_at)::float8 AS seconds,
       loaded_by::text AS loaded_by, files, ratings_read, ratings_loaded, duplicates, rejected, customers, movies
FROM @extschema@.load_run;
COMMENT ON VIEW @extschema@.bi_loads IS 'Loads: one row for each load that found something to load, or that completed';
COMMENT ON COLUMN @extschema@.bi_loads.run_id IS 'Number of the load';
COMMENT ON COLUMN @extschema@.bi_loads.path IS 'The folder that was loaded; NULL if the ratings came from a query';
COMMENT ON COLUMN @extschema@.bi_loads.status IS '''loading'', ''completed'' or ''abandoned''';
COMMENT ON COLUMN @extschema@.bi_loads.started_at IS 'When it began';
COMMENT ON COLUMN @extschema@.bi_loads.finished_at IS 'When it was completed or abandoned';
COMMENT ON COLUMN @extschema@.bi_loads.seconds IS 'Seconds between the two';
COMMENT ON COLUMN @extschema@.bi_loads.loaded_by IS 'Role that began it';
COMMENT ON COLUMN @extschema@.bi_loads.files IS 'Number of files read';
COMMENT ON COLUMN @extschema@.bi_loads.ratings_read IS 'Number of ratings in these files';
COMMENT ON COLUMN @extschema@.bi_loads.ratings_loaded IS 'Number of new ratings among them';
COMMENT ON COLUMN @extschema@.bi_loads.duplicates IS 'Number of ratings left out because the customer had already rated the movie';
COMMENT ON COLUMN @extschema@.bi_loads.rejected IS 'Number of lines that could not be used';
COMMENT ON COLUMN @extschema@.bi_loads.customers IS 'Number of customers after the load';
COMMENT ON COLUMN @extschema@.bi_loads.movies IS 'Number of movies after the load';

-- models ---------------------------------------------------------------------------------------------------------

CREATE VIEW @extschema@.bi_models AS
SELECT model, version, state, algorithm,
       (SELECT string_agg(key || ' ' || value, ', ' ORDER BY key) FROM jsonb_each_text(params)) AS parameters,
       train_on, split, ratings, iterations, train_rmse, probe_rmse, test_rmse, held_out_rmse, trained_at, trained_by::text AS trained_by,
       extract(epoch FROM elapsed)::float8 AS seconds, deployed_at
FROM @extschema@.models;
COMMENT ON VIEW @extschema@.bi_models IS 'Models: one row for each version of each name';
COMMENT ON COLUMN @extschema@.bi_models.model IS 'Name of the model';
COMMENT ON COLUMN @extschema@.bi_models.version IS 'Number within the name, from 1';
COMMENT ON COLUMN @extschema@.bi_models.state IS '''deployed'', ''withdrawn'' or ''trained''';
COMMENT ON COLUMN @extschema@.bi_models.algorithm IS 'Algorithm that trained it';
COMMENT ON COLUMN @extschema@.bi_models.parameters IS 'Its parameters as one text';
COMMENT ON COLUMN @extschema@.bi_models.train_on IS '''train'': all ratings except the probe''s; ''all'': the probe, too';
COMMENT ON COLUMN @extschema@.bi_models.split IS 'Split that says which ratings it was trained on; NULL without a split';
COMMENT ON COLUMN @extschema@.bi_models.ratings IS 'Number of ratings it was trained on';
COMMENT ON COLUMN @extschema@.bi_models.iterations IS 'Number of iterations';
COMMENT ON COLUMN @extschema@.bi_models.train_rmse IS 'RMSE on these ratings, in stars';
COMMENT ON COLUMN @extschema@.bi_models.probe_rmse IS 'RMSE on the probe, in stars; NULL if there is none, or if it was trained on it';
COMMENT ON COLUMN @extschema@.bi_models.test_rmse IS 'RMSE on the test set of its split, in stars; NULL without a split';
COMMENT ON COLUMN @extschema@.bi_models.held_out_rmse IS 'RMSE on the held-out ratings, in stars; NULL if none were held out';
COMMENT ON COLUMN @extschema@.bi_models.trained_at IS 'When it was trained';
COMMENT ON COLUMN @extschema@.bi_models.trained_by IS 'Role that trained it';
COMMENT ON COLUMN @extschema@.bi_models.seconds IS 'Seconds that the training took';
COMMENT ON COLUMN @extschema@.bi_models.deployed_at IS 'When it was last deployed; NULL if it never was';

CREATE VIEW @extschema@.bi_model_iterations AS
SELECT m.name AS model, m.version, i.iteration, i.train_rmse, i.held_out_rmse, i.seconds
FROM @extschema@.model_iteration i JOIN @extschema@.model m USING (model_id);
COMMENT ON VIEW @extschema@.bi_model_iterations IS 'Training curves: one row for each iteration of each model';
COMMENT ON COLUMN @extschema@.bi_model_iterations.model IS 'Name of the model';
COMMENT ON COLUMN @extschema@.bi_model_iterations.version IS 'Number within the name';
COMMENT ON COLUMN @extschema@.bi_model_iterations.iteration IS 'Number of the iteration, from 1';
COMMENT ON COLUMN @extschema@.bi_model_iterations.train_rmse IS 'RMSE on the training ratings, in stars';
COMMENT ON COLUMN @extschema@.bi_model_iterations.held_out_rmse IS 'RMSE on the held-out ratings or, if there are none, on the probe';
COMMENT ON COLUMN @extschema@.bi_model_iterations.seconds IS 'Seconds from the start of the first iteration to the end of this one';

CREATE VIEW @extschema@.bi_search_trials AS
SELECT s.search_id, s.kind, s.algorithm, s.metric, t.trial_no,
       (SELECT string_agg(key || ' ' || value, ', ' ORDER BY key) FROM jsonb_each_text(t.params)) AS parameters,
       t.state, t.stage, t.sample, t.score, t.sd, t.seconds, t.trial_no = s.best_trial AS is_best, t.error
FROM @extschema@.search_trial t JOIN @extschema@.search s USING (search_id);
COMMENT ON VIEW @extschema@.bi_search_trials IS 'Searches for the best parameters: one row for each trial';
COMMENT ON COLUMN @extschema@.bi_search_trials.search_id IS 'Number of the search';
COMMENT ON COLUMN @extschema@.bi_search_trials.kind IS '''grid'' or ''random''';
COMMENT ON COLUMN @extschema@.bi_search_trials.algorithm IS 'Algorithm whose parameters are tried';
COMMENT ON COLUMN @extschema@.bi_search_trials.metric IS 'What the score is: rmse, mae or ndcg';
COMMENT ON COLUMN @extschema@.bi_search_trials.trial_no IS 'Number within the search, from 1';
COMMENT ON COLUMN @extschema@.bi_search_trials.parameters IS 'Parameters that are tried, as one text';
COMMENT ON COLUMN @extschema@.bi_search_trials.state IS '''waiting'', ''judged'', ''dropped'' or ''failed''';
COMMENT ON COLUMN @extschema@.bi_search_trials.stage IS 'Last stage in which it was judged, from 1; 0 if in none';
COMMENT ON COLUMN @extschema@.bi_search_trials.sample IS 'Share of the customers in that stage';
COMMENT ON COLUMN @extschema@.bi_search_trials.score IS 'Mean of the folds'' scores in that stage';
COMMENT ON COLUMN @extschema@.bi_search_trials.sd IS 'Standard deviation of these scores; NULL if there is only one';
COMMENT ON COLUMN @extschema@.bi_search_trials.seconds IS 'Seconds that all its trainings took';
COMMENT ON COLUMN @extschema@.bi_search_trials.is_best IS 'Whether it is the best trial of its search; NULL until the search has ended';
COMMENT ON COLUMN @extschema@.bi_search_trials.error IS 'Why it failed';

-- graphs ---------------------------------------------------------------------------------------------------------

CREATE VIEW @extschema@.bi_communities AS
SELECT g.name AS graph, c.community, c.node_id, m.title, m.release_year, m.rating_count
FROM @extschema@.graph_community c
JOIN @extschema@.graph g USING (graph_id)
LEFT JOIN @extschema@.dim_movie m ON g.nodes_are = 'movies' AND m.movie_id = c.node_id;
COMMENT ON VIEW @extschema@.bi_communities IS 'Communities that graph_store_communities has stored: one row for each node of each graph';
COMMENT ON COLUMN @extschema@.bi_communities.graph IS 'Name of the graph';
COMMENT ON COLUMN @extschema@.bi_communities.community IS 'Number of the community, from 1: the largest comes first';
COMMENT ON COLUMN @extschema@.bi_communities.node_id IS 'The node: movie_id in a graph of movies, customer_id in a graph of customers';
COMMENT ON COLUMN @extschema@.bi_communities.title IS 'The movie''s title; NULL if unknown, or if the node is no movie';
COMMENT ON COLUMN @extschema@.bi_communities.release_year IS 'Year of its release; NULL if unknown, or if the node is no movie';
COMMENT ON COLUMN @extschema@.bi_communities.rating_count IS 'Number of the movie''s ratings; NULL if the node is no movie';

CREATE VIEW @extschema@.bi_graph_edges AS
SELECT g.name AS graph, e.from_id, f.title AS from_title, e.to_id, t.title AS to_title, e.weight, e.n_common
FROM @extschema@.graph_edge e
JOIN @extschema@.graph g USING (graph_id)
LEFT JOIN @extschema@.dim_movie f ON g.nodes_are = 'movies' AND f.movie_id = e.from_id
LEFT JOIN @extschema@.dim_movie t ON g.nodes_are = 'movies' AND t.movie_id = e.to_id;
COMMENT ON VIEW @extschema@.bi_graph_edges IS 'Edges of all graphs: one row for each';
COMMENT ON COLUMN @extschema@.bi_graph_edges.graph IS 'Name of the graph';
COMMENT ON COLUMN @extschema@.bi_graph_edges.from_id IS 'The end with the smaller id';
COMMENT ON COLUMN @extschema@.bi_graph_edges.from_title IS 'Its title; NULL if unknown, or if it is no movie';
COMMENT ON COLUMN @extschema@.bi_graph_edges.to_id IS 'The other end';
COMMENT ON COLUMN @extschema@.bi_graph_edges.to_title IS 'Its title; NULL if unknown, or if it is no movie';
COMMENT ON COLUMN @extschema@.bi_graph_edges.weight IS 'Weight, above 0: how alike the two are';
COMMENT ON COLUMN @extschema@.bi_graph_edges.n_common IS 'Number of customers who rated both movies, or of movies that both customers rated; NULL if ratings did not make the edge';

-- materialised ---------------------------------------------------------------------------------------------------
-- Each has a unique index, so that bi_refresh() can refresh it while others read it.

CREATE MATERIALIZED VIEW @extschema@.bi_ratings_by_day USING heap AS
SELECT d.date AS rated_on, d.year, d.quarter, d.month, d.month_name, d.day_of_week, d.day_name, d.is_weekend, f.rating, f.rating_count
FROM (SELECT date_key, rating, count(*) AS rating_count FROM @extschema@.fact_ratings GROUP BY date_key, rating) AS f
JOIN @extschema@.dim_date d USING (date_key);
CREATE UNIQUE INDEX bi_ratings_by_day_key ON @extschema@.bi_ratings_by_day (rated_on, rating);
COMMENT ON MATERIALIZED VIEW @extschema@.bi_ratings_by_day IS 'Number of ratings: one row for each day and number of stars';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.rated_on IS 'Day of the ratings';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.year IS 'Year';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.quarter IS 'Quarter of the year, 1 to 4';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.month IS 'Month of the year, 1 to 12';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.month_name IS 'Name of the month in English';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.day_of_week IS 'Day of the week, 1 (Monday) to 7 (Sunday)';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.day_name IS 'Name of the weekday in English';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.is_weekend IS 'Whether the day is a Saturday or a Sunday';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.rating IS '1 to 5 stars';
COMMENT ON COLUMN @extschema@.bi_ratings_by_day.rating_count IS 'Number of ratings with so many stars on that day';

CREATE MATERIALIZED VIEW @extschema@.bi_movie_months USING heap AS
SELECT m.movie_id, m.title, m.release_year, make_date(f.month_key / 100, f.month_key % 100, 1) AS month, f.rating_count, f.rating_mean
FROM (SELECT movie_key, date_key / 100 AS month_key, count(*) AS rating_count, avg(rating)::float8 AS rating_mean
      FROM @extschema@.fact_ratings GROUP BY movie_key, date_key / 100) AS f
JOIN @extschema@.dim_movie m USING (movie_key);
CREATE UNIQUE INDEX bi_movie_months_key ON @extschema@.bi_movie_months (movie_id, month);
COMMENT ON MATERIALIZED VIEW @extschema@.bi_movie_months IS 'Ratings by movie and month: one row for each month in which the movie was rated';
COMMENT ON COLUMN @extschema@.bi_movie_months.movie_id IS 'The data set''s own id';
COMMENT ON COLUMN @extschema@.bi_movie_months.title IS 'Title; NULL if unknown';
COMMENT ON COLUMN @extschema@.bi_movie_months.release_year IS 'Year of release; NULL if unknown';
COMMENT ON COLUMN @extschema@.bi_movie_months.month IS 'First day of the month';
COMMENT ON COLUMN @extschema@.bi_movie_months.rating_count IS 'Number of the movie''s ratings in that month';
COMMENT ON COLUMN @extschema@.bi_movie_months.rating_mean IS 'Mean of these ratings, in stars';

-- No rows if no model is deployed. (Then model_id() would raise an error, so it is not called.)
CREATE MATERIALIZED VIEW @extschema@.bi_recommendations USING heap AS
SELECT r.customer_id, r.rank, r.movie_id, r.title, r.release_year, r.predicted_rating::float8 AS predicted_rating, m.name AS model, m.version
FROM (SELECT name, version FROM @extschema@.model
      WHERE model_id = (SELECT @extschema@.model_id() WHERE EXISTS (SELECT FROM @extschema@.model WHERE is_deployed))) AS m
CROSS JOIN LATERAL @extschema@.recommend_all(10, m.name) AS r;
CREATE UNIQUE INDEX bi_recommendations_key ON @extschema@.bi_recommendations (customer_id, rank);
CREATE INDEX bi_recommendations_movie ON @extschema@.bi_recommendations (movie_id);
COMMENT ON MATERIALIZED VIEW @extschema@.bi_recommendations IS 'The ten best movies for each customer, by the deployed model: one row for each';
COMMENT ON COLUMN @extschema@.bi_recommendations.customer_id IS 'Customer';
COMMENT ON COLUMN @extschema@.bi_recommendations.rank IS 'Place in the customer''s list, 1 to 10';
COMMENT ON COLUMN @extschema@.bi_recommendations.movie_id IS 'Movie';
COMMENT ON COLUMN @extschema@.bi_recommendations.title IS 'Its title; NULL if unknown';
COMMENT ON COLUMN @extschema@.bi_recommendations.release_year IS 'Year of its release; NULL if unknown';
COMMENT ON COLUMN @extschema@.bi_recommendations.predicted_rating IS 'Predicted rating, 1 to 5 stars';
COMMENT ON COLUMN @extschema@.bi_recommendations.model IS 'Name of the model that recommends it';
COMMENT ON COLUMN @extschema@.bi_recommendations.version IS 'Version of the model';

CREATE MATERIALIZED VIEW @extschema@.bi_refreshes USING heap AS
SELECT now() AS refreshed_at, (SELECT sum(rating_count) FROM @extschema@.dim_movie)::bigint AS ratings;
CREATE UNIQUE INDEX bi_refreshes_key ON @extschema@.bi_refreshes (refreshed_at);
COMMENT ON MATERIALIZED VIEW @extschema@.bi_refreshes IS 'The last call of bi_refresh(), in one row; before the first call: when the extension was created';
COMMENT ON COLUMN @extschema@.bi_refreshes.refreshed_at IS 'When bi_refresh() was called';
COMMENT ON COLUMN @extschema@.bi_refreshes.ratings IS 'Number of ratings when the call began; NULL if there were none';

-- The views apply row-level security to their caller, not to their owner. PostgreSQL 14 has no such views. (Materialised views hold
-- what their owner may see.)
DO $$
DECLARE
    name text;
BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN
        FOREACH name IN ARRAY ARRAY['bi_movies', 'bi_customers', 'bi_ratings', 'bi_loads', 'bi_models', 'bi_model_iterations',
                                    'bi_search_trials', 'bi_communities', 'bi_graph_edges'] LOOP
            EXECUTE 'ALTER VIEW @extschema@.' || name || ' SET (security_invoker = true)';
        END LOOP;
    END IF;
END $$;

SET LOCAL search_path = @extschema@, pg_temp;

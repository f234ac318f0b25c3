-- Makes three roles with the privileges that the extension's functions need. A superuser runs it in each database that has the
-- extension: psql -v schema=public -f grants.sql
-- Functions run with the rights of their caller, so these grants are all that is needed. Roles belong to the whole server: those that
-- exist already stay as they are.
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'netflix_reader') AS netflix_lacks_reader,
       NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'netflix_trainer') AS netflix_lacks_trainer,
       NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'netflix_loader') AS netflix_lacks_loader \gset

-- May ask for recommendations, evaluate, and read the views.
\if :netflix_lacks_reader
CREATE ROLE netflix_reader NOLOGIN;
\endif
GRANT USAGE ON SCHEMA :"schema" TO netflix_reader;
GRANT SELECT ON :"schema".dim_date, :"schema".dim_movie, :"schema".dim_customer, :"schema".fact_ratings, :"schema".qualifying,
    :"schema".load_run, :"schema".load_file, :"schema".load_unit, :"schema".load_reject, :"schema".rating_split, :"schema".search,
    :"schema".search_trial, :"schema".search_fold, :"schema".searches, :"schema".model, :"schema".model_version, :"schema".model_iteration,
    :"schema".model_deployment, :"schema".customer_factors, :"schema".movie_factors, :"schema".models, :"schema".netflix_progress,
    :"schema".rating_distribution, :"schema".ratings_by_month, :"schema".movie_statistics, :"schema".customer_statistics,
    :"schema".normalized_ratings, :"schema".customer_bias, :"schema".movie_bias,
    :"schema".graph, :"schema".graph_edge, :"schema".graph_community, :"schema".graphs, :"schema".graph_edges,
    :"schema".bi_movies, :"schema".bi_customers, :"schema".bi_ratings, :"schema".bi_loads, :"schema".bi_models, :"schema".bi_model_iterations,
    :"schema".bi_search_trials, :"schema".bi_communities, :"schema".bi_graph_edges, :"schema".bi_ratings_by_day,
    :"schema".bi_movie_months, :"schema".bi_recommendations, :"schema".bi_refreshes TO netflix_reader;

-- May also train, deploy, drop, import and refresh models, make splits, and search.
\if :netflix_lacks_trainer
CREATE ROLE netflix_trainer NOLOGIN IN ROLE netflix_reader;
\endif
GRANT INSERT, DELETE ON :"schema".rating_split TO netflix_trainer;
GRANT INSERT, UPDATE, DELETE ON :"schema".search, :"schema".search_trial TO netflix_trainer;
GRANT INSERT ON :"schema".search_fold TO netflix_trainer;
GRANT INSERT, UPDATE, DELETE ON :"schema".model, :"schema".customer_factors TO netflix_trainer;
GRANT INSERT ON :"schema".model_version, :"schema".model_iteration, :"schema".movie_factors TO netflix_trainer;
GRANT INSERT, DELETE ON :"schema".model_deployment TO netflix_trainer;
GRANT INSERT, UPDATE, DELETE ON :"schema".graph TO netflix_trainer;
GRANT INSERT ON :"schema".graph_edge TO netflix_trainer;
GRANT INSERT, DELETE ON :"schema".graph_community TO netflix_trainer;

-- May also load ratings, from a query, and from files below the folder that netflix_rec.data_directory names. (To load other files, it
-- would need the right to read every file of the server: GRANT pg_read_server_files TO netflix_loader.)
\if :netflix_lacks_loader
CREATE ROLE netflix_loader NOLOGIN IN ROLE netflix_reader;
\endif
GRANT INSERT ON :"schema".dim_date, :"schema".dim_movie, :"schema".dim_customer, :"schema".fact_ratings, :"schema".qualifying,
    :"schema".load_run, :"schema".load_file, :"schema".load_unit, :"schema".load_reject TO netflix_loader;
GRANT UPDATE ON :"schema".dim_movie, :"schema".dim_customer, :"schema".fact_ratings, :"schema".qualifying, :"schema".load_run,
    :"schema".load_file TO netflix_loader;
GRANT DELETE ON :"schema".load_unit TO netflix_loader;

-- What roles need, to be run once by a superuser: psql -v schema=public -f grants.sql. (Roles are the whole server's: for another
-- database, run the GRANTs alone.) Functions run with the rights of whoever calls them; these grants are all it takes.

-- Asks: recommendations, evaluations, the views.
CREATE ROLE netflix_reader NOLOGIN;
GRANT USAGE ON SCHEMA :"schema" TO netflix_reader;
GRANT SELECT ON :"schema".dim_date, :"schema".dim_movie, :"schema".dim_customer, :"schema".fact_ratings, :"schema".qualifying,
    :"schema".load_run, :"schema".load_file, :"schema".load_unit, :"schema".load_reject, :"schema".model, :"schema".model_iteration,
    :"schema".model_deployment, :"schema".customer_factors, :"schema".movie_factors, :"schema".models, :"schema".netflix_progress,
    :"schema".rating_distribution, :"schema".ratings_by_month, :"schema".movie_statistics, :"schema".customer_statistics,
    :"schema".normalized_ratings, :"schema".customer_bias, :"schema".movie_bias TO netflix_reader;

-- Also trains, deploys, drops, imports and refreshes models.
CREATE ROLE netflix_trainer NOLOGIN IN ROLE netflix_reader;
GRANT INSERT, UPDATE, DELETE ON :"schema".model, :"schema".customer_factors TO netflix_trainer;
GRANT INSERT ON :"schema".model_iteration, :"schema".movie_factors TO netflix_trainer;
GRANT INSERT, DELETE ON :"schema".model_deployment TO netflix_trainer;

-- Also loads ratings, from files of the server or from a query of its own.
CREATE ROLE netflix_loader NOLOGIN IN ROLE netflix_reader;
GRANT INSERT ON :"schema".dim_date, :"schema".dim_movie, :"schema".dim_customer, :"schema".fact_ratings, :"schema".qualifying,
    :"schema".load_run, :"schema".load_file, :"schema".load_unit, :"schema".load_reject TO netflix_loader;
GRANT UPDATE ON :"schema".dim_movie, :"schema".dim_customer, :"schema".fact_ratings, :"schema".qualifying, :"schema".load_run,
    :"schema".load_file TO netflix_loader;
GRANT DELETE ON :"schema".load_unit TO netflix_loader;
GRANT pg_read_server_files TO netflix_loader;

-- The warehouse of netflix_rec. Every table lives in the schema chosen at CREATE EXTENSION. The extension reads and writes
-- their pages itself, so they are heap tables whatever default_table_access_method says.

-- load: the star schema ------------------------------------------------------------------------------------------

CREATE TABLE dim_date (
    date_key     int PRIMARY KEY,
    date         date NOT NULL UNIQUE,
    year         smallint NOT NULL,
    quarter      smallint NOT NULL CHECK (quarter BETWEEN 1 AND 4),
    month        smallint NOT NULL CHECK (month BETWEEN 1 AND 12),
    month_name   text NOT NULL,
    week         smallint NOT NULL CHECK (week BETWEEN 1 AND 53),
    day          smallint NOT NULL CHECK (day BETWEEN 1 AND 31),
    day_of_week  smallint NOT NULL CHECK (day_of_week BETWEEN 1 AND 7),
    day_name     text NOT NULL,
    is_weekend   bool NOT NULL,
    CHECK (date_key = year * 10000 + month * 100 + day)
) USING heap;
COMMENT ON TABLE dim_date IS 'Calendar: every day of every year in which there is a rating';
COMMENT ON COLUMN dim_date.date_key IS 'The day as the number yyyymmdd';
COMMENT ON COLUMN dim_date.date IS 'The day';
COMMENT ON COLUMN dim_date.year IS 'Year';
COMMENT ON COLUMN dim_date.quarter IS 'Quarter of the year, 1 to 4';
COMMENT ON COLUMN dim_date.month IS 'Month of the year, 1 to 12';
COMMENT ON COLUMN dim_date.month_name IS 'Name of the month in English';
COMMENT ON COLUMN dim_date.week IS 'Week of the year, 1 to 53, as ISO 8601 counts it';
COMMENT ON COLUMN dim_date.day IS 'Day of the month, 1 to 31';
COMMENT ON COLUMN dim_date.day_of_week IS 'Day of the week, 1 (Monday) to 7 (Sunday)';
COMMENT ON COLUMN dim_date.day_name IS 'Name of the weekday in English';
COMMENT ON COLUMN dim_date.is_weekend IS 'Whether the day is a Saturday or a Sunday';

CREATE TABLE dim_movie (
    movie_key       int PRIMARY KEY CHECK (movie_key > 0),
    movie_id        int NOT NULL UNIQUE CHECK (movie_id > 0),
    title           text,
    release_year    smallint,
    rating_count    bigint NOT NULL CHECK (rating_count >= 0),
    rating_mean     double precision CHECK (rating_mean BETWEEN 1::float8 AND 5::float8),
    first_rated_on  date,
    last_rated_on   date,
    CHECK ((rating_count = 0) = (rating_mean IS NULL))
) USING heap;
COMMENT ON TABLE dim_movie IS 'Movies: those of the titles file and those that were rated or are to be';
COMMENT ON COLUMN dim_movie.movie_key IS 'Surrogate key, dense from 1, in the order of movie_id within a load';
COMMENT ON COLUMN dim_movie.movie_id IS 'The data set''s own id';
COMMENT ON COLUMN dim_movie.title IS 'Title; NULL where the titles file does not know the movie';
COMMENT ON COLUMN dim_movie.release_year IS 'Year of release; NULL where unknown';
COMMENT ON COLUMN dim_movie.rating_count IS 'How many ratings it has, the probe''s included';
COMMENT ON COLUMN dim_movie.rating_mean IS 'Mean of these ratings; NULL where there is none';
COMMENT ON COLUMN dim_movie.first_rated_on IS 'Day of the first of these ratings';
COMMENT ON COLUMN dim_movie.last_rated_on IS 'Day of the last of these ratings';

CREATE TABLE dim_customer (
    customer_key    int PRIMARY KEY CHECK (customer_key > 0),
    customer_id     int NOT NULL UNIQUE CHECK (customer_id > 0),
    rating_count    bigint NOT NULL CHECK (rating_count >= 0),
    rating_mean     double precision CHECK (rating_mean BETWEEN 1::float8 AND 5::float8),
    first_rated_on  date,
    last_rated_on   date,
    CHECK ((rating_count = 0) = (rating_mean IS NULL))
) USING heap;
COMMENT ON TABLE dim_customer IS 'Customers: those who rated and those of the qualifying set';
COMMENT ON COLUMN dim_customer.customer_key IS 'Surrogate key, dense from 1, in the order of customer_id within a load';
COMMENT ON COLUMN dim_customer.customer_id IS 'The data set''s own id';
COMMENT ON COLUMN dim_customer.rating_count IS 'How many ratings the customer gave, the probe''s included';
COMMENT ON COLUMN dim_customer.rating_mean IS 'Mean of these ratings; NULL where there is none';
COMMENT ON COLUMN dim_customer.first_rated_on IS 'Day of the first of these ratings';
COMMENT ON COLUMN dim_customer.last_rated_on IS 'Day of the last of these ratings';

CREATE TABLE fact_ratings (
    rating_key    bigint PRIMARY KEY,
    customer_key  int NOT NULL REFERENCES dim_customer,
    movie_key     int NOT NULL REFERENCES dim_movie,
    date_key      int NOT NULL REFERENCES dim_date,
    rating        smallint NOT NULL CHECK (rating BETWEEN 1 AND 5),
    is_probe      bool NOT NULL,
    UNIQUE (customer_key, movie_key)
) USING heap;
COMMENT ON TABLE fact_ratings IS 'Ratings: one row for each movie that a customer rated';
COMMENT ON COLUMN fact_ratings.rating_key IS 'Surrogate key, dense from 1, by movie and customer within a load';
COMMENT ON COLUMN fact_ratings.customer_key IS 'Who rated';
COMMENT ON COLUMN fact_ratings.movie_key IS 'What was rated';
COMMENT ON COLUMN fact_ratings.date_key IS 'When, as the number yyyymmdd';
COMMENT ON COLUMN fact_ratings.rating IS '1 to 5 stars';
COMMENT ON COLUMN fact_ratings.is_probe IS 'Whether probe.txt names the pair: such ratings are held out from training';

CREATE TABLE qualifying (
    customer_key  int NOT NULL REFERENCES dim_customer,
    movie_key     int NOT NULL REFERENCES dim_movie,
    date_key      int NOT NULL REFERENCES dim_date,
    rating        smallint CHECK (rating BETWEEN 1 AND 5),
    PRIMARY KEY (customer_key, movie_key)
) USING heap;
COMMENT ON TABLE qualifying IS 'The Prize''s test set: pairs whose ratings were withheld';
COMMENT ON COLUMN qualifying.customer_key IS 'Who rated';
COMMENT ON COLUMN qualifying.movie_key IS 'What was rated';
COMMENT ON COLUMN qualifying.date_key IS 'When, as the number yyyymmdd';
COMMENT ON COLUMN qualifying.rating IS 'The withheld rating, where it is known';

-- load: the ledger -----------------------------------------------------------------------------------------------

CREATE TABLE load_run (
    run_id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path              text,
    status            text NOT NULL CHECK (status IN ('loading', 'completed')),
    started_at        timestamptz NOT NULL,
    finished_at       timestamptz,
    loaded_by         name NOT NULL DEFAULT current_user,
    files             int NOT NULL,
    ratings_read      bigint NOT NULL,
    ratings_loaded    bigint NOT NULL,
    duplicates        bigint NOT NULL,
    rejected          bigint NOT NULL,
    first_rating_key  bigint NOT NULL,
    customers         bigint,
    movies            bigint,
    probe_pairs       bigint,
    qualifying_pairs  bigint,
    CHECK ((status = 'completed') = (finished_at IS NOT NULL))
) USING heap;
-- One load at a time: another begins when this one is completed.
CREATE UNIQUE INDEX load_run_unfinished ON load_run ((true)) WHERE status <> 'completed';
COMMENT ON TABLE load_run IS 'Loads: one row for each that found something to load and each that completed';
COMMENT ON COLUMN load_run.run_id IS 'Number of the load';
COMMENT ON COLUMN load_run.path IS 'The folder that is loaded; NULL for the ratings of a query';
COMMENT ON COLUMN load_run.status IS '''loading'': under way, or interrupted, and then to be finished by the same call again; ''completed''';
COMMENT ON COLUMN load_run.started_at IS 'When it began';
COMMENT ON COLUMN load_run.finished_at IS 'When it was completed';
COMMENT ON COLUMN load_run.loaded_by IS 'The role that began it';
COMMENT ON COLUMN load_run.files IS 'Files read, each member of an archive counted as one';
COMMENT ON COLUMN load_run.ratings_read IS 'Ratings in these files';
COMMENT ON COLUMN load_run.ratings_loaded IS 'Ratings among them that are new';
COMMENT ON COLUMN load_run.duplicates IS 'Ratings left out because the customer had rated the movie already';
COMMENT ON COLUMN load_run.rejected IS 'Lines that could not be used, and duplicates that say otherwise than the first';
COMMENT ON COLUMN load_run.first_rating_key IS 'Its ratings have the keys from this one on';
COMMENT ON COLUMN load_run.customers IS 'Customers that the warehouse then held';
COMMENT ON COLUMN load_run.movies IS 'Movies that the warehouse then held';
COMMENT ON COLUMN load_run.probe_pairs IS 'Ratings of the probe that the warehouse then held';
COMMENT ON COLUMN load_run.qualifying_pairs IS 'Qualifying pairs that the warehouse then held';

CREATE TABLE load_file (
    run_id    bigint NOT NULL REFERENCES load_run ON DELETE CASCADE,
    file_no   int NOT NULL,
    kind      text NOT NULL CHECK (kind IN ('titles', 'ratings', 'probe', 'qualifying', 'judging')),
    path      text NOT NULL,
    member    text,
    position  bigint NOT NULL,
    bytes     bigint NOT NULL,
    modified  bigint,
    checksum  bigint NOT NULL,
    records   bigint NOT NULL,
    rejected  bigint NOT NULL,
    state     text NOT NULL CHECK (state IN ('read', 'loaded')),
    PRIMARY KEY (run_id, file_no)
) USING heap;
COMMENT ON TABLE load_file IS 'Files of the loads';
COMMENT ON COLUMN load_file.run_id IS 'The load that read it';
COMMENT ON COLUMN load_file.file_no IS 'Its place in the order of reading, from 1';
COMMENT ON COLUMN load_file.kind IS 'What it is for';
COMMENT ON COLUMN load_file.path IS 'The file';
COMMENT ON COLUMN load_file.member IS 'Its name in the file, where that is an archive';
COMMENT ON COLUMN load_file.position IS 'Where in the file it begins, unpacked';
COMMENT ON COLUMN load_file.bytes IS 'Its size, unpacked';
COMMENT ON COLUMN load_file.modified IS 'When the file was last changed, in microseconds since 1970';
COMMENT ON COLUMN load_file.checksum IS 'CRC-32 of its bytes, unpacked';
COMMENT ON COLUMN load_file.records IS 'Lines that hold a title, a rating or a pair';
COMMENT ON COLUMN load_file.rejected IS 'Lines that could not be used, and duplicates that say otherwise than the first';
COMMENT ON COLUMN load_file.state IS '''read'': looked through, but not all of it is in yet; ''loaded''';

CREATE TABLE load_unit (
    run_id   bigint NOT NULL REFERENCES load_run ON DELETE CASCADE,
    unit_no  int NOT NULL,
    ratings  bigint NOT NULL,
    files    int[] NOT NULL,
    plan     bytea NOT NULL,
    PRIMARY KEY (run_id, unit_no)
) USING heap;
COMMENT ON TABLE load_unit IS 'What a load has yet to do: a unit''s row goes with the transaction that loads its ratings';
COMMENT ON COLUMN load_unit.run_id IS 'The load';
COMMENT ON COLUMN load_unit.unit_no IS 'Counted within the load, from 1';
COMMENT ON COLUMN load_unit.ratings IS 'How many ratings it will load';
COMMENT ON COLUMN load_unit.files IS 'Numbers of the files it reads; none for the qualifying set';
COMMENT ON COLUMN load_unit.plan IS 'Where in these files the ratings stand, packed';

CREATE TABLE load_reject (
    run_id     bigint NOT NULL REFERENCES load_run ON DELETE CASCADE,
    reject_no  bigint NOT NULL,
    file_no    int,
    line       bigint NOT NULL,
    text       text NOT NULL,
    reason     text NOT NULL,
    PRIMARY KEY (run_id, reject_no),
    FOREIGN KEY (run_id, file_no) REFERENCES load_file ON DELETE CASCADE
) USING heap;
COMMENT ON TABLE load_reject IS 'Lines that could not be used, the first of each load';
COMMENT ON COLUMN load_reject.run_id IS 'The load that met it';
COMMENT ON COLUMN load_reject.reject_no IS 'Counted within the load, from 1';
COMMENT ON COLUMN load_reject.file_no IS 'Its file; NULL where the ratings came from a query';
COMMENT ON COLUMN load_reject.line IS 'Its number in the file, or among the query''s rows, from 1';
COMMENT ON COLUMN load_reject.text IS 'The line, shortened where it is long';
COMMENT ON COLUMN load_reject.reason IS 'What is wrong with it';

-- train: models and their factors --------------------------------------------------------------------------------

CREATE TABLE model (
    model_id     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL CHECK (name <> ''),
    version      int NOT NULL CHECK (version > 0),
    algorithm    text NOT NULL,
    params       jsonb NOT NULL,
    train_on     text NOT NULL CHECK (train_on IN ('train', 'all')),
    hold_out     double precision NOT NULL,
    is_deployed  bool NOT NULL,
    factors      int NOT NULL CHECK (factors >= 0),
    samples      int NOT NULL CHECK (samples > 0),
    global_mean  real NOT NULL,
    ratings      bigint NOT NULL,
    iterations   int NOT NULL,
    train_rmse   double precision NOT NULL,
    probe_rmse   double precision,
    summary      jsonb,
    elapsed      interval NOT NULL,
    trained_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    trained_by   name NOT NULL DEFAULT current_user,
    UNIQUE (name, version)
) USING heap;
CREATE UNIQUE INDEX model_deployed ON model (name) WHERE is_deployed;
COMMENT ON TABLE model IS 'Models: one row for each version of each name';
COMMENT ON COLUMN model.model_id IS 'Key of this version''s factors';
COMMENT ON COLUMN model.name IS 'The name it was trained under';
COMMENT ON COLUMN model.version IS 'Counted within the name, from 1';
COMMENT ON COLUMN model.algorithm IS 'How it was trained';
COMMENT ON COLUMN model.params IS 'With which parameters';
COMMENT ON COLUMN model.train_on IS '''train'': on the ratings that are not of the probe; ''all'': on those, too';
COMMENT ON COLUMN model.hold_out IS 'Share of these held out, to judge iterations by';
COMMENT ON COLUMN model.is_deployed IS 'Whether this version answers for its name';
COMMENT ON COLUMN model.factors IS 'Length of each factor vector';
COMMENT ON COLUMN model.samples IS 'Samples that stand side by side in each vector, if it is a Bayesian model; 1 otherwise';
COMMENT ON COLUMN model.global_mean IS 'Mean of the ratings trained on';
COMMENT ON COLUMN model.ratings IS 'How many ratings it was trained on';
COMMENT ON COLUMN model.iterations IS 'How many iterations were made';
COMMENT ON COLUMN model.train_rmse IS 'RMSE on these ratings after the last iteration';
COMMENT ON COLUMN model.probe_rmse IS 'RMSE on the probe; NULL where there is none or it was trained on, too';
COMMENT ON COLUMN model.summary IS 'What else the algorithm found: singular values and the variance they explain';
COMMENT ON COLUMN model.elapsed IS 'How long training took, reading and writing included';
COMMENT ON COLUMN model.trained_at IS 'When';
COMMENT ON COLUMN model.trained_by IS 'By which role';

CREATE TABLE model_iteration (
    model_id       int NOT NULL REFERENCES model ON DELETE CASCADE,
    iteration      int NOT NULL,
    train_rmse     double precision NOT NULL,
    held_out_rmse  double precision,
    seconds        double precision NOT NULL,
    PRIMARY KEY (model_id, iteration)
) USING heap;
COMMENT ON TABLE model_iteration IS 'How each iteration of a training went';
COMMENT ON COLUMN model_iteration.model_id IS 'The model';
COMMENT ON COLUMN model_iteration.iteration IS 'Counted from 1';
COMMENT ON COLUMN model_iteration.train_rmse IS 'RMSE on the ratings trained on';
COMMENT ON COLUMN model_iteration.held_out_rmse IS 'RMSE on the ratings held out or, where none are, on the probe';
COMMENT ON COLUMN model_iteration.seconds IS 'From the start of the first iteration to the end of this one';

CREATE TABLE model_deployment (
    deployment_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id       int NOT NULL REFERENCES model ON DELETE CASCADE,
    deployed_at    timestamptz NOT NULL DEFAULT now(),
    deployed_by    name NOT NULL DEFAULT current_user
) USING heap;
COMMENT ON TABLE model_deployment IS 'When which version came to answer for its name: what rollback_model goes back by';
COMMENT ON COLUMN model_deployment.deployment_id IS 'Counted from 1; of two, the greater is the later';
COMMENT ON COLUMN model_deployment.model_id IS 'The version';
COMMENT ON COLUMN model_deployment.deployed_at IS 'When';
COMMENT ON COLUMN model_deployment.deployed_by IS 'By which role';

CREATE TABLE customer_factors (
    model_id      int NOT NULL REFERENCES model ON DELETE CASCADE,
    customer_key  int NOT NULL REFERENCES dim_customer,
    bias          real NOT NULL,
    factors       real[] NOT NULL,
    PRIMARY KEY (model_id, customer_key)
) USING heap;
COMMENT ON TABLE customer_factors IS 'What each model learned of each customer';
COMMENT ON COLUMN customer_factors.model_id IS 'The model';
COMMENT ON COLUMN customer_factors.customer_key IS 'The customer';
COMMENT ON COLUMN customer_factors.bias IS 'How much kinder than the mean the customer rates';
COMMENT ON COLUMN customer_factors.factors IS 'The customer''s taste: its product with a movie''s factors adds to the prediction';

CREATE TABLE movie_factors (
    model_id   int NOT NULL REFERENCES model ON DELETE CASCADE,
    movie_key  int NOT NULL REFERENCES dim_movie,
    bias       real NOT NULL,
    factors    real[] NOT NULL,
    links      real[],
    PRIMARY KEY (model_id, movie_key)
) USING heap;
COMMENT ON TABLE movie_factors IS 'What each model learned of each movie';
COMMENT ON COLUMN movie_factors.model_id IS 'The model';
COMMENT ON COLUMN movie_factors.movie_key IS 'The movie';
COMMENT ON COLUMN movie_factors.bias IS 'How much better than the mean the movie is liked';
COMMENT ON COLUMN movie_factors.factors IS 'The movie''s character: its product with a customer''s factors adds to the prediction';
COMMENT ON COLUMN movie_factors.links IS 'What it tells of those who rated it, whatever their ratings; NULL where the model does not learn from that';

-- pglz finds nothing in random mantissas, and tries for as long as writing them takes.
ALTER TABLE customer_factors ALTER COLUMN factors SET STORAGE EXTERNAL;
ALTER TABLE movie_factors ALTER COLUMN factors SET STORAGE EXTERNAL, ALTER COLUMN links SET STORAGE EXTERNAL;

-- Without this, pg_dump would leave the rows behind.
SELECT pg_catalog.pg_extension_config_dump('dim_date', '');
SELECT pg_catalog.pg_extension_config_dump('dim_movie', '');
SELECT pg_catalog.pg_extension_config_dump('dim_customer', '');
SELECT pg_catalog.pg_extension_config_dump('fact_ratings', '');
SELECT pg_catalog.pg_extension_config_dump('qualifying', '');
SELECT pg_catalog.pg_extension_config_dump('load_run', '');
SELECT pg_catalog.pg_extension_config_dump('load_run_run_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('load_file', '');
SELECT pg_catalog.pg_extension_config_dump('load_unit', '');
SELECT pg_catalog.pg_extension_config_dump('load_reject', '');
SELECT pg_catalog.pg_extension_config_dump('model', '');
SELECT pg_catalog.pg_extension_config_dump('model_model_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('model_iteration', '');
SELECT pg_catalog.pg_extension_config_dump('model_deployment', '');
SELECT pg_catalog.pg_extension_config_dump('model_deployment_deployment_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('customer_factors', '');
SELECT pg_catalog.pg_extension_config_dump('movie_factors', '');

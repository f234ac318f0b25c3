-- The warehouse of netflix_rec, in the schema that CREATE EXTENSION names. The extension reads and writes the tables' pages
-- itself, so they are heap tables, whatever default_table_access_method says.

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
COMMENT ON TABLE dim_movie IS 'Movies: those of the titles file, and those that have ratings or qualifying pairs';
COMMENT ON COLUMN dim_movie.movie_key IS 'Surrogate key: consecutive from 1, in the order of movie_id within a load';
COMMENT ON COLUMN dim_movie.movie_id IS 'The data set''s own id';
COMMENT ON COLUMN dim_movie.title IS 'Title, from the last titles file that names the movie; NULL if none does';
COMMENT ON COLUMN dim_movie.release_year IS 'Year of release; NULL if unknown';
COMMENT ON COLUMN dim_movie.rating_count IS 'Number of its ratings, including those of the probe';
COMMENT ON COLUMN dim_movie.rating_mean IS 'Mean of these ratings; NULL if there are none';
COMMENT ON COLUMN dim_movie.first_rated_on IS 'Day of the first of these ratings; NULL if there are none';
COMMENT ON COLUMN dim_movie.last_rated_on IS 'Day of the last of these ratings; NULL if there are none';

CREATE TABLE dim_customer (
    customer_key    int PRIMARY KEY CHECK (customer_key > 0),
    customer_id     int NOT NULL UNIQUE CHECK (customer_id > 0),
    rating_count    bigint NOT NULL CHECK (rating_count >= 0),
    rating_mean     double precision CHECK (rating_mean BETWEEN 1::float8 AND 5::float8),
    first_rated_on  date,
    last_rated_on   date,
    CHECK ((rating_count = 0) = (rating_mean IS NULL))
) USING heap;
COMMENT ON TABLE dim_customer IS 'Customers: those who have ratings, and those of the qualifying set';
COMMENT ON COLUMN dim_customer.customer_key IS 'Surrogate key: consecutive from 1, in the order of customer_id within a load';
COMMENT ON COLUMN dim_customer.customer_id IS 'The data set''s own id';
COMMENT ON COLUMN dim_customer.rating_count IS 'Number of the customer''s ratings, including those of the probe';
COMMENT ON COLUMN dim_customer.rating_mean IS 'Mean of these ratings; NULL if there are none';
COMMENT ON COLUMN dim_customer.first_rated_on IS 'Day of the first of these ratings; NULL if there are none';
COMMENT ON COLUMN dim_customer.last_rated_on IS 'Day of the last of these ratings; NULL if there are none';

-- A key is a row of a model's matrix, so keys are consecutive: the next key is the greatest key plus 1. These sequences remember
-- the keys of deleted rows, because a key must never mean another customer or movie than before.
CREATE SEQUENCE dim_movie_movie_key_seq AS int OWNED BY dim_movie.movie_key;
CREATE SEQUENCE dim_customer_customer_key_seq AS int OWNED BY dim_customer.customer_key;
COMMENT ON SEQUENCE dim_movie_movie_key_seq IS 'Greatest movie_key of a row that was deleted or whose key was changed';
COMMENT ON SEQUENCE dim_customer_customer_key_seq IS 'Greatest customer_key of a row that was deleted or whose key was changed';

CREATE TABLE fact_ratings (
    rating_key    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    customer_key  int NOT NULL REFERENCES dim_customer,
    movie_key     int NOT NULL REFERENCES dim_movie,
    date_key      int NOT NULL REFERENCES dim_date,
    rating        smallint NOT NULL CHECK (rating BETWEEN 1 AND 5),
    is_probe      bool NOT NULL,
    UNIQUE (customer_key, movie_key)
) USING heap;
COMMENT ON TABLE fact_ratings IS 'Ratings: one row for each movie that a customer rated';
COMMENT ON COLUMN fact_ratings.rating_key IS 'Surrogate key: in the order of movie and customer within a load; the default is the next number';
COMMENT ON COLUMN fact_ratings.customer_key IS 'Who rated';
COMMENT ON COLUMN fact_ratings.movie_key IS 'What was rated';
COMMENT ON COLUMN fact_ratings.date_key IS 'When, as the number yyyymmdd';
COMMENT ON COLUMN fact_ratings.rating IS '1 to 5 stars';
COMMENT ON COLUMN fact_ratings.is_probe IS 'Whether the rating belongs to the probe: training leaves it out, unless train_on is ''all''';

CREATE TABLE qualifying (
    customer_key  int NOT NULL REFERENCES dim_customer,
    movie_key     int NOT NULL REFERENCES dim_movie,
    date_key      int NOT NULL REFERENCES dim_date,
    rating        smallint CHECK (rating BETWEEN 1 AND 5),
    subset        text CHECK (subset IN ('quiz', 'test')),
    line_no       int NOT NULL,
    PRIMARY KEY (customer_key, movie_key)
) USING heap;
COMMENT ON TABLE qualifying IS 'The Prize''s test set: pairs whose ratings were withheld';
COMMENT ON COLUMN qualifying.customer_key IS 'Who rated';
COMMENT ON COLUMN qualifying.movie_key IS 'What was rated';
COMMENT ON COLUMN qualifying.date_key IS 'When, as the number yyyymmdd';
COMMENT ON COLUMN qualifying.rating IS 'The withheld rating; NULL until judging.txt is loaded';
COMMENT ON COLUMN qualifying.subset IS '''quiz'': these pairs made the leaderboard; ''test'': these pairs decided who won; NULL until judging.txt is loaded';
COMMENT ON COLUMN qualifying.line_no IS 'Number of the pair in the order of qualifying.txt; pairs of a later file come after those of an earlier one';

-- load: the ledger -----------------------------------------------------------------------------------------------

CREATE TABLE load_run (
    run_id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path              text,
    status            text NOT NULL CHECK (status IN ('loading', 'completed', 'abandoned')),
    started_at        timestamptz NOT NULL,
    finished_at       timestamptz,
    loaded_by         name NOT NULL DEFAULT current_user,
    files             int NOT NULL,
    ratings_read      bigint NOT NULL,
    ratings_loaded    bigint NOT NULL,
    duplicates        bigint NOT NULL,
    rejected          bigint NOT NULL,
    ratings_planned   bigint NOT NULL DEFAULT 0,
    first_rating_key  bigint NOT NULL,
    is_first          bool NOT NULL,
    customers         bigint,
    movies            bigint,
    probe_pairs       bigint,
    qualifying_pairs  bigint,
    last_customer_key int,
    last_movie_key    int,
    first_year        int,
    last_year         int,
    CHECK ((status = 'loading') = (finished_at IS NULL))
) USING heap;
-- One load at a time: another one can begin when this one is completed or abandoned.
CREATE UNIQUE INDEX load_run_unfinished ON load_run ((true)) WHERE status = 'loading';
COMMENT ON TABLE load_run IS 'Loads: one row for each load that found something to load, or that completed';
COMMENT ON COLUMN load_run.run_id IS 'Number of the load';
COMMENT ON COLUMN load_run.path IS 'The folder that was loaded; NULL if the ratings came from a query';
COMMENT ON COLUMN load_run.status IS '''loading'': running, or interrupted until the same call goes on with it; ''completed''; ''abandoned'': given up, its ratings were deleted';
COMMENT ON COLUMN load_run.started_at IS 'When it began';
COMMENT ON COLUMN load_run.finished_at IS 'When it was completed or abandoned';
COMMENT ON COLUMN load_run.loaded_by IS 'The role that began it';
COMMENT ON COLUMN load_run.files IS 'Number of files read; each member of an archive counts as one';
COMMENT ON COLUMN load_run.ratings_read IS 'Number of ratings in these files';
COMMENT ON COLUMN load_run.ratings_loaded IS 'Number of new ratings among them';
COMMENT ON COLUMN load_run.duplicates IS 'Number of ratings left out because the customer had already rated the movie';
COMMENT ON COLUMN load_run.rejected IS 'Number of lines that could not be used, and of duplicates with another rating or date than the first';
COMMENT ON COLUMN load_run.first_rating_key IS 'Key that was planned for its first rating';
COMMENT ON COLUMN load_run.ratings_planned IS 'Number of ratings that were new when it was planned, and so the number of keys that it reserved';
COMMENT ON COLUMN load_run.is_first IS 'Whether fact_ratings was empty when it began';
COMMENT ON COLUMN load_run.customers IS 'Number of customers in the warehouse after the load';
COMMENT ON COLUMN load_run.movies IS 'Number of movies in the warehouse after the load';
COMMENT ON COLUMN load_run.probe_pairs IS 'Number of the probe''s ratings in the warehouse after the load';
COMMENT ON COLUMN load_run.qualifying_pairs IS 'Number of qualifying pairs in the warehouse after the load';
COMMENT ON COLUMN load_run.last_customer_key IS 'Greatest customer_key after the load';
COMMENT ON COLUMN load_run.last_movie_key IS 'Greatest movie_key after the load';
COMMENT ON COLUMN load_run.first_year IS 'Year of its first day; dim_date has every day of the years from this one to the last';
COMMENT ON COLUMN load_run.last_year IS 'Year of its last day';

-- Only the owner writes and reads it, because netflix_load_abandon deletes the ratings that it lists with the owner's rights.
CREATE TABLE load_inserted (
    run_id            bigint PRIMARY KEY REFERENCES load_run ON DELETE CASCADE,
    rating_keys       int8multirange NOT NULL DEFAULT '{}',
    disabled_indexes  oid[] NOT NULL DEFAULT '{}'
) USING heap;
COMMENT ON TABLE load_inserted IS 'What the unfinished load has changed in fact_ratings';
COMMENT ON COLUMN load_inserted.run_id IS 'The load';
COMMENT ON COLUMN load_inserted.rating_keys IS 'Keys of the ratings that it has inserted so far';
COMMENT ON COLUMN load_inserted.disabled_indexes IS 'Indexes that are disabled until the load is completed, because it fills an empty table';

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
COMMENT ON TABLE load_file IS 'Files that the loads have read';
COMMENT ON COLUMN load_file.run_id IS 'The load that read it';
COMMENT ON COLUMN load_file.file_no IS 'Its number in the order of reading, from 1';
COMMENT ON COLUMN load_file.kind IS 'What the file holds';
COMMENT ON COLUMN load_file.path IS 'Path of the file, or of the archive that holds it';
COMMENT ON COLUMN load_file.member IS 'Its name in the archive; NULL if it is not in one';
COMMENT ON COLUMN load_file.position IS 'Where it begins in the unpacked archive, in bytes';
COMMENT ON COLUMN load_file.bytes IS 'Its unpacked size in bytes';
COMMENT ON COLUMN load_file.modified IS 'When the file was last changed, in microseconds since 1970-01-01 UTC';
COMMENT ON COLUMN load_file.checksum IS 'CRC-32 of its unpacked bytes';
COMMENT ON COLUMN load_file.records IS 'Number of lines that hold a title, a rating or a pair';
COMMENT ON COLUMN load_file.rejected IS 'Number of lines that could not be used, and of duplicates with another rating or date than the first';
COMMENT ON COLUMN load_file.state IS '''read'': the file was read, but not all of it is loaded; ''loaded'': all of it is loaded';

CREATE TABLE load_unit (
    run_id            bigint NOT NULL REFERENCES load_run ON DELETE CASCADE,
    unit_no           int NOT NULL,
    ratings           bigint NOT NULL,
    first_rating_key  bigint NOT NULL,
    files             int[] NOT NULL,
    plan              bytea NOT NULL,
    PRIMARY KEY (run_id, unit_no)
) USING heap;
COMMENT ON TABLE load_unit IS 'What a load has left to do: the transaction that loads a unit''s ratings deletes its row';
COMMENT ON COLUMN load_unit.run_id IS 'The load';
COMMENT ON COLUMN load_unit.unit_no IS 'Number within the load, from 1';
COMMENT ON COLUMN load_unit.ratings IS 'Number of ratings in the unit';
COMMENT ON COLUMN load_unit.first_rating_key IS 'Key from which the unit counts its own keys: that of the load''s first rating, or a later one if others have taken planned keys';
COMMENT ON COLUMN load_unit.files IS 'Numbers of the files that it reads; empty for the qualifying set';
COMMENT ON COLUMN load_unit.plan IS 'Where the ratings are in these files, packed';

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
COMMENT ON TABLE load_reject IS 'The first lines of each load that could not be used';
COMMENT ON COLUMN load_reject.run_id IS 'The load that read it';
COMMENT ON COLUMN load_reject.reject_no IS 'Number within the load, from 1';
COMMENT ON COLUMN load_reject.file_no IS 'Its file; NULL if the ratings came from a query';
COMMENT ON COLUMN load_reject.line IS 'Its number in the file, or among the rows of the query, from 1';
COMMENT ON COLUMN load_reject.text IS 'The line, shortened if it is long';
COMMENT ON COLUMN load_reject.reason IS 'What is wrong with it';

-- evaluate: splits ---------------------------------------------------------------------------------------------------

CREATE TABLE rating_split (
    split_id        int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE CHECK (name <> ''),
    kind            text NOT NULL,
    params          jsonb NOT NULL,
    seed            bigint NOT NULL,
    include_probe   bool NOT NULL,
    train_ratings   bigint NOT NULL,
    test_ratings    bigint NOT NULL,
    test_customers  bigint NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    created_by      name NOT NULL DEFAULT current_user
) USING heap;
COMMENT ON TABLE rating_split IS 'Splits: rules that divide the ratings into those to train on and those to judge models by';
COMMENT ON COLUMN rating_split.split_id IS 'Key of the split';
COMMENT ON COLUMN rating_split.name IS 'Name of the split';
COMMENT ON COLUMN rating_split.kind IS 'How ratings are divided: random, last_k, by_time, probe, folds or sample_customers';
COMMENT ON COLUMN rating_split.params IS 'Parameters of the kind';
COMMENT ON COLUMN rating_split.seed IS 'Seed of the hash that picks ratings or customers';
COMMENT ON COLUMN rating_split.include_probe IS 'Whether the probe''s ratings are divided, too; if not, they are neither trained on nor judged by';
COMMENT ON COLUMN rating_split.train_ratings IS 'Number of ratings to train on, when the split was made; of folds, of each on average';
COMMENT ON COLUMN rating_split.test_ratings IS 'Number of ratings to judge models by, when the split was made; of folds, of all together';
COMMENT ON COLUMN rating_split.test_customers IS 'Number of customers who gave these ratings';
COMMENT ON COLUMN rating_split.created_at IS 'When it was made';
COMMENT ON COLUMN rating_split.created_by IS 'Role that made it';

-- search: searches for the best parameters ------------------------------------------------------------------------

CREATE TABLE search (
    search_id       int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('grid', 'random')),
    algorithm       text NOT NULL,
    space           jsonb NOT NULL,
    folds           int NOT NULL CHECK (folds > 0),
    split           text,
    split_rule      jsonb,
    metric          text NOT NULL CHECK (metric IN ('rmse', 'mae', 'ndcg')),
    halving         bool NOT NULL,
    trials          int NOT NULL CHECK (trials > 0),
    seed            bigint NOT NULL,
    state           text NOT NULL CHECK (state IN ('running', 'stopped', 'completed')),
    ratings_digest  bigint NOT NULL,
    best_trial      int,
    one_standard_error_trial  int,
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at     timestamptz,
    started_by      name NOT NULL DEFAULT current_user
) USING heap;
COMMENT ON TABLE search IS 'Searches for the best parameters of an algorithm';
COMMENT ON COLUMN search.search_id IS 'Number of the search';
COMMENT ON COLUMN search.kind IS '''grid'': all points of the space are tried; ''random'': some of them, drawn at random';
COMMENT ON COLUMN search.algorithm IS 'Algorithm whose parameters are tried';
COMMENT ON COLUMN search.space IS 'Values of each parameter';
COMMENT ON COLUMN search.folds IS 'Number of trainings of each trial: of the folds, or 1 if there is a split';
COMMENT ON COLUMN search.split IS 'Split whose test set judges the trials; NULL if folds do';
COMMENT ON COLUMN search.split_rule IS 'Rule of that split when the search began';
COMMENT ON COLUMN search.metric IS 'What decides which trial is better: rmse, mae, or ndcg of lists of ten movies';
COMMENT ON COLUMN search.halving IS 'Whether trials begin with a sample of the customers, and only the best ones go on with larger samples';
COMMENT ON COLUMN search.trials IS 'Number of trials';
COMMENT ON COLUMN search.seed IS 'Seed of the folds, of the points and of the samples';
COMMENT ON COLUMN search.state IS '''running''; ''stopped'': it was cancelled, or its time was up, and the same call goes on with it; ''completed''. If the server was killed, it says ''running'' still; the view searches knows better';
COMMENT ON COLUMN search.ratings_digest IS 'Digest of the ratings: with other ratings, the search cannot go on';
COMMENT ON COLUMN search.best_trial IS 'Trial with the best score, of those in the last stage';
COMMENT ON COLUMN search.one_standard_error_trial IS 'Trial with the least work whose score is within one standard error of the best one';
COMMENT ON COLUMN search.started_at IS 'When it began';
COMMENT ON COLUMN search.finished_at IS 'When it was completed or stopped';
COMMENT ON COLUMN search.started_by IS 'Role that began it';

CREATE TABLE search_trial (
    search_id  int NOT NULL REFERENCES search ON DELETE CASCADE,
    trial_no   int NOT NULL,
    params     jsonb NOT NULL,
    state      text NOT NULL CHECK (state IN ('waiting', 'judged', 'dropped', 'failed')),
    stage      int NOT NULL,
    sample     double precision,
    score      double precision,
    sd         double precision,
    seconds    double precision,
    error      text,
    PRIMARY KEY (search_id, trial_no)
) USING heap;
COMMENT ON TABLE search_trial IS 'Trials of the searches: one row for each point that is tried';
COMMENT ON COLUMN search_trial.search_id IS 'The search';
COMMENT ON COLUMN search_trial.trial_no IS 'Number within the search, from 1';
COMMENT ON COLUMN search_trial.params IS 'Parameters that are tried';
COMMENT ON COLUMN search_trial.state IS '''waiting''; ''judged''; ''dropped'': judged, and others were better, so that it did not go on to the next stage; ''failed''';
COMMENT ON COLUMN search_trial.stage IS 'Last stage in which it was judged, from 1; 0 if in none';
COMMENT ON COLUMN search_trial.sample IS 'Share of the customers in that stage';
COMMENT ON COLUMN search_trial.score IS 'Mean of the folds'' scores in that stage';
COMMENT ON COLUMN search_trial.sd IS 'Standard deviation of these scores; NULL if there is one';
COMMENT ON COLUMN search_trial.seconds IS 'Seconds that all its trainings took';
COMMENT ON COLUMN search_trial.error IS 'Why it failed';

CREATE TABLE search_fold (
    search_id   int NOT NULL,
    trial_no    int NOT NULL,
    stage       int NOT NULL,
    fold        int NOT NULL,
    train_rmse  double precision NOT NULL,
    rmse        double precision NOT NULL,
    mae         double precision NOT NULL,
    ndcg        double precision,
    score       double precision NOT NULL,
    seconds     double precision NOT NULL,
    PRIMARY KEY (search_id, trial_no, stage, fold),
    FOREIGN KEY (search_id, trial_no) REFERENCES search_trial ON DELETE CASCADE
) USING heap;
COMMENT ON TABLE search_fold IS 'Trainings of the searches: one row for each fold of each trial in each stage';
COMMENT ON COLUMN search_fold.search_id IS 'The search';
COMMENT ON COLUMN search_fold.trial_no IS 'The trial';
COMMENT ON COLUMN search_fold.stage IS 'The stage, from 1';
COMMENT ON COLUMN search_fold.fold IS 'The fold, from 1';
COMMENT ON COLUMN search_fold.train_rmse IS 'RMSE on the ratings trained on';
COMMENT ON COLUMN search_fold.rmse IS 'RMSE on the test ratings';
COMMENT ON COLUMN search_fold.mae IS 'Mean absolute error on the test ratings';
COMMENT ON COLUMN search_fold.ndcg IS 'NDCG of lists of ten movies; NULL unless it is the metric of the search';
COMMENT ON COLUMN search_fold.score IS 'The one of these that is the metric of the search';
COMMENT ON COLUMN search_fold.seconds IS 'Seconds that training and judging took';

-- train: models and their factors --------------------------------------------------------------------------------

CREATE TABLE model (
    model_id        int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL CHECK (name <> ''),
    version         int NOT NULL CHECK (version > 0),
    algorithm       text NOT NULL,
    params          jsonb NOT NULL,
    train_on        text NOT NULL CHECK (train_on IN ('train', 'all')),
    split           text,
    split_rule      jsonb,
    hold_out        double precision NOT NULL,
    is_deployed     bool NOT NULL,
    factors         int NOT NULL CHECK (factors >= 0),
    samples         int NOT NULL CHECK (samples > 0),
    global_mean     real NOT NULL,
    ratings         bigint NOT NULL,
    iterations      int NOT NULL,
    train_rmse      double precision NOT NULL,
    probe_rmse      double precision,
    test_rmse       double precision,
    held_out_rmse   double precision,
    judged_ratings  bigint,
    judged_digest   bigint,
    left_out_digest bigint,
    summary         jsonb,
    prior           real[],
    elapsed         interval NOT NULL,
    trained_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    trained_by      name NOT NULL DEFAULT current_user,
    UNIQUE (name, version)
) USING heap;
CREATE UNIQUE INDEX model_deployed ON model (name) WHERE is_deployed;
COMMENT ON TABLE model IS 'Models: one row for each version of each name';
COMMENT ON COLUMN model.model_id IS 'Key of this version''s factors';
COMMENT ON COLUMN model.name IS 'Name of the model';
COMMENT ON COLUMN model.version IS 'Number within the name, from 1';
COMMENT ON COLUMN model.algorithm IS 'Algorithm that trained it';
COMMENT ON COLUMN model.params IS 'Parameters of the algorithm';
COMMENT ON COLUMN model.train_on IS '''train'': trained on all ratings except the probe''s; ''all'': trained on the probe, too';
COMMENT ON COLUMN model.split IS 'Split that says which ratings it was trained on, with the fold after a colon; NULL if train_on says it';
COMMENT ON COLUMN model.split_rule IS 'Rule of that split when the model was trained';
COMMENT ON COLUMN model.hold_out IS 'Share of these ratings that was held out, to judge iterations by';
COMMENT ON COLUMN model.is_deployed IS 'Whether this version answers calls that name the model';
COMMENT ON COLUMN model.factors IS 'Length of each vector of factors as it is stored; in a Bayesian model, of all samples together: samples * (the parameter factors + 2)';
COMMENT ON COLUMN model.samples IS 'Number of samples in each vector of a Bayesian model, one after the other; 1 for other models';
COMMENT ON COLUMN model.global_mean IS 'Mean of the ratings trained on';
COMMENT ON COLUMN model.ratings IS 'Number of ratings it was trained on';
COMMENT ON COLUMN model.iterations IS 'Number of iterations';
COMMENT ON COLUMN model.train_rmse IS 'RMSE on the ratings trained on, after the last iteration';
COMMENT ON COLUMN model.probe_rmse IS 'RMSE on the probe; NULL if there is no probe, or if the model was trained on it';
COMMENT ON COLUMN model.test_rmse IS 'RMSE on the test set of the split; NULL without a split';
COMMENT ON COLUMN model.held_out_rmse IS 'RMSE on the held-out ratings; NULL if none were held out';
COMMENT ON COLUMN model.judged_ratings IS 'Number of ratings that the version was judged by: those of its split''s test set; without a split, those of the probe or, if there is no probe or the version was trained on it, the held-out ratings';
COMMENT ON COLUMN model.judged_digest IS 'Digest of these ratings: two models with the same digest were judged by the same ratings';
COMMENT ON COLUMN model.left_out_digest IS 'Digest of all ratings that it was not trained on; NULL if it was imported';
COMMENT ON COLUMN model.summary IS 'Further results: singular values, and the variance that they explain';
COMMENT ON COLUMN model.prior IS 'Only of Bayesian models, to fold customers in: for each sample the Gaussian prior of a customer: means of factors and bias, then the upper triangle of their precision matrix, divided by the precision of ratings';
COMMENT ON COLUMN model.elapsed IS 'Time of the training, including reading and writing';
COMMENT ON COLUMN model.trained_at IS 'When it was trained';
COMMENT ON COLUMN model.trained_by IS 'Role that trained it';

CREATE TABLE model_version (
    name      text NOT NULL,
    version   int NOT NULL,
    model_id  int NOT NULL,
    PRIMARY KEY (name, version)
) USING heap;
COMMENT ON TABLE model_version IS 'All versions, including dropped ones, because a number is never used again';
COMMENT ON COLUMN model_version.name IS 'Name of the model';
COMMENT ON COLUMN model_version.version IS 'Number within the name, from 1';
COMMENT ON COLUMN model_version.model_id IS 'The version''s model_id. The least one of a name says when the name was first trained: if a call names no model, the oldest name that has a deployed version answers';

CREATE TABLE model_iteration (
    model_id       int NOT NULL REFERENCES model ON DELETE CASCADE,
    iteration      int NOT NULL,
    train_rmse     double precision NOT NULL,
    held_out_rmse  double precision,
    seconds        double precision NOT NULL,
    PRIMARY KEY (model_id, iteration)
) USING heap;
COMMENT ON TABLE model_iteration IS 'Errors and time of each iteration of a training';
COMMENT ON COLUMN model_iteration.model_id IS 'The model';
COMMENT ON COLUMN model_iteration.iteration IS 'Number of the iteration, from 1';
COMMENT ON COLUMN model_iteration.train_rmse IS 'RMSE on the training ratings';
COMMENT ON COLUMN model_iteration.held_out_rmse IS 'RMSE on the held-out ratings, or on the probe if none were held out';
COMMENT ON COLUMN model_iteration.seconds IS 'Seconds from the start of the first iteration to the end of this one';

CREATE TABLE model_deployment (
    deployment_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id       int NOT NULL REFERENCES model ON DELETE CASCADE,
    deployed_at    timestamptz NOT NULL DEFAULT now(),
    deployed_by    name NOT NULL DEFAULT current_user
) USING heap;
COMMENT ON TABLE model_deployment IS 'History of deployments, which rollback_model goes back through';
COMMENT ON COLUMN model_deployment.deployment_id IS 'Number of the deployment, from 1; the later one is greater';
COMMENT ON COLUMN model_deployment.model_id IS 'The version that was deployed';
COMMENT ON COLUMN model_deployment.deployed_at IS 'When it was deployed';
COMMENT ON COLUMN model_deployment.deployed_by IS 'Role that deployed it';

CREATE TABLE customer_factors (
    model_id      int NOT NULL REFERENCES model ON DELETE CASCADE,
    customer_key  int NOT NULL REFERENCES dim_customer,
    bias          real NOT NULL,
    factors       real[] NOT NULL,
    PRIMARY KEY (model_id, customer_key)
) USING heap;
COMMENT ON TABLE customer_factors IS 'Bias and factors of each customer in each model';
COMMENT ON COLUMN customer_factors.model_id IS 'The model';
COMMENT ON COLUMN customer_factors.customer_key IS 'The customer';
COMMENT ON COLUMN customer_factors.bias IS 'How much higher than the mean the customer rates';
COMMENT ON COLUMN customer_factors.factors IS 'Factors: their dot product with a movie''s factors is a part of the prediction';

CREATE TABLE movie_factors (
    model_id   int NOT NULL REFERENCES model ON DELETE CASCADE,
    movie_key  int NOT NULL REFERENCES dim_movie,
    bias       real NOT NULL,
    factors    real[] NOT NULL,
    links      real[],
    PRIMARY KEY (model_id, movie_key)
) USING heap;
COMMENT ON TABLE movie_factors IS 'Bias and factors of each movie in each model';
COMMENT ON COLUMN movie_factors.model_id IS 'The model';
COMMENT ON COLUMN movie_factors.movie_key IS 'The movie';
COMMENT ON COLUMN movie_factors.bias IS 'How much better than the mean the movie is liked';
COMMENT ON COLUMN movie_factors.factors IS 'Factors: their dot product with a customer''s factors is a part of the prediction';
COMMENT ON COLUMN movie_factors.links IS 'Link: a vector that goes into the factors of each customer who rated the movie, whatever the rating; NULL if the model has no links';

-- pglz cannot compress random mantissas, and trying takes as long as writing them.
ALTER TABLE customer_factors ALTER COLUMN factors SET STORAGE EXTERNAL;
ALTER TABLE movie_factors ALTER COLUMN factors SET STORAGE EXTERNAL, ALTER COLUMN links SET STORAGE EXTERNAL;

-- graph: graphs of movies, of customers or of anything, and a partition of each ------------------------------------

CREATE TABLE graph (
    graph_id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name              text NOT NULL UNIQUE,
    kind              text NOT NULL CHECK (kind IN ('movies', 'customers', 'model', 'sql', 'backbone')),
    nodes_are         text NOT NULL CHECK (nodes_are IN ('movies', 'customers', 'other')),
    params            jsonb NOT NULL,
    nodes             int NOT NULL,
    edges             bigint NOT NULL,
    elapsed           interval NOT NULL,
    communities       int,
    community_params  jsonb,
    modularity        double precision,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by        name NOT NULL DEFAULT current_user
) USING heap;
COMMENT ON TABLE graph IS 'Graphs: undirected, with weights';
COMMENT ON COLUMN graph.graph_id IS 'Key of the graph';
COMMENT ON COLUMN graph.name IS 'Name of the graph';
COMMENT ON COLUMN graph.kind IS 'What made it: ''movies'', ''customers'', ''model'' or ''sql'', for the function graph_project_ of this name; ''backbone'': graph_backbone';
COMMENT ON COLUMN graph.nodes_are IS 'What the ids of its nodes are: ''movies'': movie_id; ''customers'': customer_id; ''other'': ids of your own';
COMMENT ON COLUMN graph.params IS 'Arguments of the function that made it';
COMMENT ON COLUMN graph.nodes IS 'Number of nodes: ends of edges';
COMMENT ON COLUMN graph.edges IS 'Number of edges';
COMMENT ON COLUMN graph.elapsed IS 'Time that making it took';
COMMENT ON COLUMN graph.communities IS 'Number of stored communities; NULL if none are stored';
COMMENT ON COLUMN graph.community_params IS 'What graph_store_communities found them by; NULL if none are stored';
COMMENT ON COLUMN graph.modularity IS 'Modularity of the stored communities; NULL if none are stored';
COMMENT ON COLUMN graph.created_at IS 'When it was made';
COMMENT ON COLUMN graph.created_by IS 'Role that made it';

CREATE TABLE graph_edge (
    graph_id  int NOT NULL REFERENCES graph ON DELETE CASCADE,
    from_id   bigint NOT NULL,
    to_id     bigint NOT NULL,
    weight    double precision NOT NULL CHECK (weight > 0 AND weight < 'Infinity'),
    n_common  int,
    PRIMARY KEY (graph_id, from_id, to_id),
    CHECK (from_id < to_id)
) USING heap;
COMMENT ON TABLE graph_edge IS 'Edges of graphs: each once, from the smaller id to the larger one';
COMMENT ON COLUMN graph_edge.graph_id IS 'The graph';
COMMENT ON COLUMN graph_edge.from_id IS 'The end with the smaller id';
COMMENT ON COLUMN graph_edge.to_id IS 'The other end';
COMMENT ON COLUMN graph_edge.weight IS 'Weight, above 0: how alike the two are';
COMMENT ON COLUMN graph_edge.n_common IS 'Number of customers who rated both movies, or of movies that both customers rated; NULL if ratings did not make the edge';

CREATE TABLE graph_community (
    graph_id   int NOT NULL REFERENCES graph ON DELETE CASCADE,
    node_id    bigint NOT NULL,
    community  int NOT NULL,
    PRIMARY KEY (graph_id, node_id)
) USING heap;
COMMENT ON TABLE graph_community IS 'The communities that graph_store_communities has stored: one of each node';
COMMENT ON COLUMN graph_community.graph_id IS 'The graph';
COMMENT ON COLUMN graph_community.node_id IS 'The node';
COMMENT ON COLUMN graph_community.community IS 'Its community, from 1: the largest comes first';

-- restore: keys and foreign keys that are dropped until the end of a restore --------------------------------------

CREATE TABLE restore_constraint (
    place            int PRIMARY KEY,
    table_name       name NOT NULL,
    constraint_name  name NOT NULL,
    -- Only keys and foreign keys, because netflix_restore_end executes this text with the rights of its caller, the owner.
    definition       text NOT NULL CHECK (definition ~
        '^((PRIMARY KEY|UNIQUE) \([^();]*\)|FOREIGN KEY \([^();]*\) REFERENCES [^();]*\([^();]*\)( ON DELETE CASCADE)?)$')
) USING heap;
COMMENT ON TABLE restore_constraint IS 'Constraints that netflix_restore_begin has dropped and netflix_restore_end adds again; empty at other times';
COMMENT ON COLUMN restore_constraint.place IS 'Number in the order in which the constraints are added: keys before foreign keys';
COMMENT ON COLUMN restore_constraint.table_name IS 'The table';
COMMENT ON COLUMN restore_constraint.constraint_name IS 'Name of the constraint';
COMMENT ON COLUMN restore_constraint.definition IS 'Text after its name in ALTER TABLE ... ADD CONSTRAINT';

-- Without this, pg_dump would not dump the rows.
SELECT pg_catalog.pg_extension_config_dump('dim_date', '');
SELECT pg_catalog.pg_extension_config_dump('dim_movie', '');
SELECT pg_catalog.pg_extension_config_dump('dim_customer', '');
SELECT pg_catalog.pg_extension_config_dump('dim_movie_movie_key_seq', '');
SELECT pg_catalog.pg_extension_config_dump('dim_customer_customer_key_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fact_ratings', '');
SELECT pg_catalog.pg_extension_config_dump('fact_ratings_rating_key_seq', '');
SELECT pg_catalog.pg_extension_config_dump('qualifying', '');
SELECT pg_catalog.pg_extension_config_dump('load_run', '');
SELECT pg_catalog.pg_extension_config_dump('load_run_run_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('load_inserted', '');
SELECT pg_catalog.pg_extension_config_dump('load_file', '');
SELECT pg_catalog.pg_extension_config_dump('load_unit', '');
SELECT pg_catalog.pg_extension_config_dump('load_reject', '');
SELECT pg_catalog.pg_extension_config_dump('rating_split', '');
SELECT pg_catalog.pg_extension_config_dump('rating_split_split_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('search', '');
SELECT pg_catalog.pg_extension_config_dump('search_search_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('search_trial', '');
SELECT pg_catalog.pg_extension_config_dump('search_fold', '');
SELECT pg_catalog.pg_extension_config_dump('model', '');
SELECT pg_catalog.pg_extension_config_dump('model_model_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('model_version', '');
SELECT pg_catalog.pg_extension_config_dump('model_iteration', '');
SELECT pg_catalog.pg_extension_config_dump('model_deployment', '');
SELECT pg_catalog.pg_extension_config_dump('model_deployment_deployment_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('customer_factors', '');
SELECT pg_catalog.pg_extension_config_dump('graph', '');
SELECT pg_catalog.pg_extension_config_dump('graph_graph_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('graph_edge', '');
SELECT pg_catalog.pg_extension_config_dump('graph_community', '');
SELECT pg_catalog.pg_extension_config_dump('movie_factors', '');

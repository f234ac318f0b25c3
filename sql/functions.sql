-- What \df+ shows of each function; and what the planner is told of it: rows, cost, and where it may run.

COMMENT ON FUNCTION netflix_load(text, bigint, bigint) IS 'Loads a folder of the Netflix Prize''s files on the server: each rating once; goes on where it was interrupted';
COMMENT ON FUNCTION ratings_load(text, bigint) IS 'Loads the ratings that a query gives: columns customer_id, movie_id, rating, rated_on';
COMMENT ON FUNCTION add_rating(bigint, bigint, float8, date, bool) IS
    'Adds one rating by ordinary SQL, or changes it where the customer has rated the movie before';
COMMENT ON FUNCTION netflix_load_abandon() IS 'Gives up an interrupted load: removes the ratings that it has inserted';
COMMENT ON FUNCTION refuse_while_keys_are_aside() IS 'Trigger: refuses to write the star schema while a first load is unfinished';
COMMENT ON FUNCTION retire_keys() IS 'Trigger: has the key of a customer or movie that goes never be given to another';
COMMENT ON FUNCTION netflix_restore_begin() IS 'Puts away all keys and foreign keys of the empty tables, so that pg_restore can fill them in any order';
COMMENT ON FUNCTION netflix_restore_end() IS 'Builds the keys and foreign keys that netflix_restore_begin has put away';
COMMENT ON FUNCTION netflix_reset() IS 'Empties all tables of the extension, so that another data set can be loaded';
COMMENT ON FUNCTION netflix_progress() IS 'Long work under way in this database: see the view of the same name';
COMMENT ON FUNCTION train(text, jsonb, text, text, float8, bool) IS
    'Trains a model by an algorithm of this name, with parameters as JSON, and stores it as a new version of its name';
COMMENT ON FUNCTION train_als(text, bigint, bigint, float8, float8, float8, float8, float8, bigint, float8, float8, text, bigint, bool) IS
    'Trains a model by alternating least squares, and stores it as a new version of its name';
COMMENT ON FUNCTION train_svd(text, bigint, bigint, float8, float8, float8, float8, float8, float8, text, bigint, bool) IS
    'Trains a model by stochastic gradient descent, and stores it as a new version of its name';
COMMENT ON FUNCTION train_svdpp(text, bigint, bigint, float8, float8, float8, float8, bool, float8, float8, text, bigint, bool) IS
    'Trains a model that also learns from who rated what, by alternating least squares, and stores it as a new version of its name';
COMMENT ON FUNCTION train_bpmf(text, bigint, bigint, bigint, bool, float8, text, bigint, bool) IS
    'Trains a model of samples whose predictions are averaged, by Gibbs sampling, and stores it as a new version of its name';
COMMENT ON FUNCTION train_truncated_svd(text, bigint, bigint, bigint, text, float8, text, bigint, bool) IS
    'Trains a model by a randomised truncated singular value decomposition, and stores it as a new version of its name';
COMMENT ON FUNCTION train_baseline(text, text, float8, float8, float8, text, bool) IS
    'Trains a model of no factors: the mean, damped biases, or popularity, and stores it as a new version of its name';
COMMENT ON FUNCTION train_estimate(text, jsonb) IS 'Memory and time that a training would take';
COMMENT ON FUNCTION training_curve(text, bigint) IS 'How each iteration of a model''s training went';
COMMENT ON FUNCTION singular_values(text) IS 'What a truncated singular value decomposition found, the largest first';
COMMENT ON FUNCTION model_id(text, bigint) IS 'Key of a version of a model, the deployed one where none is said';
COMMENT ON FUNCTION predict_rating(bigint, bigint, text) IS
    'The rating predicted; of a Bayesian model, how far its samples scatter about it';
COMMENT ON FUNCTION predicted_rating(bigint, bigint, text) IS
    'The rating that predict_rating predicts, as one value; NULL of NULLs';
COMMENT ON FUNCTION evaluate(text, text) IS
    'Compares a model''s predictions with the ratings of a split: probe, train or all; mape is in percent';
COMMENT ON FUNCTION recommend(bigint, bigint, text, bool, bigint, bigint, bigint[], bigint, float8) IS
    'The movies a customer would like best, of those not rated yet';
COMMENT ON FUNCTION recommend_for(bigint[], float8[], bigint, text, bool, bigint, bigint, bigint[], bigint) IS
    'The movies that somebody who is not in the data would like best, given ratings of some';
COMMENT ON FUNCTION recommend_all(bigint, text, bool, bigint[], bigint, bigint, bigint[], bigint) IS
    'What recommend lists, for every customer, or for those of an array; for nobody where it is empty or NULL';
COMMENT ON FUNCTION recommend_users(bigint, bigint, text, bool) IS 'The customers who would like a movie best, of those who have not rated it yet';
COMMENT ON FUNCTION similar_movies(bigint, bigint, text, bigint, bigint, bigint[], bigint) IS 'The movies most like a movie, by the cosine between their factors';
COMMENT ON FUNCTION similar_customers(bigint, bigint, text) IS 'The customers most like a customer, by the cosine between their factors';
COMMENT ON FUNCTION explain(bigint, bigint, text) IS 'What a prediction is made of: biases, and what each of the customer''s ratings adds';
COMMENT ON FUNCTION refresh_customer(bigint, text) IS 'Finds a customer''s factors anew from the ratings there are now, without training';
COMMENT ON FUNCTION deploy_model(text, bigint) IS 'Has a version of a model answer for its name, the newest where none is said';
COMMENT ON FUNCTION rollback_model(text) IS 'Has the version that was deployed before answer for its name again';
COMMENT ON FUNCTION drop_model(text, bigint, bool) IS 'Forgets a version of a model, or all of them where none is said';
COMMENT ON FUNCTION export_model(text, bigint) IS 'A version of a model as one value, for import_model in another database';
COMMENT ON FUNCTION import_model(bytea, text, bool) IS 'Adds what export_model returned as a new version';
COMMENT ON FUNCTION movies_changed() IS 'Trigger: has every session read movies and their factors anew';
COMMENT ON FUNCTION movies_by_second_argument(internal) IS 'Tells the planner how many movies a function returns';
COMMENT ON FUNCTION movies_by_third_argument(internal) IS 'Tells the planner how many movies a function returns';
COMMENT ON FUNCTION customers_by_second_argument(internal) IS 'Tells the planner how many customers a function returns';
COMMENT ON FUNCTION rows_for_all_customers(internal) IS 'Tells the planner how many rows recommend_all returns';

-- Rows, of those that have no support function.
ALTER FUNCTION add_rating(bigint, bigint, float8, date, bool) ROWS 1;
ALTER FUNCTION netflix_load_abandon() ROWS 1;
ALTER FUNCTION train(text, jsonb, text, text, float8, bool) ROWS 1;
ALTER FUNCTION train_estimate(text, jsonb) ROWS 1;
ALTER FUNCTION evaluate(text, text) ROWS 1;
ALTER FUNCTION predict_rating(bigint, bigint, text) ROWS 1;
ALTER FUNCTION refresh_customer(bigint, text) ROWS 1;
ALTER FUNCTION deploy_model(text, bigint) ROWS 1;
ALTER FUNCTION rollback_model(text) ROWS 1;
ALTER FUNCTION drop_model(text, bigint, bool) ROWS 1;
ALTER FUNCTION import_model(bytea, text, bool) ROWS 1;
ALTER FUNCTION netflix_load(text, bigint, bigint) ROWS 1;
ALTER FUNCTION ratings_load(text, bigint) ROWS 1;
ALTER FUNCTION netflix_progress() ROWS 5;
ALTER FUNCTION data_quality() ROWS 25;
ALTER FUNCTION singular_values(text) ROWS 50;
ALTER FUNCTION training_curve(text, bigint) ROWS 20;
ALTER FUNCTION explain(bigint, bigint, text) ROWS 200;

-- Cost, in operators of some 25 ns each, as they take at the Prize's size (benches/serve.sh): 25 us where a row or two are looked up;
-- 0.25 ms where all movies are scored; some ms where a customer's ratings are folded in; 0.2 s where all customers are scored, or
-- a model is read or written. What takes longer has this last cost, too: no plan depends on more, and the statement would be
-- compiled for it (jit_above_cost).
ALTER FUNCTION model_id(text, bigint) COST 1000;
ALTER FUNCTION training_curve(text, bigint) COST 1000;
ALTER FUNCTION singular_values(text) COST 1000;
ALTER FUNCTION netflix_progress() COST 1000;
ALTER FUNCTION predict_rating(bigint, bigint, text) COST 1000;
ALTER FUNCTION predicted_rating(bigint, bigint, text) COST 1000;
ALTER FUNCTION recommend(bigint, bigint, text, bool, bigint, bigint, bigint[], bigint, float8) COST 10000;
ALTER FUNCTION similar_movies(bigint, bigint, text, bigint, bigint, bigint[], bigint) COST 10000;
ALTER FUNCTION deploy_model(text, bigint) COST 10000;
ALTER FUNCTION rollback_model(text) COST 10000;
ALTER FUNCTION add_rating(bigint, bigint, float8, date, bool) COST 10000;
ALTER FUNCTION recommend_for(bigint[], float8[], bigint, text, bool, bigint, bigint, bigint[], bigint) COST 100000;
ALTER FUNCTION explain(bigint, bigint, text) COST 100000;
ALTER FUNCTION refresh_customer(bigint, text) COST 100000;
ALTER FUNCTION similar_customers(bigint, bigint, text) COST 10000000;
ALTER FUNCTION recommend_users(bigint, bigint, text, bool) COST 10000000;
ALTER FUNCTION export_model(text, bigint) COST 10000000;
ALTER FUNCTION import_model(bytea, text, bool) COST 10000000;
ALTER FUNCTION drop_model(text, bigint, bool) COST 10000000;
ALTER FUNCTION netflix_reset() COST 10000000;
ALTER FUNCTION netflix_load_abandon() COST 10000000;
ALTER FUNCTION netflix_restore_begin() COST 10000000;
ALTER FUNCTION netflix_restore_end() COST 10000000;
ALTER FUNCTION train_estimate(text, jsonb) COST 10000000;
ALTER FUNCTION recommend_all(bigint, text, bool, bigint[], bigint, bigint, bigint[], bigint) COST 10000000;
ALTER FUNCTION evaluate(text, text) COST 10000000;
ALTER FUNCTION data_quality() COST 10000000;
ALTER FUNCTION ratings_load(text, bigint) COST 10000000;
ALTER FUNCTION netflix_load(text, bigint, bigint) COST 10000000;
ALTER FUNCTION train(text, jsonb, text, text, float8, bool) COST 10000000;
ALTER FUNCTION train_als(text, bigint, bigint, float8, float8, float8, float8, float8, bigint, float8, float8, text, bigint, bool) COST 10000000;
ALTER FUNCTION train_svd(text, bigint, bigint, float8, float8, float8, float8, float8, float8, text, bigint, bool) COST 10000000;
ALTER FUNCTION train_svdpp(text, bigint, bigint, float8, float8, float8, float8, bool, float8, float8, text, bigint, bool) COST 10000000;
ALTER FUNCTION train_bpmf(text, bigint, bigint, bigint, bool, float8, text, bigint, bool) COST 10000000;
ALTER FUNCTION train_truncated_svd(text, bigint, bigint, bigint, text, float8, text, bigint, bool) COST 10000000;
ALTER FUNCTION train_baseline(text, text, float8, float8, float8, text, bool) COST 10000000;

-- Those that read only run in the leader of a parallel plan, whose other parts run in workers: what they keep (movies, plans) is the
-- leader's. Where one that writes is called, the whole statement has no parallel plan, as with any function that is not marked.
ALTER FUNCTION data_quality() PARALLEL RESTRICTED;
ALTER FUNCTION netflix_progress() PARALLEL RESTRICTED;
ALTER FUNCTION evaluate(text, text) PARALLEL RESTRICTED;
ALTER FUNCTION explain(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION export_model(text, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION model_id(text, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION predict_rating(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION predicted_rating(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION recommend(bigint, bigint, text, bool, bigint, bigint, bigint[], bigint, float8) PARALLEL RESTRICTED;
ALTER FUNCTION recommend_all(bigint, text, bool, bigint[], bigint, bigint, bigint[], bigint) PARALLEL RESTRICTED;
ALTER FUNCTION recommend_for(bigint[], float8[], bigint, text, bool, bigint, bigint, bigint[], bigint) PARALLEL RESTRICTED;
ALTER FUNCTION recommend_users(bigint, bigint, text, bool) PARALLEL RESTRICTED;
ALTER FUNCTION similar_customers(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION similar_movies(bigint, bigint, text, bigint, bigint, bigint[], bigint) PARALLEL RESTRICTED;
ALTER FUNCTION singular_values(text) PARALLEL RESTRICTED;
ALTER FUNCTION training_curve(text, bigint) PARALLEL RESTRICTED;

-- What \df+ shows of each function, and at the end what the planner is told of those that do not return many rows.

COMMENT ON FUNCTION netflix_load(text, int, bigint) IS 'Loads a folder of the Netflix Prize''s files on the server: each rating once; goes on where it was interrupted';
COMMENT ON FUNCTION ratings_load(text, bigint) IS 'Loads the ratings that a query gives: columns customer_id, movie_id, rating, rated_on';
COMMENT ON FUNCTION netflix_reset() IS 'Empties all tables of the extension, so that another data set can be loaded';
COMMENT ON FUNCTION netflix_progress() IS 'Long work under way in this database: see the view of the same name';
COMMENT ON FUNCTION train(text, jsonb, text, text, real, bool) IS
    'Trains a model by an algorithm of this name, with parameters as JSON, and stores it as a new version of its name';
COMMENT ON FUNCTION train_als(text, int, int, real, real, real, real, real, int, real, real, text, bigint, bool) IS
    'Trains a model by alternating least squares, and stores it as a new version of its name';
COMMENT ON FUNCTION train_svd(text, int, int, real, real, real, real, real, real, text, bigint, bool) IS
    'Trains a model by stochastic gradient descent, and stores it as a new version of its name';
COMMENT ON FUNCTION train_svdpp(text, int, int, real, real, real, bool, real, real, text, bigint, bool) IS
    'Trains a model that also learns from who rated what, by alternating least squares, and stores it as a new version of its name';
COMMENT ON FUNCTION train_bpmf(text, int, int, int, bool, real, text, bigint, bool) IS
    'Trains a model of samples whose predictions are averaged, by Gibbs sampling, and stores it as a new version of its name';
COMMENT ON FUNCTION train_truncated_svd(text, int, int, int, text, real, text, bigint, bool) IS
    'Trains a model by a randomised truncated singular value decomposition, and stores it as a new version of its name';
COMMENT ON FUNCTION train_baseline(text, text, real, real, real, text, bool) IS
    'Trains a model of no factors: the mean, damped biases, or popularity, and stores it as a new version of its name';
COMMENT ON FUNCTION train_estimate(text, jsonb) IS 'Memory and time that a training would take';
COMMENT ON FUNCTION training_curve(text, int) IS 'How each iteration of a model''s training went';
COMMENT ON FUNCTION singular_values(text) IS 'What a truncated singular value decomposition found, the largest first';
COMMENT ON FUNCTION model_id(text, int) IS 'Key of a version of a model, the deployed one where none is said';
COMMENT ON FUNCTION predict_rating(int, int, text) IS
    'The rating predicted; of a Bayesian model, how far its samples scatter about it';
COMMENT ON FUNCTION evaluate(text, text) IS
    'Compares a model''s predictions with the ratings of a split: probe, train or all; mape is in percent';
COMMENT ON FUNCTION recommend(int, int, text, bool, int, int, int[], bigint, real) IS
    'The movies a customer would like best, of those not rated yet';
COMMENT ON FUNCTION recommend_for(int[], real[], int, text, bool, int, int, int[], bigint) IS
    'The movies that somebody who is not in the data would like best, given ratings of some';
COMMENT ON FUNCTION recommend_all(int, text, bool, int[], int, int, int[], bigint) IS
    'What recommend lists, for every customer, or for some';
COMMENT ON FUNCTION recommend_users(int, int, text, bool) IS 'The customers who would like a movie best, of those who have not rated it yet';
COMMENT ON FUNCTION similar_movies(int, int, text) IS 'The movies most like a movie, by the cosine between their factors';
COMMENT ON FUNCTION similar_customers(int, int, text) IS 'The customers most like a customer, by the cosine between their factors';
COMMENT ON FUNCTION explain(int, int, text) IS 'What a prediction is made of: biases, and what each of the customer''s ratings adds';
COMMENT ON FUNCTION refresh_customer(int, text) IS 'Finds a customer''s factors anew from the ratings there are now, without training';
COMMENT ON FUNCTION deploy_model(text, int) IS 'Has a version of a model answer for its name, the newest where none is said';
COMMENT ON FUNCTION rollback_model(text) IS 'Has the version that was deployed before answer for its name again';
COMMENT ON FUNCTION drop_model(text, int, bool) IS 'Forgets a version of a model, or all of them where none is said';
COMMENT ON FUNCTION export_model(text, int) IS 'A version of a model as one value, for import_model in another database';
COMMENT ON FUNCTION import_model(bytea, text, bool) IS 'Adds what export_model returned as a new version';
COMMENT ON FUNCTION movies_changed() IS 'Has every session read movies and their factors anew';
COMMENT ON FUNCTION rows_by_second_argument(internal) IS 'Tells the planner how many rows a function returns';
COMMENT ON FUNCTION rows_by_third_argument(internal) IS 'Tells the planner how many rows a function returns';
COMMENT ON FUNCTION rows_for_all_customers(internal) IS 'Tells the planner how many rows recommend_all returns';

ALTER FUNCTION train(text, jsonb, text, text, real, bool) ROWS 1;
ALTER FUNCTION train_estimate(text, jsonb) ROWS 1;
ALTER FUNCTION evaluate(text, text) ROWS 1;
ALTER FUNCTION predict_rating(int, int, text) ROWS 1;
ALTER FUNCTION refresh_customer(int, text) ROWS 1;
ALTER FUNCTION deploy_model(text, int) ROWS 1;
ALTER FUNCTION rollback_model(text) ROWS 1;
ALTER FUNCTION drop_model(text, int, bool) ROWS 1;
ALTER FUNCTION import_model(bytea, text, bool) ROWS 1;
ALTER FUNCTION training_curve(text, int) ROWS 20;
ALTER FUNCTION explain(int, int, text) ROWS 200;

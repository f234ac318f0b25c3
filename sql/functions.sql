-- Each function's description, as \df+ shows it, and what the planner knows of it: rows, cost, and whether parallel workers may run it.

COMMENT ON FUNCTION netflix_load(text, bigint, bigint) IS 'Loads a folder of the Netflix Prize''s files on the server, each rating once; goes on with an interrupted load';
COMMENT ON FUNCTION ratings_load(text, bigint) IS 'Loads the ratings that a query returns, in the columns customer_id, movie_id, rating, rated_on and (optional) is_probe';
COMMENT ON FUNCTION add_rating(bigint, bigint, float8, date, bool) IS
    'Adds one rating by ordinary SQL, or changes it if the customer has already rated the movie';
COMMENT ON FUNCTION netflix_load_abandon() IS 'Gives up an interrupted load and deletes the ratings that it has inserted';
COMMENT ON FUNCTION refuse_while_indexes_are_disabled() IS 'Trigger: refuses to write to the star schema while a first load is unfinished';
COMMENT ON FUNCTION retire_keys() IS 'Trigger: ensures that the key of a deleted customer or movie is never used again';
COMMENT ON FUNCTION netflix_restore_begin() IS 'Drops all keys and foreign keys of the empty tables until netflix_restore_end, so that pg_restore can fill the tables in any order';
COMMENT ON FUNCTION netflix_restore_end() IS 'Adds the keys and foreign keys again that netflix_restore_begin has dropped';
COMMENT ON FUNCTION netflix_reset() IS 'Empties all tables of the extension, models included, so that another data set can be loaded';
COMMENT ON FUNCTION bi_refresh() IS 'Brings the materialised views that BI tools read up to date, while others read them';
COMMENT ON FUNCTION chart_rating_distribution(bigint, bigint, text) IS 'A chart (SVG) of how often each number of stars was given';
COMMENT ON FUNCTION chart_ratings_by_month(bigint, bigint, text) IS 'A chart (SVG) of the number of ratings of each month';
COMMENT ON FUNCTION chart_mean_rating_by_month(bigint, bigint, text) IS 'A chart (SVG) of the mean rating of each month';
COMMENT ON FUNCTION chart_ratings_by_weekday(bigint, bigint, text) IS 'A chart (SVG) of the ratings by weekday';
COMMENT ON FUNCTION chart_rating_counts(bigint, bigint, text) IS 'A chart (SVG) of how many ratings customers have given and movies have got';
COMMENT ON FUNCTION chart_model_comparison(text, text[], bigint, bigint, text) IS 'A chart (SVG) of models by their RMSE on a test set, with intervals';
COMMENT ON FUNCTION chart_training_curve(text, bigint, bigint, bigint, text) IS 'A chart (SVG) of a model''s RMSE after each iteration of its training';
COMMENT ON FUNCTION chart_error_slices(text, text, text, bigint, bigint, bigint, text) IS 'A chart (SVG) of a model''s RMSE on each kind of rating';
COMMENT ON FUNCTION chart_factor_map(text, bigint, bigint, bigint, text) IS 'A chart (SVG) of the best-known movies by the two principal axes of a model''s factors';
COMMENT ON FUNCTION chart_search(bigint, bigint, bigint, text) IS 'A chart (SVG) of the scores of a search: a line, a heat map or parallel axes';
COMMENT ON FUNCTION chart_network(text, bigint, text, text, bigint, bigint, text) IS 'A chart (SVG) of the most important nodes of a graph';
COMMENT ON FUNCTION netflix_report(text, text, bigint, bool) IS 'Everything that is known about ratings, models and communities, as one HTML page';
COMMENT ON FUNCTION netflix_progress() IS 'Long work that is running in this database; the view of the same name shows more';
COMMENT ON FUNCTION train(text, jsonb, text, text, float8, bool, text) IS
    'Trains a model by the named algorithm, with parameters as JSON, and stores it as a new version';
COMMENT ON FUNCTION train_als(text, bigint, bigint, float8, float8, float8, float8, float8, bigint, float8, float8, text, bigint, bool, text) IS
    'Trains a model by alternating least squares, and stores it as a new version';
COMMENT ON FUNCTION train_svd(text, bigint, bigint, float8, float8, float8, float8, float8, float8, text, bigint, bool, text) IS
    'Trains a model by stochastic gradient descent, and stores it as a new version';
COMMENT ON FUNCTION train_svdpp(text, bigint, bigint, float8, float8, float8, float8, bool, float8, float8, text, bigint, bool, text) IS
    'Trains an SVD++ model, which also learns from who rated what, by alternating least squares, and stores it as a new version';
COMMENT ON FUNCTION train_bpmf(text, bigint, bigint, bigint, bool, float8, text, bigint, bool, text) IS
    'Trains a Bayesian model, which averages the predictions of samples, by Gibbs sampling, and stores it as a new version';
COMMENT ON FUNCTION train_truncated_svd(text, bigint, bigint, bigint, text, float8, text, bigint, bool, text) IS
    'Trains a model by a randomised truncated singular value decomposition, and stores it as a new version';
COMMENT ON FUNCTION train_baseline(text, text, float8, float8, bigint, float8, text, bool, text) IS
    'Trains a model without factors (mean, damped biases, or popularity), and stores it as a new version';
COMMENT ON FUNCTION train_blend(text[], text, text, float8, bool, bool) IS
    'Blends models: learns their weights on one half of a test set, and judges the blend by the other half';
COMMENT ON FUNCTION train_estimate(text, jsonb) IS 'Estimates the memory (in bytes) and the time (in seconds) that a training would take';
COMMENT ON FUNCTION training_curve(text, bigint) IS 'Errors and time of each iteration of a model''s training';
COMMENT ON FUNCTION singular_values(text) IS 'Singular values of a model that train_truncated_svd has trained, the largest first, and the variance that they explain';
COMMENT ON FUNCTION model_id(text, bigint) IS 'Key of a version of a model; if version is NULL, of the deployed one';
COMMENT ON FUNCTION predict_rating(bigint, bigint, text) IS
    'Predicts a rating, in stars; for a Bayesian model, also the standard deviation of its samples'' predictions';
COMMENT ON FUNCTION predicted_rating(bigint, bigint, text) IS
    'Predicts a rating as predict_rating does, as one value; NULL if an argument is NULL';
COMMENT ON FUNCTION evaluate(text, text, bigint) IS
    'Errors of a model''s predictions on a split of the ratings; mape is in percent';
COMMENT ON FUNCTION evaluate_slices(text, text, text, bigint) IS
    'Errors of a model''s predictions by customer''s or movie''s number of ratings, by rating, by month, or by whether both are known';
COMMENT ON FUNCTION evaluate_ranking(text, text, bigint, float8, text, float8, bigint, bigint) IS
    'How good the lists are that a model recommends, beside lists of the most popular movies and of those with the highest biases';
COMMENT ON FUNCTION compare_models(text[], text, bigint, float8, bigint) IS
    'Errors of several models on the same ratings, and whether their differences from the first model are more than luck';
COMMENT ON FUNCTION split_ratings(text, text, float8, bigint, date, bigint, float8, bigint, bool) IS
    'Divides the ratings by a rule, under a name, into those to train on and those to judge models by';
COMMENT ON FUNCTION test_set(text) IS 'Ratings of the test set of a split';
COMMENT ON FUNCTION netflix_submission(text, bigint, bigint) IS
    'A model''s predictions for the qualifying set, as lines of the file that the Netflix Prize asked for';
COMMENT ON FUNCTION netflix_score(text, bigint) IS
    'Errors of a model''s predictions on the quiz and test halves of the qualifying set, and how many percent lower than Cinematch''s they are';
COMMENT ON FUNCTION cross_validate(text, jsonb, bigint, bigint) IS
    'Errors of an algorithm on each fold of the ratings, and their means';
COMMENT ON FUNCTION grid_search(text, jsonb, bigint, text, text, bool, float8, bigint, bigint, text, text, bool) IS
    'Tries all points of a grid of parameters; search => id goes on with a search that was interrupted';
COMMENT ON FUNCTION random_search(text, jsonb, bigint, bigint, text, text, bool, float8, bigint, bigint, text, text, bool) IS
    'Tries points of a space of parameters, drawn at random; search => id goes on with a search that was interrupted';
COMMENT ON FUNCTION graph_project_movies(text, text, bigint, float8, bigint, float8, text, float8) IS
    'Makes a graph of movies by the ratings of the customers who rated both';
COMMENT ON FUNCTION graph_project_customers(text, float8, text, bigint, float8, bigint, float8, text, float8, bigint) IS
    'Makes a graph of a sample of the customers by the movies that both rated';
COMMENT ON FUNCTION graph_project_model(text, text, bigint, bigint, float8) IS
    'Makes a graph of movies by the cosine between their factors in a model';
COMMENT ON FUNCTION graph_project_sql(text, text, text) IS
    'Makes a graph of the edges that a query returns, in the columns from_id, to_id and (optional) weight';
COMMENT ON FUNCTION graph_backbone(text, text, float8) IS
    'Makes a graph of those edges of another one that are stronger than chance';
COMMENT ON FUNCTION graph_estimate(text, text, bigint, float8) IS
    'Estimates the memory (in bytes) and the time (in seconds) that a projection would take, and counts the pairs of ratings';
COMMENT ON FUNCTION graph_drop(text) IS
    'Drops a graph, with its edges and stored communities';
COMMENT ON FUNCTION graph_degree(text) IS
    'Number of neighbours of each node, and the sum of the weights of its edges';
COMMENT ON FUNCTION graph_pagerank(text, float8, bigint[], float8[], bigint, float8, bool) IS
    'PageRank of each node; jumps go to any node, or to those of personalization';
COMMENT ON FUNCTION graph_betweenness(text, bigint, bool, bool, bigint) IS
    'Betweenness of each node: exact, or estimated from k sources; if weighted, an edge is 1 / weight long';
COMMENT ON FUNCTION graph_closeness(text, bool) IS
    'Closeness and harmonic centrality of each node; if weighted, an edge is 1 / weight long';
COMMENT ON FUNCTION graph_eigenvector(text, bigint, float8, bool) IS
    'Eigenvector centrality of each node';
COMMENT ON FUNCTION graph_clustering(text, bool) IS
    'Triangles of each node, and the share of the pairs of its neighbours that are neighbours';
COMMENT ON FUNCTION graph_core_number(text) IS
    'Core number of each node';
COMMENT ON FUNCTION graph_components(text) IS
    'Connected component of each node, from 1: the largest comes first';
COMMENT ON FUNCTION graph_leiden(text, float8, bigint, bool) IS
    'Community of each node by the method of Leiden, from 1: the largest comes first';
COMMENT ON FUNCTION graph_louvain(text, float8, bigint, bool) IS
    'Community of each node by the method of Louvain, from 1: the largest comes first';
COMMENT ON FUNCTION graph_label_propagation(text, bool) IS
    'Community of each node by propagation of labels, from 1: the largest comes first';
COMMENT ON FUNCTION graph_summary(text) IS
    'Size, density, components, clustering and weights of a graph, in one row';
COMMENT ON FUNCTION graph_modularity(text, text, float8, bool) IS
    'Modularity of a partition that a query returns, in the columns node_id and community';
COMMENT ON FUNCTION graph_communities(text, text, float8, bigint, bigint, text, bool) IS
    'Communities of a graph: size, density, conductance and most central nodes with their titles';
COMMENT ON FUNCTION graph_store_communities(text, text, float8, bigint, text, bool) IS
    'Stores the community of each node in the table graph_community';
COMMENT ON FUNCTION drop_split(text) IS 'Drops a split; models that were trained on it stay as they are';
COMMENT ON FUNCTION recommend(bigint, bigint, text, bool, bigint, bigint, bigint[], bigint, float8) IS
    'Movies that a customer would like best, of those that the customer has not rated';
COMMENT ON FUNCTION recommend_for(bigint[], float8[], bigint, text, bool, bigint, bigint, bigint[], bigint) IS
    'Movies that somebody who is not in the data would like best, by the given ratings';
COMMENT ON FUNCTION recommend_all(bigint, text, bool, bigint[], bigint, bigint, bigint[], bigint) IS
    'The list of recommend for every customer, or for each customer of an array; no lists if the array is empty or NULL';
COMMENT ON FUNCTION recommend_users(bigint, bigint, text, bool) IS 'Customers who would like a movie best, of those who have not rated it';
COMMENT ON FUNCTION similar_movies(bigint, bigint, text, bigint, bigint, bigint[], bigint) IS 'Movies most similar to a movie, by the cosine between their factors';
COMMENT ON FUNCTION similar_customers(bigint, bigint, text) IS 'Customers most similar to a customer, by the cosine between their factors';
COMMENT ON FUNCTION explain(bigint, bigint, text) IS 'Parts that add up to a prediction: mean, biases, and the contribution of each of the customer''s ratings';
COMMENT ON FUNCTION refresh_customer(bigint, text) IS 'Folds a customer in again from the ratings that are there now, and stores the factors in the model';
COMMENT ON FUNCTION deploy_model(text, bigint) IS 'Deploys a version of a model, so that it answers calls that name the model; if version is NULL, the newest';
COMMENT ON FUNCTION rollback_model(text) IS 'Deploys the version of a model that was deployed before';
COMMENT ON FUNCTION drop_model(text, bigint, bool) IS 'Deletes a version of a model; if version is NULL, all of them';
COMMENT ON FUNCTION export_model(text, bigint) IS 'Returns a version of a model as one value, for import_model in another database';
COMMENT ON FUNCTION import_model(bytea, text, bool) IS 'Adds a model that export_model has returned, as a new version';
COMMENT ON FUNCTION movies_changed() IS 'Trigger: makes every session drop its cached movies and factors';
COMMENT ON FUNCTION movies_by_second_argument(internal) IS 'Support function: tells the planner how many movies a function returns';
COMMENT ON FUNCTION movies_by_third_argument(internal) IS 'Support function: tells the planner how many movies a function returns';
COMMENT ON FUNCTION customers_by_second_argument(internal) IS 'Support function: tells the planner how many customers a function returns';
COMMENT ON FUNCTION rows_for_all_customers(internal) IS 'Support function: tells the planner how many rows recommend_all returns';

-- Rows of functions that have no support function.
ALTER FUNCTION bi_refresh() ROWS 4;
ALTER FUNCTION add_rating(bigint, bigint, float8, date, bool) ROWS 1;
ALTER FUNCTION netflix_load_abandon() ROWS 1;
ALTER FUNCTION train(text, jsonb, text, text, float8, bool, text) ROWS 1;
ALTER FUNCTION train_blend(text[], text, text, float8, bool, bool) ROWS 1;
ALTER FUNCTION train_estimate(text, jsonb) ROWS 1;
ALTER FUNCTION evaluate(text, text, bigint) ROWS 1;
ALTER FUNCTION evaluate_slices(text, text, text, bigint) ROWS 10;
ALTER FUNCTION evaluate_ranking(text, text, bigint, float8, text, float8, bigint, bigint) ROWS 3;
ALTER FUNCTION compare_models(text[], text, bigint, float8, bigint) ROWS 5;
ALTER FUNCTION split_ratings(text, text, float8, bigint, date, bigint, float8, bigint, bool) ROWS 1;
ALTER FUNCTION test_set(text) ROWS 1000000;
ALTER FUNCTION cross_validate(text, jsonb, bigint, bigint) ROWS 6;
ALTER FUNCTION grid_search(text, jsonb, bigint, text, text, bool, float8, bigint, bigint, text, text, bool) ROWS 20;
ALTER FUNCTION random_search(text, jsonb, bigint, bigint, text, text, bool, float8, bigint, bigint, text, text, bool) ROWS 20;
ALTER FUNCTION graph_project_movies(text, text, bigint, float8, bigint, float8, text, float8) ROWS 1;
ALTER FUNCTION graph_project_customers(text, float8, text, bigint, float8, bigint, float8, text, float8, bigint) ROWS 1;
ALTER FUNCTION graph_project_model(text, text, bigint, bigint, float8) ROWS 1;
ALTER FUNCTION graph_project_sql(text, text, text) ROWS 1;
ALTER FUNCTION graph_backbone(text, text, float8) ROWS 1;
ALTER FUNCTION graph_estimate(text, text, bigint, float8) ROWS 1;
ALTER FUNCTION graph_degree(text) ROWS 10000;
ALTER FUNCTION graph_pagerank(text, float8, bigint[], float8[], bigint, float8, bool) ROWS 10000;
ALTER FUNCTION graph_betweenness(text, bigint, bool, bool, bigint) ROWS 10000;
ALTER FUNCTION graph_closeness(text, bool) ROWS 10000;
ALTER FUNCTION graph_eigenvector(text, bigint, float8, bool) ROWS 10000;
ALTER FUNCTION graph_clustering(text, bool) ROWS 10000;
ALTER FUNCTION graph_core_number(text) ROWS 10000;
ALTER FUNCTION graph_components(text) ROWS 10000;
ALTER FUNCTION graph_leiden(text, float8, bigint, bool) ROWS 10000;
ALTER FUNCTION graph_louvain(text, float8, bigint, bool) ROWS 10000;
ALTER FUNCTION graph_label_propagation(text, bool) ROWS 10000;
ALTER FUNCTION graph_summary(text) ROWS 1;
ALTER FUNCTION graph_communities(text, text, float8, bigint, bigint, text, bool) ROWS 20;
ALTER FUNCTION graph_store_communities(text, text, float8, bigint, text, bool) ROWS 1;
ALTER FUNCTION netflix_submission(text, bigint, bigint) ROWS 3000000;
ALTER FUNCTION netflix_score(text, bigint) ROWS 1;
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

-- Cost, in units of an operator that takes some 25 ns, measured at the Prize's size (benches/serve.sh):
--   1000        25 us    one or two rows are looked up
--   10000       0.25 ms  all movies are scored
--   100000      some ms  a customer's ratings are folded in
--   10000000    0.2 s    all customers are scored, or a model is read or written
-- Calls that take longer have the last cost, too: no plan depends on a higher one, and with a higher one PostgreSQL would compile
-- the statement (jit_above_cost).
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
ALTER FUNCTION evaluate(text, text, bigint) COST 10000000;
ALTER FUNCTION evaluate_slices(text, text, text, bigint) COST 10000000;
ALTER FUNCTION evaluate_ranking(text, text, bigint, float8, text, float8, bigint, bigint) COST 10000000;
ALTER FUNCTION compare_models(text[], text, bigint, float8, bigint) COST 10000000;
ALTER FUNCTION split_ratings(text, text, float8, bigint, date, bigint, float8, bigint, bool) COST 10000000;
ALTER FUNCTION drop_split(text) COST 1000;
ALTER FUNCTION test_set(text) COST 10000000;
ALTER FUNCTION cross_validate(text, jsonb, bigint, bigint) COST 10000000;
ALTER FUNCTION grid_search(text, jsonb, bigint, text, text, bool, float8, bigint, bigint, text, text, bool) COST 10000000;
ALTER FUNCTION random_search(text, jsonb, bigint, bigint, text, text, bool, float8, bigint, bigint, text, text, bool) COST 10000000;
ALTER FUNCTION graph_project_movies(text, text, bigint, float8, bigint, float8, text, float8) COST 10000000;
ALTER FUNCTION graph_project_customers(text, float8, text, bigint, float8, bigint, float8, text, float8, bigint) COST 10000000;
ALTER FUNCTION graph_project_model(text, text, bigint, bigint, float8) COST 10000000;
ALTER FUNCTION graph_project_sql(text, text, text) COST 10000000;
ALTER FUNCTION graph_backbone(text, text, float8) COST 10000000;
ALTER FUNCTION graph_estimate(text, text, bigint, float8) COST 10000000;
ALTER FUNCTION graph_drop(text) COST 10000;
ALTER FUNCTION graph_degree(text) COST 10000000;
ALTER FUNCTION graph_pagerank(text, float8, bigint[], float8[], bigint, float8, bool) COST 10000000;
ALTER FUNCTION graph_betweenness(text, bigint, bool, bool, bigint) COST 10000000;
ALTER FUNCTION graph_closeness(text, bool) COST 10000000;
ALTER FUNCTION graph_eigenvector(text, bigint, float8, bool) COST 10000000;
ALTER FUNCTION graph_clustering(text, bool) COST 10000000;
ALTER FUNCTION graph_core_number(text) COST 10000000;
ALTER FUNCTION graph_components(text) COST 10000000;
ALTER FUNCTION graph_leiden(text, float8, bigint, bool) COST 10000000;
ALTER FUNCTION graph_louvain(text, float8, bigint, bool) COST 10000000;
ALTER FUNCTION graph_label_propagation(text, bool) COST 10000000;
ALTER FUNCTION graph_summary(text) COST 10000000;
ALTER FUNCTION graph_modularity(text, text, float8, bool) COST 10000000;
ALTER FUNCTION graph_communities(text, text, float8, bigint, bigint, text, bool) COST 10000000;
ALTER FUNCTION graph_store_communities(text, text, float8, bigint, text, bool) COST 10000000;
ALTER FUNCTION chart_rating_distribution(bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_ratings_by_month(bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_mean_rating_by_month(bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_ratings_by_weekday(bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_rating_counts(bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_model_comparison(text, text[], bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_training_curve(text, bigint, bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_error_slices(text, text, text, bigint, bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_factor_map(text, bigint, bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_search(bigint, bigint, bigint, text) COST 10000000;
ALTER FUNCTION chart_network(text, bigint, text, text, bigint, bigint, text) COST 10000000;
ALTER FUNCTION netflix_report(text, text, bigint, bool) COST 10000000;
ALTER FUNCTION bi_refresh() COST 10000000;
-- So that a group for each movie and month stays in memory.
ALTER FUNCTION bi_refresh() SET work_mem = '128MB';
ALTER FUNCTION netflix_submission(text, bigint, bigint) COST 10000000;
ALTER FUNCTION netflix_score(text, bigint) COST 10000000;
ALTER FUNCTION data_quality() COST 10000000;
ALTER FUNCTION ratings_load(text, bigint) COST 10000000;
ALTER FUNCTION netflix_load(text, bigint, bigint) COST 10000000;
ALTER FUNCTION train(text, jsonb, text, text, float8, bool, text) COST 10000000;
ALTER FUNCTION train_blend(text[], text, text, float8, bool, bool) COST 10000000;
ALTER FUNCTION train_als(text, bigint, bigint, float8, float8, float8, float8, float8, bigint, float8, float8, text, bigint, bool, text) COST 10000000;
ALTER FUNCTION train_svd(text, bigint, bigint, float8, float8, float8, float8, float8, float8, text, bigint, bool, text) COST 10000000;
ALTER FUNCTION train_svdpp(text, bigint, bigint, float8, float8, float8, float8, bool, float8, float8, text, bigint, bool, text) COST 10000000;
ALTER FUNCTION train_bpmf(text, bigint, bigint, bigint, bool, float8, text, bigint, bool, text) COST 10000000;
ALTER FUNCTION train_truncated_svd(text, bigint, bigint, bigint, text, float8, text, bigint, bool, text) COST 10000000;
ALTER FUNCTION train_baseline(text, text, float8, float8, bigint, float8, text, bool, text) COST 10000000;

-- Functions that only read run in the leader of a parallel plan, because their caches (movies, plans) are the leader's; other parts
-- of the statement may run in workers. A statement that calls a function which writes has no parallel plan, as with any function that
-- is not marked.
ALTER FUNCTION data_quality() PARALLEL RESTRICTED;
ALTER FUNCTION netflix_progress() PARALLEL RESTRICTED;
ALTER FUNCTION evaluate(text, text, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION cross_validate(text, jsonb, bigint, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION graph_estimate(text, text, bigint, float8) PARALLEL RESTRICTED;
ALTER FUNCTION graph_degree(text) PARALLEL RESTRICTED;
ALTER FUNCTION graph_pagerank(text, float8, bigint[], float8[], bigint, float8, bool) PARALLEL RESTRICTED;
ALTER FUNCTION graph_betweenness(text, bigint, bool, bool, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION graph_closeness(text, bool) PARALLEL RESTRICTED;
ALTER FUNCTION graph_eigenvector(text, bigint, float8, bool) PARALLEL RESTRICTED;
ALTER FUNCTION graph_clustering(text, bool) PARALLEL RESTRICTED;
ALTER FUNCTION graph_core_number(text) PARALLEL RESTRICTED;
ALTER FUNCTION graph_components(text) PARALLEL RESTRICTED;
ALTER FUNCTION graph_leiden(text, float8, bigint, bool) PARALLEL RESTRICTED;
ALTER FUNCTION graph_louvain(text, float8, bigint, bool) PARALLEL RESTRICTED;
ALTER FUNCTION graph_label_propagation(text, bool) PARALLEL RESTRICTED;
ALTER FUNCTION graph_summary(text) PARALLEL RESTRICTED;
ALTER FUNCTION netflix_submission(text, bigint, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION netflix_score(text, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION test_set(text) PARALLEL RESTRICTED;
ALTER FUNCTION evaluate_slices(text, text, text, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION evaluate_ranking(text, text, bigint, float8, text, float8, bigint, bigint) PARALLEL RESTRICTED;
ALTER FUNCTION compare_models(text[], text, bigint, float8, bigint) PARALLEL RESTRICTED;
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
ALTER FUNCTION chart_rating_distribution(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_ratings_by_month(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_mean_rating_by_month(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_ratings_by_weekday(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_rating_counts(bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_model_comparison(text, text[], bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_training_curve(text, bigint, bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_error_slices(text, text, text, bigint, bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_factor_map(text, bigint, bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_search(bigint, bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION chart_network(text, bigint, text, text, bigint, bigint, text) PARALLEL RESTRICTED;
ALTER FUNCTION netflix_report(text, text, bigint, bool) PARALLEL RESTRICTED;

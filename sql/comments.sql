-- What \df+ shows of each function.

COMMENT ON FUNCTION netflix_load(text, int, bigint) IS 'Loads a folder of the Netflix Prize''s files on the server: each rating once; goes on where it was interrupted';
COMMENT ON FUNCTION ratings_load(text, bigint) IS 'Loads the ratings that a query gives: columns customer_id, movie_id, rating, rated_on';
COMMENT ON FUNCTION netflix_reset() IS 'Empties all tables of the extension, so that another data set can be loaded';
COMMENT ON FUNCTION netflix_progress() IS 'Long work under way in this database: see the view of the same name';
COMMENT ON FUNCTION train_als(text, int, int, real, real, real, real, text, bigint, bool) IS
    'Trains a model by alternating least squares and stores it as a new version of its name';
COMMENT ON FUNCTION evaluate(text, text) IS
    'Compares a model''s predictions with the ratings of a split: probe, train or all; mape is in percent';
COMMENT ON FUNCTION recommend(int, int, text, bool) IS
    'The movies a customer would like best, of those not rated yet';

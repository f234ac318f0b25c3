-- What \df+ shows of each function.

COMMENT ON FUNCTION netflix_load(text, bigint) IS
    'Loads a folder of the Netflix Prize''s files into the star schema; what is there already is left as it is';
COMMENT ON FUNCTION train_als(text, int, int, real, real, text, bigint, bool) IS
    'Trains a model by alternating least squares and stores it as a new version of its name';
COMMENT ON FUNCTION evaluate(text, text) IS
    'Compares a model''s predictions with the ratings of a split: probe, train or all; mape is in percent';
COMMENT ON FUNCTION recommend(int, int, text, bool) IS
    'The movies a customer would like best, of those not rated yet';

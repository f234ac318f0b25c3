-- train: one function for each algorithm, with named arguments. NULL stands for the default of the crate `factor`.
--
-- Their result is that of `train`.
--
-- BEGIN ATOMIC: the bodies are parsed once, here. A body that is a string would be parsed in each call, with the schema's name of
-- today. If the schema was renamed then, anybody who may create schemas could make one with the old name, and put tables into it.

-- Unqualified names must mean PostgreSQL's own objects, whatever is in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $do$
DECLARE
    result text := pg_get_function_result('@extschema@.train'::regproc);
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[
$function$
CREATE FUNCTION @extschema@.train_als(
    model text DEFAULT 'als', factors bigint DEFAULT 50, iterations bigint DEFAULT 6,
    regularization float8 DEFAULT 0.045, bias_regularization float8 DEFAULT 0.0125, prior_count float8 DEFAULT 120,
    implicit_weight float8 DEFAULT 0, implicit_regularization float8 DEFAULT 10, cg_steps bigint DEFAULT 0,
    tolerance float8 DEFAULT 0, hold_out float8 DEFAULT 0, train_on text DEFAULT 'train',
    seed bigint DEFAULT 42, deploy bool DEFAULT NULL, split text DEFAULT NULL
) RETURNS {result} LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM @extschema@.train('als', jsonb_strip_nulls(jsonb_build_object(
        'factors', $2, 'iterations', $3, 'regularization', $4, 'bias_regularization', $5, 'prior_count', $6,
        'implicit_weight', $7, 'implicit_regularization', $8, 'cg_steps', $9, 'tolerance', $10, 'seed', $13
    )), $1, $12, $11, $14, $15);
END;
$function$,
$function$
CREATE FUNCTION @extschema@.train_svd(
    model text DEFAULT 'svd', factors bigint DEFAULT 50, iterations bigint DEFAULT 20,
    learning_rate float8 DEFAULT 0.02, decay float8 DEFAULT 0.95, regularization float8 DEFAULT 0.03,
    bias_regularization float8 DEFAULT 0.05, tolerance float8 DEFAULT 0, hold_out float8 DEFAULT 0,
    train_on text DEFAULT 'train', seed bigint DEFAULT 42, deploy bool DEFAULT NULL, split text DEFAULT NULL
) RETURNS {result} LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM @extschema@.train('svd', jsonb_strip_nulls(jsonb_build_object(
        'factors', $2, 'iterations', $3, 'learning_rate', $4, 'decay', $5, 'regularization', $6,
        'bias_regularization', $7, 'tolerance', $8, 'seed', $11
    )), $1, $10, $9, $12, $13);
END;
$function$,
$function$
CREATE FUNCTION @extschema@.train_svdpp(
    model text DEFAULT 'svdpp', factors bigint DEFAULT 20, iterations bigint DEFAULT 20,
    regularization float8 DEFAULT 0.05, bias_regularization float8 DEFAULT 0.0075, prior_count float8 DEFAULT 200,
    link_regularization float8 DEFAULT 3, link_movies bool DEFAULT true, tolerance float8 DEFAULT 0, hold_out float8 DEFAULT 0,
    train_on text DEFAULT 'train', seed bigint DEFAULT 42, deploy bool DEFAULT NULL, split text DEFAULT NULL
) RETURNS {result} LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM @extschema@.train('svdpp', jsonb_strip_nulls(jsonb_build_object(
        'factors', $2, 'iterations', $3, 'regularization', $4, 'bias_regularization', $5, 'prior_count', $6,
        'link_regularization', $7, 'link_movies', $8, 'tolerance', $9, 'seed', $12
    )), $1, $11, $10, $13, $14);
END;
$function$,
$function$
CREATE FUNCTION @extschema@.train_bpmf(
    model text DEFAULT 'bpmf', factors bigint DEFAULT 20, burn_in bigint DEFAULT 20,
    samples bigint DEFAULT 50, links bool DEFAULT true, hold_out float8 DEFAULT 0,
    train_on text DEFAULT 'train', seed bigint DEFAULT 42, deploy bool DEFAULT NULL, split text DEFAULT NULL
) RETURNS {result} LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM @extschema@.train('bpmf', jsonb_strip_nulls(jsonb_build_object(
        'factors', $2, 'burn_in', $3, 'samples', $4, 'links', $5, 'seed', $8
    )), $1, $7, $6, $9, $10);
END;
$function$,
$function$
CREATE FUNCTION @extschema@.train_truncated_svd(
    model text DEFAULT 'truncated_svd', factors bigint DEFAULT 50, iterations bigint DEFAULT 5,
    oversampling bigint DEFAULT 10, center text DEFAULT 'biases', hold_out float8 DEFAULT 0,
    train_on text DEFAULT 'train', seed bigint DEFAULT 42, deploy bool DEFAULT NULL, split text DEFAULT NULL
) RETURNS {result} LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM @extschema@.train('truncated_svd', jsonb_strip_nulls(jsonb_build_object(
        'factors', $2, 'iterations', $3, 'oversampling', $4, 'center', $5, 'seed', $8
    )), $1, $7, $6, $9, $10);
END;
$function$,
$function$
CREATE FUNCTION @extschema@.train_baseline(
    model text DEFAULT 'baseline', kind text DEFAULT 'biases', customer_damping float8 DEFAULT 5,
    movie_damping float8 DEFAULT 10, iterations bigint DEFAULT 5, hold_out float8 DEFAULT 0, train_on text DEFAULT 'train',
    deploy bool DEFAULT NULL, split text DEFAULT NULL
) RETURNS {result} LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM @extschema@.train('baseline', jsonb_strip_nulls(jsonb_build_object(
        'kind', $2, 'customer_damping', $3, 'movie_damping', $4, 'iterations', $5
    )), $1, $7, $6, $8, $9);
END;
$function$
    ] LOOP
        EXECUTE replace(definition, '{result}', result);
    END LOOP;
END $do$;

SET LOCAL search_path = @extschema@, pg_temp;

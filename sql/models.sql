-- models: the view of all versions of all models.

-- Unqualified names must mean PostgreSQL's own objects, whatever is in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE VIEW @extschema@.models AS
SELECT m.name AS model, m.version,
       CASE WHEN m.is_deployed THEN 'deployed'
            WHEN EXISTS (SELECT FROM @extschema@.model_deployment d WHERE d.model_id = m.model_id) THEN 'withdrawn'
            ELSE 'trained' END AS state,
       m.algorithm, m.params, m.train_on, m.split, m.hold_out, m.factors, m.samples, m.ratings, m.iterations, m.train_rmse, m.probe_rmse,
       m.test_rmse, m.held_out_rmse, m.trained_at, m.trained_by, m.elapsed,
       (SELECT max(d.deployed_at) FROM @extschema@.model_deployment d WHERE d.model_id = m.model_id) AS deployed_at
FROM @extschema@.model m;
COMMENT ON VIEW @extschema@.models IS 'All versions of all models: their state, training and errors';
COMMENT ON COLUMN @extschema@.models.model IS 'Name of the model';
COMMENT ON COLUMN @extschema@.models.version IS 'Number within the name, from 1';
COMMENT ON COLUMN @extschema@.models.state IS '''deployed'': it answers calls that name the model; ''withdrawn'': it was deployed; ''trained'': it was never deployed, or a rollback took it back';
COMMENT ON COLUMN @extschema@.models.algorithm IS 'Algorithm that trained it';
COMMENT ON COLUMN @extschema@.models.params IS 'Parameters of the algorithm';
COMMENT ON COLUMN @extschema@.models.train_on IS '''train'': trained on all ratings except the probe''s; ''all'': trained on the probe, too';
COMMENT ON COLUMN @extschema@.models.split IS 'Split that says which ratings it was trained on, with the fold after a colon; NULL if train_on says it';
COMMENT ON COLUMN @extschema@.models.hold_out IS 'Share of these ratings that was held out, to judge iterations by';
COMMENT ON COLUMN @extschema@.models.factors IS 'Length of each vector of factors as it is stored; in a Bayesian model, of all samples together: samples * (the parameter factors + 2)';
COMMENT ON COLUMN @extschema@.models.samples IS 'Number of samples in each vector of a Bayesian model, one after the other; 1 for other models';
COMMENT ON COLUMN @extschema@.models.ratings IS 'Number of ratings it was trained on';
COMMENT ON COLUMN @extschema@.models.iterations IS 'Number of iterations';
COMMENT ON COLUMN @extschema@.models.train_rmse IS 'RMSE on the ratings that it was trained on, after the last iteration';
COMMENT ON COLUMN @extschema@.models.probe_rmse IS 'RMSE on the probe; NULL if there is no probe, or if the model was trained on it';
COMMENT ON COLUMN @extschema@.models.test_rmse IS 'RMSE on the test set of the split; NULL without a split';
COMMENT ON COLUMN @extschema@.models.held_out_rmse IS 'RMSE on the held-out ratings; NULL if none were held out';
COMMENT ON COLUMN @extschema@.models.trained_at IS 'When it was trained';
COMMENT ON COLUMN @extschema@.models.trained_by IS 'Role that trained it';
COMMENT ON COLUMN @extschema@.models.elapsed IS 'Time of the training, including reading and writing';
COMMENT ON COLUMN @extschema@.models.deployed_at IS 'When it was last deployed; NULL if it never was, or if a rollback took it back';

-- The view applies row-level security to its caller, not to its owner. PostgreSQL 14 has no such views.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN
        EXECUTE 'ALTER VIEW @extschema@.models SET (security_invoker = true)';
    END IF;
END $$;

SET LOCAL search_path = @extschema@, pg_temp;

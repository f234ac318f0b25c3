-- serve: what models there are, and what sessions keep of them.

-- Names mean PostgreSQL's own, whatever stands in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE VIEW @extschema@.models AS
SELECT m.name AS model, m.version,
       CASE WHEN m.is_deployed THEN 'deployed'
            WHEN EXISTS (SELECT FROM @extschema@.model_deployment d WHERE d.model_id = m.model_id) THEN 'withdrawn'
            ELSE 'trained' END AS state,
       m.algorithm, m.params, m.train_on, m.hold_out, m.factors, m.samples, m.ratings, m.iterations, m.train_rmse, m.probe_rmse,
       m.held_out_rmse, m.trained_at, m.trained_by, m.elapsed,
       (SELECT max(d.deployed_at) FROM @extschema@.model_deployment d WHERE d.model_id = m.model_id) AS deployed_at
FROM @extschema@.model m;
COMMENT ON VIEW @extschema@.models IS 'Every version of every model: its state, how it was trained, how good it is';
COMMENT ON COLUMN @extschema@.models.model IS 'The name it was trained under';
COMMENT ON COLUMN @extschema@.models.version IS 'Counted within the name, from 1';
COMMENT ON COLUMN @extschema@.models.state IS '''deployed'': it answers for its name; ''withdrawn'': it did; ''trained'': it never did, or was rolled back';
COMMENT ON COLUMN @extschema@.models.algorithm IS 'How it was trained';
COMMENT ON COLUMN @extschema@.models.params IS 'With which parameters';
COMMENT ON COLUMN @extschema@.models.train_on IS '''train'': on the ratings that are not of the probe; ''all'': on those, too';
COMMENT ON COLUMN @extschema@.models.hold_out IS 'Share of these held out, to judge iterations by';
COMMENT ON COLUMN @extschema@.models.factors IS 'Length of each factor vector';
COMMENT ON COLUMN @extschema@.models.samples IS 'Samples that stand side by side in each vector, if it is a Bayesian model; 1 otherwise';
COMMENT ON COLUMN @extschema@.models.ratings IS 'How many ratings it was trained on';
COMMENT ON COLUMN @extschema@.models.iterations IS 'How many iterations were made';
COMMENT ON COLUMN @extschema@.models.train_rmse IS 'RMSE on these ratings after the last iteration';
COMMENT ON COLUMN @extschema@.models.probe_rmse IS 'RMSE on the probe; NULL where there is none or it was trained on, too';
COMMENT ON COLUMN @extschema@.models.held_out_rmse IS 'RMSE on the ratings held out; NULL where none were';
COMMENT ON COLUMN @extschema@.models.trained_at IS 'When';
COMMENT ON COLUMN @extschema@.models.trained_by IS 'By which role';
COMMENT ON COLUMN @extschema@.models.elapsed IS 'How long training took, reading and writing included';
COMMENT ON COLUMN @extschema@.models.deployed_at IS 'When it was deployed last; NULL where it never was, or was rolled back';

-- A policy on the tables holds for who asks, not for the view's owner: before PostgreSQL 15 there is no such view.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN
        EXECUTE 'ALTER VIEW @extschema@.models SET (security_invoker = true)';
    END IF;
END $$;

SET LOCAL search_path = @extschema@, pg_temp;

-- Sessions keep movies' keys, ids and factors between calls. What a rating changes of a movie is read at each call; what loads
-- and trainings insert, which fires no trigger, is of movies and models that no session keeps yet. ALWAYS: also where
-- session_replication_role is replica.
CREATE TRIGGER tell_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF movie_key, movie_id ON dim_movie
    FOR EACH STATEMENT EXECUTE FUNCTION movies_changed();
ALTER TABLE dim_movie ENABLE ALWAYS TRIGGER tell_sessions;
CREATE TRIGGER tell_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF model_id, movie_key, bias, factors, links ON movie_factors
    FOR EACH STATEMENT EXECUTE FUNCTION movies_changed();
ALTER TABLE movie_factors ENABLE ALWAYS TRIGGER tell_sessions;
-- What a subscriber applies by logical replication fires triggers for rows alone.
CREATE TRIGGER tell_sessions_of_rows AFTER INSERT OR DELETE OR UPDATE OF movie_key, movie_id ON dim_movie
    FOR EACH ROW EXECUTE FUNCTION movies_changed();
ALTER TABLE dim_movie ENABLE REPLICA TRIGGER tell_sessions_of_rows;
CREATE TRIGGER tell_sessions_of_rows AFTER INSERT OR DELETE OR UPDATE OF model_id, movie_key, bias, factors, links ON movie_factors
    FOR EACH ROW EXECUTE FUNCTION movies_changed();
ALTER TABLE movie_factors ENABLE REPLICA TRIGGER tell_sessions_of_rows;

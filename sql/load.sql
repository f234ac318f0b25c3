-- load: how far long work is -------------------------------------------------------------------------------------

-- Names mean PostgreSQL's own, whatever stands in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE VIEW @extschema@.netflix_progress AS
SELECT pid, role, phase, unit, done, total, rows, elapsed,
       CASE WHEN extract(epoch FROM elapsed) > 0 THEN round(rows / extract(epoch FROM elapsed)) END::bigint AS rows_per_second,
       CASE WHEN done > 0 THEN elapsed * (greatest(total - done, 0)::float8 / done) END AS time_left,
       waiting_for
FROM @extschema@.netflix_progress();
COMMENT ON VIEW @extschema@.netflix_progress IS 'Long work under way in this database, one row a session';
COMMENT ON COLUMN @extschema@.netflix_progress.pid IS 'Process of the session that waits for it';
COMMENT ON COLUMN @extschema@.netflix_progress.role IS 'Its role';
COMMENT ON COLUMN @extschema@.netflix_progress.phase IS 'What it is at';
COMMENT ON COLUMN @extschema@.netflix_progress.unit IS 'What is counted in this phase';
COMMENT ON COLUMN @extschema@.netflix_progress.done IS 'How much of it is done';
COMMENT ON COLUMN @extschema@.netflix_progress.total IS 'How much there is in all';
COMMENT ON COLUMN @extschema@.netflix_progress.rows IS 'Rows read from tables or written to them in this phase';
COMMENT ON COLUMN @extschema@.netflix_progress.elapsed IS 'Time since the phase began';
COMMENT ON COLUMN @extschema@.netflix_progress.rows_per_second IS 'The same a second';
COMMENT ON COLUMN @extschema@.netflix_progress.time_left IS 'Time that the rest of the phase will take at the same rate';

COMMENT ON COLUMN @extschema@.netflix_progress.waiting_for IS 'Process for whose transaction the work waits; NULL where it does not wait';

SET LOCAL search_path = @extschema@, pg_temp;

-- load: what keeps the star schema whole while others write to it ------------------------------------------------

-- The triggers for statements see to SQL; also to that of a restore by session_replication_role. What a subscriber applies by
-- logical replication fires triggers for rows alone: those are for replicas only, and cost others nothing.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['fact_ratings', 'qualifying', 'dim_date', 'dim_movie', 'dim_customer'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_while_keys_are_aside BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.refuse_while_keys_are_aside()', name);
        EXECUTE format('CREATE TRIGGER refuse_rows_while_keys_are_aside AFTER INSERT OR UPDATE OR DELETE ON @extschema@.%I
                        FOR EACH ROW EXECUTE FUNCTION @extschema@.refuse_while_keys_are_aside()', name);
        EXECUTE format('ALTER TABLE @extschema@.%I ENABLE ALWAYS TRIGGER refuse_while_keys_are_aside,
                        ENABLE REPLICA TRIGGER refuse_rows_while_keys_are_aside', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['movie', 'customer'] LOOP
        EXECUTE format('CREATE TRIGGER retire_keys BEFORE DELETE OR TRUNCATE ON @extschema@.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.retire_keys()', 'dim_' || name);
        EXECUTE format('CREATE TRIGGER retire_changed_keys BEFORE UPDATE OF %I ON @extschema@.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.retire_keys()', name || '_key', 'dim_' || name);
        EXECUTE format('CREATE TRIGGER retire_keys_of_rows AFTER DELETE OR UPDATE OF %I ON @extschema@.%I
                        FOR EACH ROW EXECUTE FUNCTION @extschema@.retire_keys()', name || '_key', 'dim_' || name);
        EXECUTE format('ALTER TABLE @extschema@.%I ENABLE ALWAYS TRIGGER retire_keys, ENABLE ALWAYS TRIGGER retire_changed_keys,
                        ENABLE REPLICA TRIGGER retire_keys_of_rows', 'dim_' || name);
    END LOOP;
END $$;

-- progress: the view of long work that is running.

-- Unqualified names must mean PostgreSQL's own objects, whatever is in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE VIEW @extschema@.netflix_progress AS
SELECT pid, role, phase, unit, done, total, rows, elapsed,
       CASE WHEN extract(epoch FROM elapsed) > 0 THEN round(rows / extract(epoch FROM elapsed)) END::bigint AS rows_per_second,
       CASE WHEN done > 0 THEN elapsed * (greatest(total - done, 0)::float8 / done) END AS time_left,
       waiting_for
FROM @extschema@.netflix_progress();
COMMENT ON VIEW @extschema@.netflix_progress IS 'Loads, trainings, searches, imports of models, evaluations and graph functions that are running in this database, one row per session';
COMMENT ON COLUMN @extschema@.netflix_progress.pid IS 'Process id of the session that does the work';
COMMENT ON COLUMN @extschema@.netflix_progress.role IS 'Role of the session';
COMMENT ON COLUMN @extschema@.netflix_progress.phase IS 'Phase that it is in';
COMMENT ON COLUMN @extschema@.netflix_progress.unit IS 'Unit in which done and total are counted in this phase';
COMMENT ON COLUMN @extschema@.netflix_progress.done IS 'Units that are done';
COMMENT ON COLUMN @extschema@.netflix_progress.total IS 'All units of the phase';
COMMENT ON COLUMN @extschema@.netflix_progress.rows IS 'Rows that this phase has read from tables or written to them';
COMMENT ON COLUMN @extschema@.netflix_progress.elapsed IS 'Time since the phase began';
COMMENT ON COLUMN @extschema@.netflix_progress.rows_per_second IS 'Rows per second since the phase began';
COMMENT ON COLUMN @extschema@.netflix_progress.time_left IS 'Time that the rest of the phase takes at the same rate';
COMMENT ON COLUMN @extschema@.netflix_progress.waiting_for IS 'Process id of the transaction that it waits for; NULL if it does not wait';

SET LOCAL search_path = @extschema@, pg_temp;

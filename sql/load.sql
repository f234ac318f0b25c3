-- load: how far long work is -------------------------------------------------------------------------------------

-- Names mean PostgreSQL's own, whatever stands in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE VIEW @extschema@.netflix_progress AS
SELECT pid, role, phase, unit, done, total, rows, elapsed,
       CASE WHEN extract(epoch FROM elapsed) > 0 THEN round(rows / extract(epoch FROM elapsed)) END::bigint AS rows_per_second,
       CASE WHEN done > 0 THEN elapsed * (greatest(total - done, 0)::float8 / done) END AS time_left
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

SET LOCAL search_path = @extschema@, pg_temp;

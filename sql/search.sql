-- search: the view of all searches.

-- Unqualified names must mean PostgreSQL's own objects, whatever is in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE VIEW @extschema@.searches AS
SELECT s.search_id, s.kind, s.algorithm, s.space, s.folds, s.split, s.metric, s.halving, s.trials,
       CASE WHEN s.state <> 'running' THEN s.state
            -- A search that runs holds a lock on its number.
            WHEN EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'object' AND l.classid = '@extschema@.search'::regclass
                         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                         AND l.objid = s.search_id::oid AND l.granted) THEN 'running'
            ELSE 'stopped' END AS state,
       t.judged, t.failed, t.best_score, b.params AS best_params, s.started_at, s.finished_at, s.started_by
FROM @extschema@.search s
LEFT JOIN @extschema@.search_trial b ON b.search_id = s.search_id AND b.trial_no = s.best_trial
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.state IN ('judged', 'dropped')) AS judged, count(*) FILTER (WHERE t.state = 'failed') AS failed,
           -- Scores of other stages are those of other samples.
           coalesce(b.score, (array_agg(t.score ORDER BY t.stage DESC, CASE s.metric WHEN 'ndcg' THEN -t.score ELSE t.score END)
                              FILTER (WHERE t.score IS NOT NULL))[1]) AS best_score
    FROM @extschema@.search_trial t WHERE t.search_id = s.search_id
) t;
COMMENT ON VIEW @extschema@.searches IS 'Searches for the best parameters, how far they are, and the best of each';
COMMENT ON COLUMN @extschema@.searches.search_id IS 'Number of the search';
COMMENT ON COLUMN @extschema@.searches.kind IS '''grid'' or ''random''';
COMMENT ON COLUMN @extschema@.searches.algorithm IS 'Algorithm whose parameters are tried';
COMMENT ON COLUMN @extschema@.searches.space IS 'Values of each parameter';
COMMENT ON COLUMN @extschema@.searches.folds IS 'Number of trainings of each trial';
COMMENT ON COLUMN @extschema@.searches.split IS 'Split whose test set judges the trials; NULL if folds do';
COMMENT ON COLUMN @extschema@.searches.metric IS 'What decides which trial is better';
COMMENT ON COLUMN @extschema@.searches.halving IS 'Whether only the best trials go on to all customers';
COMMENT ON COLUMN @extschema@.searches.trials IS 'Number of trials';
COMMENT ON COLUMN @extschema@.searches.state IS '''running''; ''stopped'': the same call with search => search_id goes on; ''completed''';
COMMENT ON COLUMN @extschema@.searches.judged IS 'Number of trials that were judged';
COMMENT ON COLUMN @extschema@.searches.failed IS 'Number of trials that failed';
COMMENT ON COLUMN @extschema@.searches.best_score IS 'Score of the best trial';
COMMENT ON COLUMN @extschema@.searches.best_params IS 'Parameters of the best trial; NULL until the search has ended';
COMMENT ON COLUMN @extschema@.searches.started_at IS 'When it began';
COMMENT ON COLUMN @extschema@.searches.finished_at IS 'When it was completed or stopped';
COMMENT ON COLUMN @extschema@.searches.started_by IS 'Role that began it';

-- The view applies row-level security to its caller, not to its owner. PostgreSQL 14 has no such views.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN
        EXECUTE 'ALTER VIEW @extschema@.searches SET (security_invoker = true)';
    END IF;
END $$;

SET LOCAL search_path = @extschema@, pg_temp;

-- serve: triggers that tell sessions to drop what they have cached of movies and models.

-- Sessions cache movies' keys, ids and factors between calls. These triggers tell them of changes. A rating needs no trigger, because
-- each call reads counts again. Loads and trainings fire none, and need none: what they insert belongs to movies and models that no
-- session has cached yet. ALWAYS: they also fire when session_replication_role is replica.
CREATE TRIGGER tell_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF movie_key, movie_id ON dim_movie
    FOR EACH STATEMENT EXECUTE FUNCTION movies_changed();
ALTER TABLE dim_movie ENABLE ALWAYS TRIGGER tell_sessions;
CREATE TRIGGER tell_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF model_id, movie_key, bias, factors, links ON movie_factors
    FOR EACH STATEMENT EXECUTE FUNCTION movies_changed();
ALTER TABLE movie_factors ENABLE ALWAYS TRIGGER tell_sessions;
-- Changes that a subscriber applies by logical replication fire only row triggers.
CREATE TRIGGER tell_sessions_of_rows AFTER INSERT OR DELETE OR UPDATE OF movie_key, movie_id ON dim_movie
    FOR EACH ROW EXECUTE FUNCTION movies_changed();
ALTER TABLE dim_movie ENABLE REPLICA TRIGGER tell_sessions_of_rows;
CREATE TRIGGER tell_sessions_of_rows AFTER INSERT OR DELETE OR UPDATE OF model_id, movie_key, bias, factors, links ON movie_factors
    FOR EACH ROW EXECUTE FUNCTION movies_changed();
ALTER TABLE movie_factors ENABLE REPLICA TRIGGER tell_sessions_of_rows;

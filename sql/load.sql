-- load: triggers that keep the star schema valid while others write to it.

-- The statement triggers are for SQL, also when session_replication_role is replica, as in a restore. Changes that a subscriber
-- applies by logical replication fire only row triggers. Those are enabled for replicas alone, so that they cost others nothing.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['fact_ratings', 'qualifying', 'dim_date', 'dim_movie', 'dim_customer'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_while_indexes_are_disabled BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.refuse_while_indexes_are_disabled()', name);
        EXECUTE format('CREATE TRIGGER refuse_rows_while_indexes_are_disabled AFTER INSERT OR UPDATE OR DELETE ON @extschema@.%I
                        FOR EACH ROW EXECUTE FUNCTION @extschema@.refuse_while_indexes_are_disabled()', name);
        EXECUTE format('ALTER TABLE @extschema@.%I ENABLE ALWAYS TRIGGER refuse_while_indexes_are_disabled,
                        ENABLE REPLICA TRIGGER refuse_rows_while_indexes_are_disabled', name);
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

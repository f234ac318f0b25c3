-- The extension's schema may be renamed. No object of the extension remembers the old name, so nobody can mislead it by
-- creating a schema of that name.
CREATE SCHEMA before_rename;
CREATE EXTENSION netflix_rec SCHEMA before_rename;
SET client_min_messages = warning;
SELECT ratings_loaded FROM before_rename.netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT version FROM before_rename.train_als(factors => 2);
-- The session caches plans. It must make them anew after the renaming.
SELECT count(*) FROM before_rename.recommend(42, 1);
SELECT count(*) FROM before_rename.data_quality();
ALTER SCHEMA before_rename RENAME TO warehouse;

-- No function's text has the schema's name in it. (Such a text is parsed at each call. A body that was parsed at CREATE
-- FUNCTION refers to the objects themselves.)
SELECT proname FROM pg_proc WHERE pronamespace = 'warehouse'::regnamespace AND prosrc LIKE '%before_rename%';

-- Another role creates a schema of the old name, with traps for a superuser.
CREATE ROLE regress_intruder;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_intruder', current_database()); END $$;
SET ROLE regress_intruder;
CREATE SCHEMA before_rename;
DO $$
DECLARE
    twin record;
BEGIN
    -- A trap in place of each function, with the same types of arguments and result, and an empty table in place of
    -- each table and view.
    FOR twin IN SELECT p.proname, oidvectortypes(p.proargtypes) AS arguments, pg_get_function_result(p.oid) AS result
                FROM pg_proc p WHERE p.pronamespace = 'warehouse'::regnamespace AND p.prorettype <> 'internal'::regtype LOOP
        EXECUTE format('CREATE FUNCTION before_rename.%I(%s) RETURNS %s LANGUAGE plpgsql AS $trap$ BEGIN RAISE ''trapped, as %%'', current_user; END $trap$',
                       twin.proname, twin.arguments, twin.result);
    END LOOP;
    FOR twin IN SELECT c.relname, string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) AS columns
                FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                WHERE c.relnamespace = 'warehouse'::regnamespace AND c.relkind IN ('r', 'v') GROUP BY c.oid, c.relname LOOP
        EXECUTE format('CREATE TABLE before_rename.%I (%s)', twin.relname, twin.columns);
    END LOOP;
END $$;
CREATE FUNCTION before_rename.model_id(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped, as %', current_user; END $$;
SELECT count(*) > 30 AS functions FROM pg_proc WHERE pronamespace = 'before_rename'::regnamespace;
SELECT * FROM before_rename.singular_values('als');
RESET ROLE;

-- Everything works under the new name, and no trap is called.
SELECT ratings_loaded FROM warehouse.netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT ratings_loaded FROM warehouse.ratings_load('SELECT 7 AS customer_id, 3 AS movie_id, 4 AS rating, date ''2005-12-31'' AS rated_on');
SELECT count(*) FROM warehouse.netflix_progress;
SELECT check_name, status FROM warehouse.data_quality() WHERE check_name IN ('ratings', 'foreign_keys', 'invalid_indexes');
SELECT (SELECT sum(rating_count) FROM warehouse.rating_distribution) AS distribution, (SELECT sum(rating_count) FROM warehouse.ratings_by_month) AS months,
       (SELECT sum(rating_count) FROM warehouse.movie_statistics) AS movies, (SELECT sum(rating_count) FROM warehouse.customer_statistics) AS customers,
       (SELECT count(*) FROM warehouse.normalized_ratings) AS normalized, (SELECT sum(train_count) FROM warehouse.movie_bias) AS movie_bias,
       (SELECT sum(train_count) FROM warehouse.customer_bias) AS customer_bias;
SELECT model, version FROM warehouse.train('baseline');
SELECT model, version FROM warehouse.train_als(factors => 2, deploy => true);
SELECT model, version FROM warehouse.train_svd(factors => 2);
SELECT model, version FROM warehouse.train_svdpp(factors => 2);
SELECT model, version FROM warehouse.train_bpmf(factors => 2, burn_in => 1, samples => 2);
SELECT model, version FROM warehouse.train_truncated_svd(factors => 1, oversampling => 1);
SELECT model, version FROM warehouse.train_baseline();
SELECT count(*) FROM warehouse.singular_values('truncated_svd');
SELECT bytes > 0 AS bytes FROM warehouse.train_estimate('als');
SELECT count(*) > 0 AS iterations FROM warehouse.training_curve('als');
SELECT warehouse.model_id('als') > 0 AS model_id;
SELECT n FROM warehouse.evaluate('als', 'all');
SELECT (SELECT count(*) FROM warehouse.recommend(42, 1, 'als')), (SELECT count(*) FROM warehouse.recommend_all(1, 'als', customer_ids => '{42}')),
       (SELECT count(*) FROM warehouse.recommend_for('{1}', '{5}', 1, 'als')), (SELECT count(*) FROM warehouse.recommend_users(1, 1, 'als')),
       (SELECT count(*) FROM warehouse.similar_movies(1, 1, 'als')), (SELECT count(*) FROM warehouse.similar_customers(42, 1, 'als')),
       (SELECT count(*) > 0 FROM warehouse.explain(42, 1, 'als')) AS explained, (SELECT count(*) FROM warehouse.predict_rating(42, 1, 'als'));
SELECT customer_id FROM warehouse.refresh_customer(42, 'als');
SELECT version, replaced FROM warehouse.rollback_model('als');
SELECT version, replaced FROM warehouse.deploy_model('als');
SELECT i.model, i.version FROM warehouse.import_model(warehouse.export_model('als'), 'copy') i;
SELECT model, version FROM warehouse.drop_model('copy', force => true);
SELECT model, version, state FROM warehouse.models ORDER BY 1, 2;
SELECT warehouse.netflix_reset();
SELECT count(*) FROM warehouse.fact_ratings;

DROP OWNED BY regress_intruder;
DROP ROLE regress_intruder;
DROP EXTENSION netflix_rec;
DROP SCHEMA warehouse CASCADE;

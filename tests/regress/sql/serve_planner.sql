-- What the planner knows of the functions: rows, cost, and whether they are parallel safe.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');
SELECT model FROM train_truncated_svd(factors => 2);
SELECT model FROM train_als(factors => 2, iterations => 2, deploy => true);
SET netflix_rec.default_model = 'als';

-- The estimate is the number of rows that the call asks for, or the number of movies or customers if that is smaller.
CREATE FUNCTION pg_temp.expected(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT count(*) AS movies FROM dim_movie \gset
SELECT count(*) AS customers FROM dim_customer \gset
SELECT pg_temp.expected('SELECT * FROM recommend(42, 7)') AS seven, pg_temp.expected('SELECT * FROM recommend(42)') AS ten,
       pg_temp.expected('SELECT * FROM recommend(42, 2147483647)') = :movies AS movies,
       pg_temp.expected('SELECT * FROM recommend_for(''{1}'', ''{5}'', 2147483647)') = :movies AS movies,
       pg_temp.expected('SELECT * FROM similar_movies(42, 2147483647)') = :movies AS movies,
       pg_temp.expected('SELECT * FROM similar_customers(42, 2147483647)') = :customers AS customers,
       pg_temp.expected('SELECT * FROM recommend_users(42, 2147483647)') = :customers AS customers,
       pg_temp.expected('SELECT * FROM recommend_all(2147483647)') = :movies * :customers AS all_of_all,
       pg_temp.expected('SELECT * FROM recommend_all(2147483647, customer_ids => ''{1,2}'')') = :movies * 2 AS all_of_two;

-- Cheaper conditions are evaluated before the function.
EXPLAIN (COSTS off) SELECT * FROM dim_movie WHERE (SELECT predicted_rating FROM predict_rating(42, movie_id)) > 4 AND release_year = 2000;
SELECT count(*) AS cost_nothing FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'netflix_rec') AND procost < 100 AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype);

-- A function that only reads does not keep the rest of the statement from a parallel plan.
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SET enable_indexonlyscan = off;
EXPLAIN (COSTS off) SELECT r.rank, count(*) FROM recommend(42, 5) r JOIN dim_movie USING (movie_id) JOIN fact_ratings USING (movie_key) GROUP BY r.rank;

-- This holds for each such function. Its answer in a parallel plan is the same.
CREATE FUNCTION pg_temp.in_parallel(call text, OUT is_parallel bool, OUT is_same bool) LANGUAGE plpgsql AS $$
DECLARE
    query text := format('SELECT (SELECT md5(string_agg(t::text, '','')) FROM %s AS t), count(*) FROM fact_ratings', call);
    plan text;
    in_parallel record;
    alone record;
BEGIN
    EXECUTE 'EXPLAIN ' || query INTO plan;
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    is_parallel := plan LIKE '%"Gather"%';
    EXECUTE query INTO in_parallel;
    PERFORM set_config('max_parallel_workers_per_gather', '0', false);
    EXECUTE query INTO alone;
    PERFORM set_config('max_parallel_workers_per_gather', '2', false);
    is_same := alone = in_parallel AND alone.md5 IS NOT NULL;
END $$;
SELECT min(customer_id) AS customer FROM dim_customer \gset
SELECT call, p.* FROM unnest(ARRAY[
    'recommend(:customer, 5)', 'recommend(0, 5)', 'recommend_all(2)', 'recommend_all(1, customer_ids => ARRAY[:customer])',
    'recommend_for(ARRAY[1, 2], ARRAY[5, 1], 5)', 'recommend_users(1, 5)', 'similar_movies(1, 5)', 'similar_customers(:customer, 5)',
    'predict_rating(:customer, 1)', 'explain(:customer, 1)', 'evaluate()', 'data_quality()', 'export_model()', 'model_id()',
    'training_curve()', 'singular_values(''truncated_svd'')', 'models', 'rating_distribution'
]) AS call, pg_temp.in_parallel(replace(call, ':customer', (SELECT min(customer_id)::text FROM dim_customer))) p;

-- All functions that only read are marked parallel restricted or safe. A statement with a function that writes has no
-- parallel plan.
SELECT proname, proparallel FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'netflix_rec') AND provolatile <> 'v' AND proparallel = 'u';
SELECT is_parallel FROM pg_temp.in_parallel('refresh_customer(' || :customer || ')');
DROP EXTENSION netflix_rec;

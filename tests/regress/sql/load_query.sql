-- ratings_load loads ratings from any query with the columns customer_id, movie_id, rating and rated_on.
CREATE EXTENSION netflix_rec;
CREATE TABLE votes (customer_id int, movie_id int, rating numeric, rated_on timestamp);
INSERT INTO votes VALUES (7, 1, 5, '2004-02-29'), (42, 1, 3, '2005-09-06'), (1000, 3, 2, '2005-12-31'), (42, 3, 4, '2005-09-07');
SELECT run_id, status, files, ratings_read, ratings_loaded, duplicates, rejected, customers, movies, probe_pairs, qualifying_pairs,
       elapsed > '0' AS took_time
FROM ratings_load('SELECT * FROM votes');
SELECT rating_key, customer_id, movie_id, date_key, rating, is_probe
FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key) ORDER BY rating_key;
SELECT customer_id, rating_count, rating_mean, first_rated_on, last_rated_on FROM dim_customer ORDER BY 1;
SELECT movie_id, title, rating_count, rating_mean, first_rated_on, last_rated_on FROM dim_movie ORDER BY 1;
SELECT count(*), min(date), max(date) FROM dim_date;

-- The ratings go through the same checks as those of a file. A row that cannot be used is listed with its number. So is
-- a second, different rating for the same customer and movie.
SELECT ratings_read, ratings_loaded, duplicates, rejected FROM ratings_load($$
    SELECT * FROM votes
    UNION ALL VALUES (42, 1, 4, '2005-09-06'::timestamp), (42, 2, 3.5, '2005-09-06'), (0, 1, 3, '2005-09-06'), (42, NULL, 3, '2005-09-06'),
                     (8, 1, 4, NULL), (8, 1, 'NaN', '2005-09-06'), (8, 1, 1, '1812-01-01'), (8, 1, 1, 'infinity'),
                     (9, 1, 1, '2006-01-01'), (9, 1, 1, '2006-01-01'), (9, 1, 2, '2006-01-01') -- the last one
    ;
$$);
SELECT line, text, reason FROM load_reject ORDER BY run_id, reject_no;
SELECT customer_id, rating_count, rating_mean, first_rated_on, last_rated_on FROM dim_customer WHERE customer_id = 9;
SELECT ratings_loaded FROM ratings_load('SELECT * FROM votes', max_rejects => 0);
SELECT * FROM ratings_load('SELECT 0 AS customer_id, movie_id, rating, rated_on FROM votes', max_rejects => 2);
\echo :SQLSTATE

-- Any SELECT statement works: without spaces, TABLE with a comment at the end, WITH, and with more columns than needed.
BEGIN;
SELECT ratings_read, ratings_loaded, duplicates FROM ratings_load('SELECT*FROM(VALUES(51,1,2,date''2005-01-01''))AS v(customer_id,movie_id,rating,rated_on)');
SELECT ratings_read, ratings_loaded, duplicates FROM ratings_load('TABLE votes; -- all of them');
SELECT ratings_read, ratings_loaded, duplicates FROM ratings_load('WITH v AS (SELECT * FROM votes) SELECT rated_on, rating, now() AS at, movie_id, customer_id FROM v');
ROLLBACK;
-- The columns may have any type that makes sense. An id must be a whole number, a date has the form yyyy-mm-dd if it is
-- text, and the session's DateStyle and TimeZone make no difference.
BEGIN;
SET LOCAL DateStyle = 'SQL, DMY';
SET LOCAL TimeZone = 'Pacific/Kiritimati';
CREATE DOMAIN stars AS numeric(3, 1);
SELECT ratings_read, ratings_loaded, rejected FROM ratings_load($$
    SELECT ' 60 ' AS customer_id, 1::smallint AS movie_id, 5::stars AS rating, '2005-01-31' AS rated_on
    UNION ALL SELECT * FROM (VALUES ('61.0', 1, 4.0, '2005-01-31'), ('7.5', 1, 4, '2005-01-31'), ('x', 1, 4, '2005-01-31'), ('62', 1, 4.5, '2005-01-31'),
                                    ('63', 1, 4, '31/01/2005'), ('64', 1, 4, 'yesterday'), ('65', 1, 4, '2005-02-30'), ('1e3', 7, 4, '2005-01-31')) v
$$);
SELECT ratings_loaded, rejected FROM ratings_load($$SELECT 66.0::float8 AS customer_id, 1::bigint AS movie_id, 3::real AS rating, timestamp '2005-01-31 23:59:59.999999' AS rated_on$$);
SELECT ratings_loaded, rejected FROM ratings_load($$SELECT 7.5 AS customer_id, 1 AS movie_id, 3 AS rating, date '2005-01-31' AS rated_on$$);
SELECT line, text, reason FROM load_reject JOIN load_run USING (run_id) WHERE started_at >= now() ORDER BY run_id, reject_no;
SELECT customer_id, movie_id, rating, date_key FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key) WHERE customer_id >= 60 AND customer_id <> 1000 ORDER BY 1;
ROLLBACK;
-- An optional column is_probe says which ratings are the probe's.
BEGIN;
SELECT ratings_loaded, probe_pairs FROM ratings_load($$SELECT customer_id + 100 AS customer_id, movie_id, rating, rated_on, nullif(movie_id = 3, false) AS is_probe FROM votes$$);
SELECT ratings_loaded, duplicates, probe_pairs FROM ratings_load($$SELECT customer_id + 100 AS customer_id, movie_id, rating, rated_on, true AS is_probe FROM votes$$);
SELECT customer_id, movie_id, is_probe FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
WHERE customer_id > 100 AND customer_id <> 1000 ORDER BY 1, 2;
ROLLBACK;
BEGIN;
SELECT netflix_reset();
SELECT ratings_loaded, probe_pairs FROM ratings_load($$SELECT *, movie_id = 3 AS is_probe FROM votes$$);
SELECT count(*) FILTER (WHERE is_probe) AS probe FROM fact_ratings;
ROLLBACK;
-- If the ratings are on another scale, the load stops before it writes anything, and the hint has a query that converts
-- them. If only a few are not on the scale, these are listed as rejected.
SELECT ratings_load('SELECT g AS customer_id, 1 AS movie_id, g % 10 / 2.0 + 0.5 AS rating, date ''2005-01-01'' AS rated_on FROM generate_series(1, 5000) g');
SELECT ratings_load('SELECT g AS customer_id, 1 AS movie_id, g % 11 AS rating, date ''2005-01-01'' AS rated_on FROM generate_series(1, 30) g', max_rejects => NULL);
SELECT ratings_load('SELECT g AS customer_id, 1 AS movie_id, g % 101 AS rating, date ''2005-01-01'' AS rated_on FROM generate_series(1, 500) g');
BEGIN;
SELECT ratings_loaded, rejected FROM ratings_load('SELECT g + 5000 AS customer_id, 1 AS movie_id, greatest(ceil((g % 10 / 2.0 + 0.5)), 1) AS rating, date ''2005-01-01'' AS rated_on FROM generate_series(1, 50) g');
SELECT ratings_loaded, rejected FROM ratings_load('SELECT g + 6000 AS customer_id, 1 AS movie_id, CASE WHEN g <= 9 THEN 4.5 ELSE 4 END AS rating, date ''2005-01-01'' AS rated_on FROM generate_series(1, 50) g');
ROLLBACK;

-- ratings_load is part of the caller's transaction, and sees what this transaction has written.
BEGIN;
INSERT INTO votes VALUES (43, 1, 3, '2005-09-06');
SELECT ratings_loaded FROM ratings_load('SELECT * FROM votes');
SELECT count(*) FROM fact_ratings;
ROLLBACK;
SELECT count(*) FROM fact_ratings;

-- Ratings from queries and ratings from files can be mixed.
SET client_min_messages = warning;
SELECT ratings_read, ratings_loaded, duplicates, rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT ratings_read, ratings_loaded, duplicates, rejected FROM ratings_load('SELECT * FROM votes');
SELECT rating_key, customer_id, movie_id, date_key, rating, is_probe
FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key) ORDER BY rating_key;
SELECT movie_id, title, rating_count, rating_mean, first_rated_on, last_rated_on FROM dim_movie ORDER BY 1;

-- Mistakes.
SELECT * FROM ratings_load(NULL);
SELECT * FROM ratings_load('');
SELECT * FROM ratings_load('votes');
SELECT * FROM ratings_load('SELECT customer_id, movie_id, rating FROM votes');
SELECT ratings_read, rejected FROM ratings_load('SELECT ''x'' AS customer_id, movie_id, rating, rated_on FROM votes');
SELECT * FROM ratings_load('SELECT customer_id, movie_id, rating, rated_on, rating FROM votes');
SELECT * FROM ratings_load('SELECT * FORM votes');
SELECT * FROM ratings_load('SELECT customer_id, movie_id, rating, rated_on
FROM votes JOIN nowhere USING (movie_id)');
-- If the caller catches the error of the query, its position is gone, too: the next error has a context of its own.
DO $$ BEGIN PERFORM ratings_load('SELECT * FORM votes'); EXCEPTION WHEN syntax_error THEN PERFORM 1 / (SELECT count(*) FROM votes WHERE false); END $$;
SELECT * FROM ratings_load('SELECT ARRAY[customer_id] AS customer_id, movie_id, rating, rated_on FROM votes');
SELECT * FROM ratings_load('SELECT customer_id, movie_id, rating, 20051231 AS rated_on FROM votes');
SELECT * FROM ratings_load('SELECT customer_id, movie_id, rating, rated_on::timestamptz FROM votes');
SELECT * FROM ratings_load('SELECT *, 1 AS is_probe FROM votes');
SELECT * FROM ratings_load('-- nothing but a comment');
SELECT * FROM ratings_load('WITH gone AS (DELETE FROM votes RETURNING *) SELECT * FROM gone');
SELECT * FROM ratings_load('SHOW work_mem');
SELECT * FROM ratings_load('SELECT * FROM votes) AS v; DROP TABLE votes; SELECT * FROM (SELECT 1');
SELECT * FROM ratings_load('DELETE FROM votes RETURNING *');
SELECT * FROM ratings_load('SELECT * FROM votes', max_rejects => -1);
SELECT count(*) FROM votes;

-- The query runs with the caller's search_path and privileges. The load itself uses the extension's tables under any
-- search_path.
CREATE SCHEMA planted;
CREATE TABLE planted.votes AS SELECT 77 AS customer_id, 1 AS movie_id, 2 AS rating, date '2005-01-01' AS rated_on;
CREATE TABLE planted.fact_ratings (LIKE fact_ratings);
CREATE FUNCTION planted.unnest(int[]) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RAISE 'misled'; END $$;
CREATE TYPE planted.date AS ENUM ('misled');
SET search_path = planted, public, pg_catalog;
SELECT ratings_loaded FROM ratings_load('SELECT * FROM votes');
SHOW search_path;
RESET search_path;
SELECT count(*) FROM planted.fact_ratings;
CREATE ROLE regress_loader;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO regress_loader;
GRANT DELETE ON load_unit TO regress_loader;
REVOKE ALL ON votes FROM regress_loader;
SET ROLE regress_loader;
SELECT * FROM ratings_load('SELECT * FROM votes');
SELECT ratings_loaded FROM ratings_load($$SELECT 5 AS customer_id, 1 AS movie_id, 5 AS rating, date '2005-01-01' AS rated_on$$);
RESET ROLE;
REVOKE INSERT ON fact_ratings FROM regress_loader;
SET ROLE regress_loader;
SELECT ratings_loaded FROM ratings_load($$SELECT 6 AS customer_id, 1 AS movie_id, 5 AS rating, date '2005-01-01' AS rated_on$$);
RESET ROLE;
DROP OWNED BY regress_loader;
DROP ROLE regress_loader;
DROP SCHEMA planted CASCADE;
DROP TABLE votes;
DROP EXTENSION netflix_rec;

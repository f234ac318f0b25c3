-- The extension reads and writes the pages of its tables directly. So they are heap tables, even if
-- default_table_access_method is another one.
SET client_min_messages = warning;
CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler;
SET default_table_access_method = heap_too;
CREATE EXTENSION netflix_rec;
RESET default_table_access_method;
DROP ACCESS METHOD heap_too;
SELECT ratings_loaded FROM ratings_load($$
    SELECT c AS customer_id, m AS movie_id, 1 + (c * 7 + m * 13) % 5 AS rating, DATE '2005-01-01' + m AS rated_on
    FROM generate_series(1, 300) c, generate_series(1, 60) m WHERE (c + m) % 3 = 0
$$);

-- Factors that do not fit into a row are stored by TOAST without compression, because they hardly compress: their last
-- digits are random.
SELECT attrelid::regclass AS "table", attname AS "column" FROM pg_attribute
WHERE attrelid IN ('customer_factors'::regclass, 'movie_factors'::regclass) AND attstorage = 'e' ORDER BY 1, 2;

-- VACUUM keeps rows that a running transaction could still see. An autovacuum worker in this database has such a
-- transaction. So autovacuum is turned off, and the test waits until no worker is left.
ALTER SYSTEM SET autovacuum = off;
SELECT pg_reload_conf();
DO $$
BEGIN
    FOR try IN 1..1200 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = current_database());
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
-- A model is trained every night, and the previous one is dropped. The space that VACUUM frees is used again.
CREATE VIEW pages AS
SELECT relname, pg_relation_size(oid) / 8192 AS pages, pg_relation_size(reltoastrelid) / 8192 AS toast_pages
FROM pg_class WHERE oid IN ('customer_factors'::regclass, 'movie_factors'::regclass);
CREATE VIEW old AS SELECT model, version FROM models WHERE state = 'withdrawn';
SELECT version FROM train_als('nightly', factors => 600, iterations => 1, cg_steps => 1, deploy => true);
SELECT version FROM train_als('nightly', factors => 600, iterations => 1, cg_steps => 1, deploy => true);
CREATE TABLE second_night AS SELECT * FROM pages;
SELECT d.version AS dropped FROM old, drop_model(old.model, old.version) d;
VACUUM customer_factors, movie_factors;
SELECT version FROM train_als('nightly', factors => 600, iterations => 1, cg_steps => 1, deploy => true);
SELECT d.version AS dropped FROM old, drop_model(old.model, old.version) d;
VACUUM customer_factors, movie_factors;
SELECT version FROM train_als('nightly', factors => 600, iterations => 1, cg_steps => 1, deploy => true);
SELECT d.version AS dropped FROM old, drop_model(old.model, old.version) d;
VACUUM customer_factors, movie_factors;
SELECT version FROM train_als('nightly', factors => 600, iterations => 1, cg_steps => 1, deploy => true);
SELECT d.version AS dropped FROM old, drop_model(old.model, old.version) d;
VACUUM customer_factors, movie_factors;
SELECT version FROM train_als('nightly', factors => 600, iterations => 1, cg_steps => 1, deploy => true);
SELECT relname, s.pages > 0 AND s.toast_pages > 0 AS has_both, p.pages <= s.pages AS same, p.toast_pages <= s.toast_pages AS same_toast
FROM second_night s JOIN pages p USING (relname) ORDER BY relname;

-- The space of deleted ratings is used again, too.
DELETE FROM fact_ratings WHERE customer_key > 100;
VACUUM (TRUNCATE off) fact_ratings;
SELECT pg_relation_size('fact_ratings') AS full_size \gset
SELECT ratings_loaded FROM ratings_load($$
    SELECT c AS customer_id, m AS movie_id, 3 AS rating, DATE '2005-06-01' AS rated_on
    FROM generate_series(101, 300) c, generate_series(1, 60) m WHERE (c + m) % 3 = 0
$$);
SELECT pg_relation_size('fact_ratings') <= :full_size AS same;

-- If somebody has changed a table, this is found before anything is read or written. The statement in the hint undoes
-- the change.
\set one 'SELECT ratings_loaded FROM ratings_load(''SELECT 1 AS customer_id, 3 AS movie_id, 1 AS rating, DATE ''''2005-01-01'''' AS rated_on'');'
ALTER TABLE fact_ratings RENAME customer_key TO x;
ALTER TABLE fact_ratings RENAME movie_key TO customer_key;
ALTER TABLE fact_ratings RENAME x TO movie_key;
:one
SELECT * FROM train('als');
ALTER TABLE public.fact_ratings RENAME COLUMN customer_key TO customer_key_; ALTER TABLE public.fact_ratings RENAME COLUMN movie_key TO customer_key; ALTER TABLE public.fact_ratings RENAME COLUMN customer_key_ TO movie_key;
ALTER TABLE customer_factors RENAME bias TO kindness;
SELECT * FROM train('als');
SELECT * FROM recommend(1, 1);
ALTER TABLE public.customer_factors RENAME COLUMN kindness TO bias;
ALTER TABLE fact_ratings ADD COLUMN double_rating int GENERATED ALWAYS AS (rating * 2) STORED;
:one
ALTER TABLE public.fact_ratings DROP COLUMN double_rating;
ALTER TABLE dim_movie ADD COLUMN genre text DEFAULT 'unknown';
:one
ALTER TABLE public.dim_movie ALTER COLUMN genre DROP DEFAULT;
ALTER TABLE qualifying ALTER COLUMN date_key DROP NOT NULL;
:one
ALTER TABLE public.qualifying ALTER COLUMN date_key SET NOT NULL;
:one

-- SQL reads the rows of a child table with those of its parent. The extension does not, so it refuses to work with such
-- a table.
CREATE TABLE ratings_of_2006 () INHERITS (fact_ratings);
INSERT INTO ratings_of_2006 VALUES (1000000, 1, 4, 20050104, 5, false);
SELECT * FROM train('als');
:one
-- netflix_reset empties the extension's own tables, but no child tables.
SELECT netflix_reset();
SELECT count(*) FROM ratings_of_2006;
ALTER TABLE public.ratings_of_2006 NO INHERIT public.fact_ratings;
:one
DROP TABLE ratings_of_2006;

-- The extension does not check a partition's bounds, so it refuses to write a partition.
CREATE TABLE all_ratings (LIKE fact_ratings) PARTITION BY RANGE (rating_key);
ALTER TABLE all_ratings ATTACH PARTITION fact_ratings FOR VALUES FROM (1) TO (100);
:one
ALTER TABLE public.all_ratings DETACH PARTITION public.fact_ratings;
DROP TABLE all_ratings;

-- A table of the user's that refers to the warehouse is never truncated. netflix_reset is refused until its foreign key
-- is dropped.
CREATE TABLE watchlist (movie_key int REFERENCES dim_movie);
-- It is refused before it waits for locks that readers hold.
CREATE EXTENSION dblink;
SELECT dblink_connect('reader', format('host=%s port=%s user=postgres dbname=%I',
  current_setting('unix_socket_directories'), current_setting('port'), current_database()));
SELECT dblink_exec('reader', 'BEGIN; LOCK TABLE model IN ACCESS SHARE MODE');
SET lock_timeout = '1s';
SELECT netflix_reset();
\echo :SQLSTATE
RESET lock_timeout;
SELECT dblink_disconnect('reader');
DROP EXTENSION dblink;
ALTER TABLE public.watchlist DROP CONSTRAINT watchlist_movie_key_fkey;
SELECT netflix_reset();
SELECT count(*) FROM fact_ratings;

DROP TABLE watchlist, second_night;
DROP VIEW pages, old;
DROP EXTENSION netflix_rec;
ALTER SYSTEM RESET autovacuum;
SELECT pg_reload_conf();

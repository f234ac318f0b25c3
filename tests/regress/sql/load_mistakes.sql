-- Mistakes in a call of netflix_load, or in the files: the message for each, and the SQLSTATE of each kind.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
-- A first load needs ratings.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/norating');
\echo :SQLSTATE
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');

-- The path is NULL, does not exist, is not absolute, or is a file. The folder is empty, or its archive is no tar
-- archive.
SELECT * FROM netflix_load(NULL);
\! psql -X -d regress -c "SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/nowhere')" 2>&1 | sed "s/user \"$(stat -c %U /tmp/netflix_rec_test)\"/user \"USER\"/"
SELECT * FROM netflix_load('data');
\echo :SQLSTATE
SELECT * FROM netflix_load('');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny/movie_titles.csv');
\echo :SQLSTATE
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/empty');
\echo :SQLSTATE
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/packed');

-- The server's user has no permission to read a file.
\! psql -X -d regress -c "SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/unreadable')" 2>&1 | sed "s/user \"$(stat -c %U /tmp/netflix_rec_test)\"/user \"USER\"/"

-- A binary file is refused as soon as more than max_rejects lines of it cannot be used.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/junk', max_rejects => 10);
\echo :SQLSTATE
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/endless');
\echo :SQLSTATE
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/junk', max_rejects => -1);

-- Lines that cannot be used are counted and listed. The good lines between them are loaded.
SELECT ratings_read, ratings_loaded, duplicates, rejected, customers, movies
FROM netflix_load('/tmp/netflix_rec_test/fixtures/mistakes');
SELECT replace(path, '/tmp/netflix_rec_test/fixtures/', '') AS file, line, left(text, 30) AS text, reason
FROM load_reject JOIN load_file USING (run_id, file_no) ORDER BY reject_no;
SELECT customer_id, movie_id, rating FROM fact_ratings
JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key) ORDER BY rating_key;
-- The titles file's line for movie 2 could not be used. The movie is loaded without a title.
SELECT movie_id, title FROM dim_movie ORDER BY movie_id;

-- With fewer rejects allowed the load stops. The ratings that were there before are all kept.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/mistakes', max_rejects => 3);
SELECT count(*) FROM fact_ratings;
SELECT rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/mistakes', max_rejects => NULL);
SELECT count(*) FROM load_reject WHERE run_id = (SELECT max(run_id) FROM load_run);

-- A role needs the privilege to read the server's files, and privileges to write the tables.
CREATE ROLE regress_loader;
SET ROLE regress_loader;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
\echo :SQLSTATE
RESET ROLE;
GRANT pg_read_server_files TO regress_loader;
SET ROLE regress_loader;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
\echo :SQLSTATE
RESET ROLE;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO regress_loader;
GRANT DELETE ON load_unit TO regress_loader;
SET ROLE regress_loader;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
RESET ROLE;
-- This role loads new ratings, too. But it may not ANALYZE the tables afterwards: their owner must do that.
DELETE FROM fact_ratings WHERE rating_key = 7;
SET client_min_messages = notice;
SET ROLE regress_loader;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
RESET ROLE;
SET client_min_messages = warning;
ALTER TABLE fact_ratings ENABLE ROW LEVEL SECURITY;
SET ROLE regress_loader;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
RESET ROLE;
ALTER TABLE fact_ratings DISABLE ROW LEVEL SECURITY;

-- A load writes, and it must see what other transactions have committed. So it refuses READ ONLY and REPEATABLE READ.
BEGIN READ ONLY;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
ROLLBACK;

-- Only one load can run at a time. (The other session holds the lock that a load there would hold.)
CREATE EXTENSION dblink;
SELECT dblink_connect('other', format('host=%s port=%s user=postgres dbname=%I',
  current_setting('unix_socket_directories'), current_setting('port'), current_database()));
SELECT dblink_exec('other', 'BEGIN');
SELECT dblink_exec('other', $$COMMENT ON EXTENSION netflix_rec IS 'in use'$$);
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
\echo :SQLSTATE
SELECT netflix_reset();
SELECT dblink_exec('other', 'COMMIT');
SELECT dblink_disconnect('other');
DROP EXTENSION dblink;

-- If somebody has changed a table's columns, the load refuses to read or write the table.
ALTER TABLE fact_ratings ALTER COLUMN movie_key DROP NOT NULL;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
ALTER TABLE fact_ratings ALTER COLUMN movie_key SET NOT NULL;
ALTER TABLE fact_ratings ADD COLUMN weight real NOT NULL DEFAULT 1;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
\echo :SQLSTATE
-- An added column is no obstacle if it may be NULL.
ALTER TABLE fact_ratings DROP COLUMN weight;
ALTER TABLE fact_ratings ADD COLUMN note text;
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT rating_key, rating, note FROM fact_ratings ORDER BY rating_key DESC LIMIT 1;

-- A statement timeout stops a load in any phase. The same call then finishes the load. Until then, no other load can
-- begin.
DROP EXTENSION netflix_rec;
CREATE EXTENSION netflix_rec;
SET statement_timeout = '20ms';
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
RESET statement_timeout;
INSERT INTO load_run (path, status, started_at, files, ratings_read, ratings_loaded, duplicates, rejected, first_rating_key, is_first)
VALUES ('/data', 'loading', now(), 0, 0, 0, 0, 0, 1, true);
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
\echo :SQLSTATE
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
DROP EXTENSION netflix_rec;
DROP OWNED BY regress_loader;
REVOKE pg_read_server_files FROM regress_loader;
DROP ROLE regress_loader;

-- The database must store text as UTF-8.
CREATE DATABASE regress_latin1 ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_latin1
CREATE EXTENSION netflix_rec;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
\c regress
DROP DATABASE regress_latin1;

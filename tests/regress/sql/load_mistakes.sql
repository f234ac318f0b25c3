-- What netflix_load says to what can go wrong, with the SQLSTATE of each kind of mistake.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
-- A first load needs ratings.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/norating');
\echo :SQLSTATE
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');

-- The path: missing, not there, not absolute, a file, a folder without files, without ratings, with packed files.
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

-- A file that the server's user may not read.
\! psql -X -d regress -c "SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/unreadable')" 2>&1 | sed "s/user \"$(stat -c %U /tmp/netflix_rec_test)\"/user \"USER\"/"

-- Binary junk is refused as soon as there is too much of it.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/junk', max_rejects => 10);
\echo :SQLSTATE
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/endless');
\echo :SQLSTATE
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/junk', max_rejects => -1);

-- Lines that cannot be used are counted and listed; good lines beside them are loaded.
SELECT ratings_read, ratings_loaded, duplicates, rejected, customers, movies
FROM netflix_load('/tmp/netflix_rec_test/fixtures/mistakes');
SELECT replace(path, '/tmp/netflix_rec_test/fixtures/', '') AS file, line, left(text, 30) AS text, reason
FROM load_reject JOIN load_file USING (run_id, file_no) ORDER BY reject_no;
SELECT customer_id, movie_id, rating FROM fact_ratings
JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key) ORDER BY rating_key;
-- The movie whose title could not be read is there without one.
SELECT movie_id, title FROM dim_movie ORDER BY movie_id;

-- With fewer allowed, the load stops and nothing is lost that was there.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/mistakes', max_rejects => 3);
SELECT count(*) FROM fact_ratings;
SELECT rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/mistakes', max_rejects => NULL);
SELECT count(*) FROM load_reject WHERE run_id = (SELECT max(run_id) FROM load_run);

-- Only roles that may read the server's files may load, and only into tables they may write.
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
-- What is new is loaded, too; only ANALYZE is the owner's.
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

-- A load writes, and must see what others have committed.
BEGIN READ ONLY;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
ROLLBACK;

-- One load at a time. (The lock is what a load in another session would hold.)
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

-- A table that somebody changed is neither misread nor written askew.
ALTER TABLE fact_ratings ALTER COLUMN movie_key DROP NOT NULL;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
ALTER TABLE fact_ratings ALTER COLUMN movie_key SET NOT NULL;
ALTER TABLE fact_ratings ADD COLUMN weight real NOT NULL DEFAULT 1;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
\echo :SQLSTATE
-- A column that can be NULL is nobody's trouble.
ALTER TABLE fact_ratings DROP COLUMN weight;
ALTER TABLE fact_ratings ADD COLUMN note text;
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT rating_key, rating, note FROM fact_ratings ORDER BY rating_key DESC LIMIT 1;

-- A statement that takes too long is stopped, whatever the load is at. What is left to do is done by the same call; no
-- other load begins before.
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

-- Text is stored as UTF-8.
CREATE DATABASE regress_latin1 ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_latin1
CREATE EXTENSION netflix_rec;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
\c regress
DROP DATABASE regress_latin1;

-- Folders as people have them, with files of any name. netflix_load decides by a file's content, and says which files
-- it does not read.
CREATE EXTENSION netflix_rec;
\set files /tmp/netflix_rec_test/fixtures/files

-- Only some of the archive's files were unpacked. Then: one file lies in a folder of the same name, and another has a
-- name that netflix_load does not look for.
SELECT files, ratings_loaded FROM netflix_load(:'files' || '/half');
SELECT netflix_reset();
SELECT files, ratings_loaded FROM netflix_load(:'files' || '/named');
SELECT netflix_reset();
-- An archive that was made on Windows is read. An archive is refused if it cannot give all of its ratings.
SELECT files, ratings_loaded FROM netflix_load(:'files' || '/windows');
SELECT netflix_reset();
SELECT * FROM netflix_load(:'files' || '/linked');
\echo :SQLSTATE

-- A gzip file is read under any name. A text file is read even if its name ends in .gz. A file that holds neither is
-- refused, and the message says what it holds.
SELECT files, ratings_loaded FROM netflix_load(:'files' || '/gzip');
SELECT netflix_reset();
SELECT * FROM netflix_load(:'files' || '/zipped');
\echo :SQLSTATE
SELECT * FROM netflix_load(:'files' || '/utf16');
-- Titles, probe, qualifying and judging files are optional. If one of them, or its folder, cannot be read, the ratings
-- are loaded all the same.
\! mkdir -m 000 /tmp/netflix_rec_test/fixtures/files/optional/grand_prize
SELECT files, ratings_loaded, movies, probe_pairs, qualifying_pairs FROM netflix_load(:'files' || '/optional');
\! rmdir /tmp/netflix_rec_test/fixtures/files/optional/grand_prize
SELECT netflix_reset();

-- If the folder holds no rating files, but one folder in it does, that one is loaded. If the files are still packed,
-- the hint says how to unpack them.
SELECT files, ratings_loaded, movies, probe_pairs FROM netflix_load(:'files' || '/down');
SELECT DISTINCT regexp_replace(path, '[^/]*$', '') AS folder FROM load_file WHERE kind <> 'ratings';
SELECT netflix_reset();
SELECT * FROM netflix_load(:'files' || '/several');
\echo :SQLSTATE
SELECT * FROM netflix_load(:'files' || '/packed');

-- The server looks for a path on its own machine, as its own operating system user. The message names the folder or
-- file that blocks the way.
\! chmod 000 /tmp/netflix_rec_test/fixtures/files/barred
\! psql -X -d regress -c "SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/files/barred/set')" 2>&1 | sed "s/user \"$(stat -c %U /tmp/netflix_rec_test)\"/user \"USER\"/"
\! chmod 755 /tmp/netflix_rec_test/fixtures/files/barred; chmod 311 /tmp/netflix_rec_test/fixtures/files/barred/set
\! psql -X -d regress -c "SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/files/barred/set')" 2>&1 | sed "s/user \"$(stat -c %U /tmp/netflix_rec_test)\"/user \"USER\"/"
\! chmod 755 /tmp/netflix_rec_test/fixtures/files/barred/set
\! psql -X -d regress -c "SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/fields/down')" 2>&1 | sed "s/user \"$(stat -c %U /tmp/netflix_rec_test)\"/user \"USER\"/"
SELECT * FROM netflix_load(:'files' || '/half/training_set.tar');
SELECT * FROM netflix_load('C:\Users\me\netflix');
SELECT * FROM netflix_load('\\server\share\netflix');
SELECT * FROM netflix_load('file:///data/netflix');
SELECT * FROM netflix_load('https://example.org/nf_prize_dataset.tar.gz');
\! psql -X -d regress -c "SELECT * FROM netflix_load('~/netflix')" 2>&1 | sed "s/user \"$(stat -c %U /tmp/netflix_rec_test)\"/user \"USER\"/"

-- Ratings on another scale: the hint has a query that converts them.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/halves', max_rejects => 1);

-- An interrupted load is identified by its folder. The path to this folder may be written in any way.
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
CREATE INDEX picky ON fact_ratings ((1 / (date_key - 20051010)));
SELECT * FROM netflix_load(:'files' || '/moved/', 1);
SELECT path FROM load_run WHERE status = 'loading';
DROP INDEX picky;
RESET client_min_messages;
\! ln -sfn moved /tmp/netflix_rec_test/fixtures/files/link
-- No other load can begin before this one is finished.
SELECT * FROM netflix_load(:'files' || '/half');
\echo :SQLSTATE
SELECT * FROM netflix_load('/nowhere');
-- Only the content of the files counts, not their times of modification. If the folder was moved, a call with the new
-- path goes on with the load.
\! touch -d '2020-02-20' /tmp/netflix_rec_test/fixtures/files/moved/*
\! mv /tmp/netflix_rec_test/fixtures/files/moved /tmp/netflix_rec_test/fixtures/files/moved_away
SET client_min_messages = warning;
SELECT * FROM netflix_load(:'files' || '/moved');
\echo :SQLSTATE
RESET client_min_messages;
\! cp -r /tmp/netflix_rec_test/fixtures/files/moved_away /tmp/netflix_rec_test/fixtures/files/other; echo 8,1,2004-01-01 >>/tmp/netflix_rec_test/fixtures/files/other/combined_data_1.txt
SELECT * FROM netflix_load(:'files' || '/other');
\! ln -sfn moved_away /tmp/netflix_rec_test/fixtures/files/link
SELECT status, ratings_loaded FROM netflix_load(:'files' || '/./link/', 1);
SELECT path FROM load_run ORDER BY run_id DESC LIMIT 1;
SELECT DISTINCT path FROM load_file WHERE run_id = (SELECT max(run_id) FROM load_run) ORDER BY 1;
\! cd /tmp/netflix_rec_test/fixtures/files && mv moved_away moved && rm -rf other link
DROP EXTENSION netflix_rec;

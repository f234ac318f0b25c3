-- Folders as people have them: what a file holds decides, not its name; nothing is left out without a word.
CREATE EXTENSION netflix_rec;
\set files /tmp/netflix_rec_test/fixtures/files

-- A part of the archive's files was unpacked. One file has a folder to itself, and one a name that is not looked for.
SELECT files, ratings_loaded FROM netflix_load(:'files' || '/half');
SELECT netflix_reset();
SELECT files, ratings_loaded FROM netflix_load(:'files' || '/named');
SELECT netflix_reset();
-- An archive made on Windows is read. One whose ratings could not all be read out of it is refused.
SELECT files, ratings_loaded FROM netflix_load(:'files' || '/windows');
SELECT netflix_reset();
SELECT * FROM netflix_load(:'files' || '/linked');
\echo :SQLSTATE

-- Gzip is read under any name, and text under that of gzip. What else is no text is refused, by what it is.
SELECT files, ratings_loaded FROM netflix_load(:'files' || '/gzip');
SELECT netflix_reset();
SELECT * FROM netflix_load(:'files' || '/zipped');
\echo :SQLSTATE
SELECT * FROM netflix_load(:'files' || '/utf16');
-- Of the files that need not be there, none stops the ratings, nor does the folder of one.
\! mkdir -m 000 /tmp/netflix_rec_test/fixtures/files/optional/grand_prize
SELECT files, ratings_loaded, movies, probe_pairs, qualifying_pairs FROM netflix_load(:'files' || '/optional');
\! rmdir /tmp/netflix_rec_test/fixtures/files/optional/grand_prize
SELECT netflix_reset();

-- Rating files one folder down are taken, where there is one such folder. Who has yet to unpack them is told how.
SELECT files, ratings_loaded, movies, probe_pairs FROM netflix_load(:'files' || '/down');
SELECT DISTINCT regexp_replace(path, '[^/]*$', '') AS folder FROM load_file WHERE kind <> 'ratings';
SELECT netflix_reset();
SELECT * FROM netflix_load(:'files' || '/several');
\echo :SQLSTATE
SELECT * FROM netflix_load(:'files' || '/packed');

-- The server looks for a path on its own machine, as its own user. What bars the way is named.
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

-- Ratings on another scale: what converts them is told.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/halves', max_rejects => 1);

-- A load is known by its folder, however that is written.
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
CREATE INDEX picky ON fact_ratings ((1 / (date_key - 20051010)));
SELECT * FROM netflix_load(:'files' || '/moved/', 1);
SELECT path FROM load_run WHERE status = 'loading';
DROP INDEX picky;
RESET client_min_messages;
\! ln -sfn moved /tmp/netflix_rec_test/fixtures/files/link
-- No other load begins before.
SELECT * FROM netflix_load(:'files' || '/half');
\echo :SQLSTATE
SELECT * FROM netflix_load('/nowhere');
-- Files that have other times, but hold the same, are the same; those that were moved are looked for where the call says.
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

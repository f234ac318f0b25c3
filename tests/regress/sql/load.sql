-- netflix_load loads a folder of the Prize's files into the star schema.
CREATE EXTENSION netflix_rec;
SELECT run_id, status, files, ratings_read, ratings_loaded, duplicates, rejected,
       customers, movies, probe_pairs, qualifying_pairs, elapsed > '0' AS took_time
FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');

-- A title may hold commas and accents. A year may be unknown. Keys are in the order of the ids.
SELECT * FROM dim_movie ORDER BY movie_key;
SELECT * FROM dim_customer ORDER BY customer_key;
SELECT * FROM fact_ratings ORDER BY rating_key;
SELECT * FROM qualifying;

-- dim_date holds every day of the years from the first rating to the last.
SELECT count(*), min(date), max(date) FROM dim_date;
SELECT * FROM dim_date WHERE date_key IN (20040229, 20051231) ORDER BY date_key;

-- A star query as a BI tool sends it.
SELECT d.year, d.day_name, m.title, c.customer_id, f.rating
FROM fact_ratings f
JOIN dim_date d USING (date_key) JOIN dim_movie m USING (movie_key) JOIN dim_customer c USING (customer_key)
ORDER BY d.date, c.customer_id;

-- The ledger (load_run and load_file) says what was read.
SELECT file_no, replace(path, '/tmp/netflix_rec_test/fixtures/', '') AS path, bytes, checksum, records, rejected
FROM load_file ORDER BY file_no;

-- Loading the same folder again adds nothing. Neither does the same data in another layout.
SET client_min_messages = warning;
SELECT ratings_read, ratings_loaded, duplicates, customers, movies, probe_pairs, qualifying_pairs
FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT ratings_read, ratings_loaded, duplicates, customers, movies, probe_pairs, qualifying_pairs
FROM netflix_load('/tmp/netflix_rec_test/fixtures/combined');
SELECT count(*), sum(rating_key) FROM fact_ratings;

-- A later folder adds what is new: ratings, customers, movies and probe pairs. If a pair of customer and movie has a
-- second rating, the first one is kept. A movie has no title until a titles file names it. If several titles files name
-- it, the last one wins.
RESET client_min_messages;
SELECT ratings_read, ratings_loaded, duplicates, customers, movies, probe_pairs, qualifying_pairs
FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT rating_key, customer_id, movie_id, date_key, rating, is_probe
FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key) ORDER BY rating_key;
SELECT movie_key, movie_id, title FROM dim_movie WHERE movie_id = 5;
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles');
SELECT movie_id, title, release_year FROM dim_movie WHERE movie_id IN (1, 5) ORDER BY movie_id;

-- Counts, means, and first and last days in the dimensions are right after every load.
CREATE VIEW wrong AS
SELECT 'customer' AS dimension, customer_id AS id FROM dim_customer d LEFT JOIN
  (SELECT customer_key, count(*) n, avg(rating) mean, min(date) first, max(date) last
   FROM fact_ratings JOIN dim_date USING (date_key) GROUP BY 1) f USING (customer_key)
WHERE (rating_count, round(rating_mean::numeric, 9), first_rated_on, last_rated_on)
      IS DISTINCT FROM (coalesce(n, 0), round(mean, 9), first, last)
UNION ALL
SELECT 'movie', movie_id FROM dim_movie d LEFT JOIN
  (SELECT movie_key, count(*) n, avg(rating) mean, min(date) first, max(date) last
   FROM fact_ratings JOIN dim_date USING (date_key) GROUP BY 1) f USING (movie_key)
WHERE (rating_count, round(rating_mean::numeric, 9), first_rated_on, last_rated_on)
      IS DISTINCT FROM (coalesce(n, 0), round(mean, 9), first, last);
SELECT * FROM wrong;

-- A first load is fast: it writes a million ratings directly into the table, and builds the indexes when all are in.
-- The result is the same as after a million INSERTs: foreign keys hold, and the indexes find every row.
DROP VIEW wrong;
DROP EXTENSION netflix_rec;
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_read, ratings_loaded, duplicates, rejected, customers, movies, probe_pairs, qualifying_pairs
FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
SELECT count(*) FROM fact_ratings f
LEFT JOIN dim_customer c USING (customer_key) LEFT JOIN dim_movie m USING (movie_key) LEFT JOIN dim_date d USING (date_key)
WHERE c.customer_id IS NULL OR m.movie_id IS NULL OR d.date IS NULL;
SELECT count(*) FROM qualifying q
LEFT JOIN dim_customer c USING (customer_key) LEFT JOIN dim_movie m USING (movie_key) LEFT JOIN dim_date d USING (date_key)
WHERE c.customer_id IS NULL OR m.movie_id IS NULL OR d.date IS NULL;
SELECT count(*) FILTER (WHERE rating NOT BETWEEN 1 AND 5) AS off_scale, count(DISTINCT (customer_key, movie_key)),
       min(rating_key), max(rating_key), count(*) FILTER (WHERE is_probe) AS probe FROM fact_ratings;
CREATE EXTENSION amcheck;
SELECT indexrelid::regclass AS index, indisvalid, indisready, bt_index_check(indexrelid, true) AS sound
FROM pg_index WHERE indrelid IN ('fact_ratings'::regclass, 'qualifying'::regclass, 'dim_customer'::regclass)
ORDER BY 1;
SELECT relname, reltuples > 0 AS analyzed FROM pg_class
WHERE oid IN ('fact_ratings'::regclass, 'dim_movie'::regclass) ORDER BY 1;
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
SET netflix_rec.max_memory = '5MB';
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/million', workers => 1);
RESET netflix_rec.max_memory;
INSERT INTO fact_ratings SELECT rating_key + 10000000, customer_key, movie_key, date_key, rating, is_probe
FROM fact_ratings WHERE rating_key = 1;
DROP EXTENSION amcheck;

-- A load commits as it goes. So it must be a statement of its own, outside of a transaction block.
DROP EXTENSION netflix_rec;
CREATE EXTENSION netflix_rec;
BEGIN;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
ROLLBACK;
-- psql runs several statements of one -c in one transaction.
\! psql -X -d regress -c "SET work_mem = '4MB'; SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny')" 2>&1
DO $$ BEGIN CREATE TABLE written (); PERFORM netflix_load('/tmp/netflix_rec_test/fixtures/tiny'); END $$;
SELECT count(*) FROM fact_ratings;

-- A load works with any number of workers. With workers => 0 this session does the work itself.
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', workers => 0);
SELECT sum(rating_key * customer_key * movie_key * rating) FROM fact_ratings;

-- netflix_reset empties the warehouse.
SELECT netflix_reset();
SELECT count(*) FROM fact_ratings;

-- The warehouse is the same for every layout of the files, for gzip and plain files, for both kinds of line ends, and
-- for any number of workers.
SET client_min_messages = warning;
CREATE VIEW digest AS SELECT
    (SELECT md5(string_agg(f::text, ' ' ORDER BY rating_key)) FROM fact_ratings f) AS facts,
    (SELECT md5(string_agg(c::text, ' ' ORDER BY customer_key)) FROM dim_customer c) AS customers,
    (SELECT md5(string_agg(m::text, ' ' ORDER BY movie_key)) FROM dim_movie m) AS movies,
    (SELECT md5(string_agg(q::text, ' ' ORDER BY movie_key, customer_key)) FROM qualifying q) AS qualifying;
SELECT ratings_loaded, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');
SELECT facts AS f, customers AS c, movies AS m, qualifying AS q FROM digest \gset
SELECT count(rating) FROM qualifying;
\set same 'SELECT (facts, customers, movies, qualifying) = (:''f'', :''c'', :''m'', :''q'') AS same FROM digest'
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/tar', workers => 1); :same;
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined', workers => 3); :same;
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files.gz', workers => 0); :same;
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/tar.gz'); :same;
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined.gz'); :same;
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files.crlf'); :same;
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/tar.crlf'); :same;
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined.crlf'); :same;
-- The ledger has a row for each member of an archive.
SELECT netflix_reset();
SELECT files FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/tar');
SELECT kind, right(path, 16) AS path, member, bytes, records, state FROM load_file WHERE file_no IN (1, 2, 3);
DROP VIEW digest;
SELECT netflix_reset();
SELECT run_id, ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', workers => 3);
SELECT sum(rating_key * customer_key * movie_key * rating) FROM fact_ratings;
SELECT indexrelid::regclass AS index, indisvalid, indisready FROM pg_index WHERE indrelid = 'fact_ratings'::regclass ORDER BY 1;
DROP EXTENSION netflix_rec;

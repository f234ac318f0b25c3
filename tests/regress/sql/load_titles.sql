-- Titles as other tools have saved them; titles that cannot be read; titles that come later.
CREATE EXTENSION netflix_rec;

-- A spreadsheet puts quotes around what has quotes, and empty columns at the end.
SELECT ratings_loaded, rejected, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.sheet');
SELECT movie_id, release_year, title FROM dim_movie ORDER BY movie_id;

-- A data frame writes a header, years as 2003.0, and its index in front: the same titles.
SELECT ratings_loaded, rejected, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.frame');
SELECT movie_id, release_year, title FROM dim_movie ORDER BY movie_id;

-- Of two files, the one in the official form counts. Its quotes are the title's own.
SELECT ratings_loaded, rejected, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.two');
SELECT kind, right(path, 16) AS path, records FROM load_file WHERE run_id = 3 ORDER BY file_no;

-- Titles never stop ratings, however many of them cannot be used.
SELECT netflix_reset();
SELECT ratings_loaded, rejected, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.years');
SELECT count(*), min(line), max(line), min(reason) AS reason FROM load_reject;

-- What a title may not hold is called by its name.
SELECT ratings_loaded, rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.tab');
SELECT line, text, reason FROM load_reject WHERE run_id = 2 ORDER BY reject_no;

-- Where there are ratings, a folder of titles or a probe alone can be loaded: titles that are there are replaced.
SELECT netflix_reset();
SELECT ratings_loaded, probe_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.two');
SELECT ratings_read, ratings_loaded, movies, probe_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/norating');
SELECT movie_id, release_year, title FROM dim_movie ORDER BY movie_id;
SELECT is_probe FROM fact_ratings;

-- A line without a title changes none.
UPDATE dim_movie SET title = NULL WHERE movie_id = 3;
\! mkdir -p /tmp/netflix_rec_test/fixtures/titles_later && printf '1,2004,\n2,2000,Knight and Day\n3,1984,\n9,2010,New\n' >/tmp/netflix_rec_test/fixtures/titles_later/movie_titles.csv
SELECT ratings_read, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles_later');
SELECT movie_id, release_year, title FROM dim_movie ORDER BY movie_id;
DROP EXTENSION netflix_rec;

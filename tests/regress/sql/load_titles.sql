-- Titles files that other tools have saved, titles that cannot be read, and titles that come later.
CREATE EXTENSION netflix_rec;

-- A spreadsheet quotes a title that has quotes in it, and adds empty columns at the end of a line.
SELECT ratings_loaded, rejected, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.sheet');
SELECT movie_id, release_year, title FROM dim_movie ORDER BY movie_id;

-- A data frame writes a header, an index column, and years as 2003.0. The titles are the same.
SELECT ratings_loaded, rejected, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.frame');
SELECT movie_id, release_year, title FROM dim_movie ORDER BY movie_id;

-- If there are two titles files, the one in the official format is read. There, quotes are a part of the title.
SELECT ratings_loaded, rejected, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.two');
SELECT kind, right(path, 16) AS path, records FROM load_file WHERE run_id = 3 ORDER BY file_no;

-- Titles that cannot be used never stop the load of ratings, however many they are.
SELECT netflix_reset();
SELECT ratings_loaded, rejected, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.years');
SELECT count(*), min(line), max(line), min(reason) AS reason FROM load_reject;

-- The message names the character that a title may not hold.
SELECT ratings_loaded, rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.tab');
SELECT line, text, reason FROM load_reject WHERE run_id = 2 ORDER BY reject_no;

-- When the warehouse has ratings, a folder may hold titles or a probe alone. Its titles replace those in the warehouse.
SELECT netflix_reset();
SELECT ratings_loaded, probe_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles.two');
SELECT ratings_read, ratings_loaded, movies, probe_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/norating');
SELECT movie_id, release_year, title FROM dim_movie ORDER BY movie_id;
SELECT is_probe FROM fact_ratings;

-- A line without a title replaces no title.
UPDATE dim_movie SET title = NULL WHERE movie_id = 3;
\! mkdir -p /tmp/netflix_rec_test/fixtures/titles_later && printf '1,2004,\n2,2000,Knight and Day\n3,1984,\n9,2010,New\n' >/tmp/netflix_rec_test/fixtures/titles_later/movie_titles.csv
SELECT ratings_read, movies FROM netflix_load('/tmp/netflix_rec_test/fixtures/titles_later');
SELECT movie_id, release_year, title FROM dim_movie ORDER BY movie_id;
DROP EXTENSION netflix_rec;

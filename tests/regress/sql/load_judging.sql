-- judging.txt holds the answers to qualifying.txt: the same movies in the same order, and line by line the rating and the half of
-- the set. In Netflix's archive it lies in grand_prize/.
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded, qualifying_pairs, rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging');
SELECT movie_id, customer_id, date, rating, subset
FROM qualifying JOIN dim_movie USING (movie_key) JOIN dim_customer USING (customer_key) JOIN dim_date USING (date_key)
ORDER BY movie_id, customer_id;
SELECT subset, count(*), avg(rating)::numeric(3, 2) AS mean FROM qualifying GROUP BY subset ORDER BY subset;
SELECT kind, replace(path, '/tmp/netflix_rec_test/fixtures/', '') AS path, records, rejected, state FROM load_file ORDER BY file_no;

-- The column says nothing else.
UPDATE qualifying SET subset = 'probe';

-- The same again changes nothing.
SELECT ratings_loaded, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging');

-- Where the two files are out of step, the line is named, nothing of the answers is loaded, and all else is.
DROP EXTENSION netflix_rec;
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded, qualifying_pairs, rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging.step', workers => 1);
SELECT count(*), count(rating), count(subset) FROM qualifying;

-- The answers can come later, with the qualifying set beside them, and without ratings.
SELECT ratings_read, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging.later');
SELECT movie_id, customer_id, rating, subset
FROM qualifying JOIN dim_movie USING (movie_key) JOIN dim_customer USING (customer_key) ORDER BY movie_id, customer_id;
SELECT ratings_read, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging.alone');

-- So can the whole qualifying set.
DELETE FROM qualifying;
SELECT ratings_read, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging.later', workers => 0);
SELECT count(*), count(rating), count(subset) FROM qualifying;
DROP EXTENSION netflix_rec;

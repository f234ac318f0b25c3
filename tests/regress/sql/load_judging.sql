-- judging.txt holds the answers to qualifying.txt: the same movies in the same order, and for each line the rating and
-- the subset (quiz or test). In Netflix's archive it lies in grand_prize/.
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded, qualifying_pairs, rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging');
SELECT movie_id, customer_id, date, rating, subset
FROM qualifying JOIN dim_movie USING (movie_key) JOIN dim_customer USING (customer_key) JOIN dim_date USING (date_key)
ORDER BY movie_id, customer_id;
SELECT subset, count(*), avg(rating)::numeric(3, 2) AS mean FROM qualifying GROUP BY subset ORDER BY subset;
SELECT kind, replace(path, '/tmp/netflix_rec_test/fixtures/', '') AS path, records, rejected, state FROM load_file ORDER BY file_no;

-- The column subset takes no other value.
UPDATE qualifying SET subset = 'probe';

-- Loading the same folder again changes nothing.
SELECT ratings_loaded, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging');

-- If the two files do not match line by line, the message names the line. No answer is loaded then, but everything else
-- is.
DROP EXTENSION netflix_rec;
CREATE EXTENSION netflix_rec;
SELECT ratings_loaded, qualifying_pairs, rejected FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging.step', workers => 1);
SELECT count(*), count(rating), count(subset) FROM qualifying;

-- The answers can come later. They need the qualifying set beside them, but no ratings.
SELECT ratings_read, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging.later');
SELECT movie_id, customer_id, rating, subset
FROM qualifying JOIN dim_movie USING (movie_key) JOIN dim_customer USING (customer_key) ORDER BY movie_id, customer_id;
SELECT ratings_read, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging.alone');

-- The whole qualifying set can come later, too.
DELETE FROM qualifying;
SELECT ratings_read, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging.later', workers => 0);
SELECT count(*), count(rating), count(subset) FROM qualifying;
DROP EXTENSION netflix_rec;

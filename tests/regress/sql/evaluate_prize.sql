-- The Netflix Prize's own judgement: netflix_submission() is the file to hand in, and netflix_score() what came of it.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT * FROM netflix_score();
SELECT ratings_loaded, qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');
SELECT version FROM train_als(factors => 5);

-- The lines are those of qualifying.txt: a movie's line is the same, and a prediction stands for each pair.
CREATE TEMP TABLE question AS SELECT line_no, line
FROM regexp_split_to_table(rtrim(pg_read_file('/tmp/netflix_rec_test/fixtures/layouts/files/qualifying.txt'), E'\n'), E'\n') WITH ORDINALITY AS q (line, line_no);
CREATE TEMP TABLE submission AS SELECT line_no, line FROM netflix_submission('als') WITH ORDINALITY AS s (line, line_no);
SELECT count(*) = (SELECT count(*) FROM question) AS all_lines, count(*) FILTER (WHERE q.line ~ ':$') > 100 AS movies,
       bool_and(CASE WHEN q.line ~ ':$' THEN s.line = q.line ELSE s.line ~ '^[1-5]\.\d{4}$' END) AS same_format
FROM submission s JOIN question q USING (line_no);
CREATE TEMP TABLE pair AS
SELECT line_no, line, split_part(line, ',', 1)::int AS customer_id,
       (SELECT rtrim(m.line, ':')::int FROM question m WHERE m.line ~ ':$' AND m.line_no < q.line_no ORDER BY m.line_no DESC LIMIT 1) AS movie_id
FROM question q WHERE line !~ ':$';
SELECT bool_and(abs(s.line::numeric - predicted_rating(customer_id, movie_id)::numeric) <= 0.00006) AS predictions FROM pair JOIN submission s USING (line_no);
SELECT bool_and(line ~ '^(\d+:|[1-5]\.\d)$') AS one_decimal FROM netflix_submission(decimals => 1) AS s (line);

-- The score is the RMSE on each half of the answers, as a join finds it, and how much lower it is than Cinematch's.
CREATE TEMP TABLE answer AS
SELECT line_no, split_part(line, ',', 1)::int AS rating, CASE split_part(line, ',', 2) WHEN '0' THEN 'quiz' ELSE 'test' END AS subset
FROM regexp_split_to_table(rtrim(pg_read_file('/tmp/netflix_rec_test/fixtures/layouts/files/grand_prize/judging.txt'), E'\n'), E'\n') WITH ORDINALITY AS j (line, line_no) WHERE line !~ ':$';
CREATE TEMP VIEW by_hand AS
SELECT count(*) FILTER (WHERE subset = 'quiz') AS quiz_n, sqrt(avg(error ^ 2) FILTER (WHERE subset = 'quiz')) AS quiz, count(*) FILTER (WHERE subset = 'test') AS test_n, sqrt(avg(error ^ 2) FILTER (WHERE subset = 'test')) AS test
FROM (SELECT subset, predicted_rating(customer_id, movie_id, 'als')::float8 - rating AS error FROM pair JOIN answer USING (line_no)) AS errors;
SELECT model, version, s.quiz_n = h.quiz_n AND s.test_n = h.test_n AS n, abs(quiz_rmse - quiz) < 1e-12 AS quiz, abs(test_rmse - test) < 1e-12 AS test,
       abs(quiz_improvement - (1 - quiz / 0.9514) * 100) < 1e-9 AS quiz_improvement, abs(test_improvement - (1 - test / 0.9525) * 100) < 1e-9 AS test_improvement
FROM netflix_score('als') s, by_hand h;
DROP VIEW by_hand;
-- One half without ratings.
BEGIN;
UPDATE qualifying SET rating = NULL, subset = NULL WHERE subset = 'quiz';
SELECT quiz_n, quiz_rmse, test_n > 0 AS test FROM netflix_score('als');
ROLLBACK;

-- Pairs of a later file come after those of an earlier one.
SELECT netflix_reset();
SELECT qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT qualifying_pairs FROM netflix_load('/tmp/netflix_rec_test/fixtures/judging');
SELECT version FROM train_baseline(kind => 'mean');
SELECT * FROM netflix_submission(decimals => 2);

-- Mistakes.
SELECT * FROM netflix_submission('nonesuch');
SELECT * FROM netflix_submission(decimals => 0);
SELECT * FROM netflix_submission(version => 9);
SELECT netflix_reset();
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT version FROM train_baseline(kind => 'mean');
SELECT * FROM netflix_submission();
SELECT * FROM netflix_score();
\echo :SQLSTATE
DROP EXTENSION netflix_rec;

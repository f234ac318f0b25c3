-- netflix_restore_begin drops all keys and foreign keys, so that pg_restore can load rows in any order and in parallel.
-- netflix_restore_end adds them again.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
CREATE VIEW constraints AS
SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid::regclass::text ~ '^(dim|fact|qual|load|model|customer|movie)' AND contype IN ('p', 'u', 'f');
CREATE TABLE before AS SELECT * FROM constraints;
SELECT netflix_restore_begin();
SELECT count(*) FROM constraints;
SELECT table_name, constraint_name FROM restore_constraint ORDER BY place LIMIT 3;
-- A second call changes nothing.
SELECT netflix_restore_begin();

-- Until the end of the restore, loading and training are refused.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT * FROM train_als(factors => 2);
SELECT * FROM add_rating(7, 1, 5, '2005-01-01');
SELECT * FROM refresh_customer(7);
SELECT * FROM ratings_load('SELECT 7 AS customer_id, 1 AS movie_id, 5 AS rating, date ''2005-01-01'' AS rated_on');
SELECT * FROM netflix_load_abandon();
-- restore_constraint can hold nothing but keys and foreign keys.
UPDATE restore_constraint SET definition = 'CHECK (pg_sleep(1) IS NULL)';
UPDATE restore_constraint SET definition = definition || '; DROP TABLE model';

-- Rows may come in any order. If one violates a key, netflix_restore_end fails, and the restore stays unfinished.
INSERT INTO fact_ratings VALUES (1, 1, 1, 20050101, 5, false);
SELECT netflix_restore_end();
SELECT count(*) > 0 AS still_restoring FROM restore_constraint;
INSERT INTO dim_customer VALUES (1, 7, 1, 5, '2005-01-01', '2005-01-01');
INSERT INTO dim_movie VALUES (1, 1, 'A', 2000, 1, 5, '2005-01-01', '2005-01-01');
INSERT INTO dim_date VALUES (20050101, '2005-01-01', 2005, 1, 1, 'January', 53, 1, 6, 'Saturday', true);
SELECT netflix_restore_end();
SELECT * FROM before EXCEPT SELECT * FROM constraints;
SELECT * FROM constraints EXCEPT SELECT * FROM before;
SELECT count(*) FROM restore_constraint;
INSERT INTO fact_ratings VALUES (2, 1, 1, 20050101, 5, false);
SELECT status, ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');

-- Mistakes.
SELECT netflix_restore_end();
SELECT netflix_restore_begin();
CREATE ROLE regress_guest;
SET ROLE regress_guest;
SELECT netflix_restore_begin();
SELECT netflix_restore_end();
RESET ROLE;
DROP ROLE regress_guest;
DROP TABLE before;
DROP VIEW constraints;
DROP EXTENSION netflix_rec;

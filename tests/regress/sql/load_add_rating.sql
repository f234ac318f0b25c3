-- add_rating stores one rating. An application calls it when a customer rates a movie. It uses ordinary SQL in the
-- caller's transaction.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT status FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', 1);
SELECT version FROM train_als(factors => 2);
CREATE VIEW counts AS
SELECT 'customer' AS of, customer_id AS id, rating_count, rating_mean, first_rated_on, last_rated_on FROM dim_customer
UNION ALL
SELECT 'movie', movie_id, rating_count, rating_mean, first_rated_on, last_rated_on FROM dim_movie;

-- A customer rates another movie.
SELECT * FROM add_rating(7, 3, 5, '2006-01-01');
-- A new customer rates a movie on a day that is not in dim_date.
SELECT * FROM add_rating(12345, 3, 2, '2010-06-30');
SELECT * FROM fact_ratings JOIN dim_customer USING (customer_key) WHERE customer_id IN (7, 12345) ORDER BY rating_key;
SELECT * FROM counts WHERE of = 'customer' AND id IN (7, 12345) OR of = 'movie' AND id = 3 ORDER BY 1, 2;
-- The same rating again changes nothing. Another rating for the same movie replaces the earlier one.
SELECT * FROM add_rating(7, 3, 5, '2006-01-01');
SELECT * FROM add_rating(7, 3, 1, '2006-02-02');
SELECT * FROM add_rating(1000, 1, 5, '2004-04-04');
SELECT * FROM add_rating(12345, 3, 3, '2003-03-03');
SELECT * FROM counts ORDER BY 1, 2;
SELECT check_name, status, value FROM data_quality() WHERE status = 'failed';
SELECT count(*), count(DISTINCT year) FROM dim_date;

-- It is part of the caller's transaction, and obeys triggers and constraints. With refresh => true it also refreshes
-- the customer's factors.
BEGIN;
SELECT action FROM add_rating(8, 2, 4);
ROLLBACK;
SELECT count(*) FROM fact_ratings JOIN dim_customer USING (customer_key) WHERE customer_id = 8;
CREATE TABLE heard (rating_key bigint, rating int);
CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.heard VALUES (new.rating_key, new.rating); RETURN new; END $$;
CREATE TRIGGER hear AFTER INSERT OR UPDATE ON fact_ratings FOR EACH ROW EXECUTE FUNCTION hear();
SELECT action FROM add_rating(8, 2, 4, '2006-03-03', refresh => true);
SELECT rating FROM heard;
SELECT count(*) FROM customer_factors JOIN dim_customer USING (customer_key) WHERE customer_id = 8;
ALTER TABLE fact_ratings ADD CONSTRAINT modest CHECK (rating < 5) NOT VALID;
SELECT * FROM add_rating(8, 1, 5, '2006-04-04');
ALTER TABLE fact_ratings DROP CONSTRAINT modest;

-- Mistakes.
SELECT * FROM add_rating(7, 77, 5);
SELECT * FROM add_rating(7, 1, 6);
SELECT * FROM add_rating(0, 1, 5);
SELECT * FROM add_rating(7, -1, 5);
SELECT * FROM add_rating(7, 1, NULL);
SELECT * FROM add_rating(7, 1, 5, 'infinity');
SELECT * FROM add_rating(7, 1, 5, '1812-01-01');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM add_rating(7, 1, 5, '2006-01-01');
ROLLBACK;

-- A role that may load may add ratings. A role with SELECT alone may not.
CREATE ROLE regress_clerk;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO regress_clerk;
SET ROLE regress_clerk;
SELECT * FROM add_rating(7, 4, 5, '2006-01-01');
RESET ROLE;
GRANT INSERT ON dim_date, dim_customer, fact_ratings TO regress_clerk;
GRANT UPDATE ON dim_customer, dim_movie, fact_ratings TO regress_clerk;
GRANT INSERT ON heard TO regress_clerk;
SET ROLE regress_clerk;
SELECT action FROM add_rating(7, 4, 5, '2006-01-01');
SELECT action FROM add_rating(99, 4, 5, '2006-01-01');
RESET ROLE;
DROP OWNED BY regress_clerk;
DROP ROLE regress_clerk;

-- The cost of a few ratings does not grow with the warehouse: of 20,000 rows, only those of the same customers and
-- movies are read.
SELECT status FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined', 1);
-- (In a new session, the statistics begin at 0.)
\c -
SET client_min_messages = warning;
SET enable_seqscan = off;
BEGIN;
SELECT action FROM add_rating(7, 2, 5, '2006-05-05');
SELECT ratings_loaded FROM ratings_load('SELECT 7 AS customer_id, 5 AS movie_id, 3 AS rating, date ''2006-01-01'' AS rated_on');
SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) < 100 AS is_little FROM pg_stat_xact_user_tables
WHERE relname IN ('fact_ratings', 'dim_customer', 'dim_movie', 'dim_date', 'qualifying') ORDER BY 1;
-- It takes no lock that keeps others from writing.
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'fact_ratings'::regclass
    AND mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock');
COMMIT;
SELECT check_name, status, value FROM data_quality() WHERE status = 'failed';
DROP VIEW counts;
DROP EXTENSION netflix_rec;
DROP TABLE heard;
DROP FUNCTION hear();

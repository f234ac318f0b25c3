-- The extension's schema. The user chooses it at CREATE EXTENSION, and cannot move the extension to another one later.
CREATE SCHEMA warehouse;
CREATE EXTENSION netflix_rec SCHEMA warehouse;
ALTER EXTENSION netflix_rec SET SCHEMA public;
SET search_path = warehouse;
\dt
SELECT oid::regprocedure AS function, provolatile AS volatile, proparallel AS parallel FROM pg_proc
WHERE pronamespace = 'warehouse'::regnamespace ORDER BY proname;

-- Every table, view, column and function has a comment.
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'warehouse'::regnamespace AND c.relkind IN ('r', 'v', 'm') AND col_description(c.oid, a.attnum) IS NULL;
SELECT relname FROM pg_class
WHERE relnamespace = 'warehouse'::regnamespace AND relkind IN ('r', 'v', 'm') AND obj_description(oid, 'pg_class') IS NULL;
SELECT proname FROM pg_proc
WHERE pronamespace = 'warehouse'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL;

-- Every function sets its own search_path. Only ratings_load does that in its code, after it has run the user's query.
SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'warehouse'::regnamespace ORDER BY proname;

-- pg_dump dumps the rows of every table and the value of every sequence.
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'warehouse'::regnamespace AND c.relkind IN ('r', 'S')
  AND c.oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'netflix_rec')
  -- Its rows describe the constraints of this database alone.
  AND c.relname <> 'restore_constraint';

-- Rows that the tables refuse.
INSERT INTO dim_date VALUES (20050230, '2005-03-02', 2005, 1, 3, 'March', 9, 2, 3, 'Wednesday', false);
INSERT INTO dim_movie VALUES (1, 1, 'Rated by Nobody', 2000, 0, 3.5, NULL, NULL);
INSERT INTO dim_customer VALUES (1, 0, 0, NULL, NULL, NULL);
INSERT INTO fact_ratings VALUES (1, 1, 1, 20050101, 3, false);

-- The settings.
SHOW netflix_rec.threads;
SET netflix_rec.threads = -1;
SET netflix_rec.max_memory = 0;
SET netflix_rec.max_memroy = '1GB';

DROP EXTENSION netflix_rec;
\dt
RESET search_path;
DROP SCHEMA warehouse;

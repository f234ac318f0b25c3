-- To load a folder takes INSERT, and a folder that its administrator lets be loaded.
CREATE SCHEMA warehouse;
CREATE EXTENSION netflix_rec SCHEMA warehouse;
\getenv folder PG_ABS_SRCDIR
\set grants :folder '/../../sql/grants.sql'
\set schema warehouse
\set ECHO none
\i :grants
-- Once more, as in a second database: the roles are there.
\i :grants
\set ECHO all
SELECT rolname FROM pg_roles WHERE rolname LIKE 'netflix%' ORDER BY 1;
CREATE ROLE regress_loader LOGIN IN ROLE netflix_loader;
SELECT pg_has_role('regress_loader', 'pg_read_server_files', 'USAGE') AS reads_every_file;
SET client_min_messages = warning;
SET search_path = warehouse;

SET ROLE regress_loader;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
RESET ROLE;
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/fixtures/tiny';
SET ROLE regress_loader;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/more/../tiny', workers => 0);

-- Nothing is told of what lies elsewhere, be it there or not.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/nowhere');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny/../more');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny too');
SELECT * FROM netflix_load('/etc');
\set VERBOSITY terse
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny/nowhere');
\set VERBOSITY default

-- Links that lead elsewhere are not followed: the folder itself, one of its files.
RESET ROLE;
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/fixtures/linked';
SET ROLE regress_loader;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/folder');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/file');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/file', workers => 0);
RESET ROLE;
-- For who may read every file, they are.
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/file');

-- The folder may be reached by a link itself.
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/fixtures/linked/folder';
SET ROLE regress_loader;
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/folder');
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
-- Where the folder is not there, nothing lies below it.
RESET ROLE;
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/nowhere';
SET ROLE regress_loader;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/nowhere');
RESET ROLE;

-- The owner of the database may ANALYZE what is loaded, and is not told to have that done; others are.
CREATE ROLE regress_owner;
SELECT current_database() AS database, rolname AS owner FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE datname = current_database() \gset
GRANT netflix_loader TO regress_owner;
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/fixtures';
SET client_min_messages = notice;
SET ROLE regress_loader;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/more', workers => 0);
RESET ROLE;
ALTER DATABASE :"database" OWNER TO regress_owner;
SET ROLE regress_owner;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/combined', workers => 0);
RESET ROLE;
ALTER DATABASE :"database" OWNER TO :"owner";
SELECT reltuples > 10000 AS analyzed FROM pg_class WHERE oid = 'fact_ratings'::regclass;

-- Who loads may write the ledger, too: a load that goes on reads no files that were written there, if they lie elsewhere.
SET client_min_messages = warning;
SET ROLE regress_loader;
INSERT INTO load_run (path, status, started_at, files, ratings_read, ratings_loaded, duplicates, rejected, first_rating_key, is_first)
VALUES ('/tmp/netflix_rec_test/fixtures/tiny', 'loading', now(), 1, 1, 1, 0, 0, 1000000, false);
INSERT INTO load_file (run_id, file_no, kind, path, position, bytes, checksum, records, rejected, state)
SELECT max(run_id), 1, 'qualifying', '/etc/passwd', 0, 1, 0, 1, 0, 'read' FROM load_run;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny', workers => 0);
UPDATE load_file SET path = '/nowhere' WHERE path = '/etc/passwd';
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
UPDATE load_file SET path = '/tmp/netflix_rec_test/fixtures/linked/file/../../../../../etc/passwd' WHERE path = '/nowhere';
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
RESET ROLE;

RESET search_path;
DROP OWNED BY regress_loader, regress_owner, netflix_reader, netflix_trainer, netflix_loader;
DROP ROLE regress_loader, regress_owner, netflix_reader, netflix_trainer, netflix_loader;
DROP EXTENSION netflix_rec;
DROP SCHEMA warehouse;

-- A role that loads a folder needs INSERT on the tables, and a folder that the administrator allows by
-- netflix_rec.data_directory.
CREATE SCHEMA warehouse;
CREATE EXTENSION netflix_rec SCHEMA warehouse;
\getenv folder PG_ABS_SRCDIR
\set grants :folder '/../../sql/grants.sql'
\set schema warehouse
\set ECHO none
\i :grants
-- grants.sql runs again, as it would in a second database. The roles exist already.
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

-- For any path outside of the allowed folder the answer is the same. So it does not tell what exists there.
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/more');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/nowhere');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny/../more');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny too');
SELECT * FROM netflix_load('/etc');
\set VERBOSITY terse
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny/nowhere');
\set VERBOSITY default

-- The load follows no symbolic link that leads out of the allowed folder: neither the loaded folder itself, nor a file
-- in it.
RESET ROLE;
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/fixtures/linked';
SET ROLE regress_loader;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/folder');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/file');
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/file', workers => 0);
RESET ROLE;
-- For a role that may read every file of the server, it follows links.
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/file');

-- The setting may name a symbolic link.
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/fixtures/linked/folder';
SET ROLE regress_loader;
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/linked/folder');
SELECT ratings_loaded, duplicates FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
-- The setting names a folder that does not exist. Then no path is allowed.
RESET ROLE;
SET netflix_rec.data_directory = '/tmp/netflix_rec_test/nowhere';
SET ROLE regress_loader;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/nowhere');
RESET ROLE;

-- After a load by a role that may not ANALYZE the tables, a notice says who can. The database's owner may, so there is
-- no notice.
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

-- A role that loads can also write the ledger. A load that goes on does not read a file outside of the allowed folder,
-- even if the ledger names it.
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

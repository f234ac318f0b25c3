-- Settings, who may change them, and texts that every client can read.
CREATE EXTENSION netflix_rec;
SELECT name, CASE WHEN name NOT IN ('netflix_rec.max_memory', 'netflix_rec.memory_limit') THEN boot_val END AS default,
       min_val, max_val, unit, context
FROM pg_settings WHERE name LIKE 'netflix_rec.%' ORDER BY name;

-- By default, max_memory is a quarter of the machine's memory, and its ceiling memory_limit is half of it.
SELECT boot_val::bigint BETWEEN 1 AND 1 << 30 AS has_default, abs(2 * boot_val::bigint - (SELECT boot_val::bigint FROM pg_settings WHERE name = 'netflix_rec.memory_limit')) < 2 AS half
FROM pg_settings WHERE name = 'netflix_rec.max_memory';

-- A role that is no superuser may raise a setting up to its ceiling (memory_limit, thread_limit), but may not change
-- the ceiling.
CREATE ROLE regress_greedy;
SET netflix_rec.memory_limit = '3GB';
SET ROLE regress_greedy;
SET netflix_rec.max_memory = '3GB';
SET netflix_rec.max_memory = '2000GB';
SELECT set_config('netflix_rec.max_memory', '4GB', false);
SET netflix_rec.cache_memory = '2000GB';
SET netflix_rec.threads = 8;
SET netflix_rec.threads = 1024;
SET netflix_rec.memory_limit = '2000GB';
SET netflix_rec.thread_limit = 1024;
SET netflix_rec.data_directory = '/';
RESET ROLE;

-- A ceiling also holds if it is lowered later, and if a role or a database has a setting above it.
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/tiny');
SELECT version FROM train_als(factors => 2);
SELECT count(*) > 0 AS listed FROM recommend_all(1000);
SHOW netflix_rec.max_memory;
SET netflix_rec.memory_limit = '1MB';
SELECT count(*) FROM recommend_all(1000);
SET netflix_rec.max_memory = '1MB';
SELECT count(*) FROM recommend_all(1000);
RESET netflix_rec.max_memory;
RESET netflix_rec.memory_limit;
-- (ALTER ROLE accepts a value above the ceiling, because the role may get a higher ceiling, too. The order in which a
-- new session applies the two is not defined.)
ALTER ROLE regress_greedy SET netflix_rec.max_memory = '2000GB';

-- A load starts at most thread_limit workers, even if the call asks for more.
SET netflix_rec.thread_limit = 1;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/more', workers => 256);
RESET netflix_rec.thread_limit;

-- Mistakes.
SET netflix_rec.memory_limit = 0;
SET netflix_rec.thread_limit = 1025;
SET netflix_rec.data_directory = 'here';

-- All texts are ASCII, so that clients of any encoding can read them.
SELECT name FROM pg_settings WHERE name LIKE 'netflix_rec.%' AND (short_desc ~ '[^\x01-\x7f]' OR extra_desc ~ '[^\x01-\x7f]' OR setting ~ '[^\x01-\x7f]');
SELECT classoid::regclass, objoid FROM pg_description WHERE description ~ '[^\x01-\x7f]';
SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND (prosrc ~ '[^\x01-\x7f]' OR proargnames::text ~ '[^\x01-\x7f]');
SELECT viewname FROM pg_views WHERE schemaname = 'public' AND definition ~ '[^\x01-\x7f]';
SET client_encoding = LATIN1;
SELECT count(*) FROM pg_settings WHERE name LIKE 'netflix_rec.%' AND short_desc <> '';
RESET client_encoding;

-- A client gets a worker's messages in its own encoding, whatever client_encoding the role is set to: the session
-- converts them.
CREATE ROLE regress_latin LOGIN SUPERUSER;
ALTER ROLE regress_latin SET client_encoding = LATIN1;
\c - regress_latin
SHOW client_encoding;
SET client_encoding = UTF8;
SELECT * FROM netflix_load('/tmp/netflix_rec_test/fixtures/cyrillic', workers => 1, max_rejects => 0);
\c - postgres
DROP ROLE regress_greedy, regress_latin;
DROP EXTENSION netflix_rec;

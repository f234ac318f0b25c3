-- netflix_progress shows what long work is doing now.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/million');
-- Nothing runs, so the view has no rows.
SELECT * FROM netflix_progress;
-- While one session trains, others see its progress.
CREATE EXTENSION dblink;
SELECT dblink_connect('other', format('host=%s port=%s user=postgres dbname=%I options=-cclient_min_messages=warning',
  current_setting('unix_socket_directories'), current_setting('port'), current_database()));
SELECT dblink_send_query('other', $$SELECT version FROM train_als('slow', factors => 30, iterations => 1000)$$);
DO $$
BEGIN
    FOR try IN 1..600 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN EXISTS (SELECT FROM netflix_progress WHERE phase = 'training' AND done > 1);
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
SELECT phase, unit, done BETWEEN 1 AND 999 AS under_way, total, time_left > '0' AS has_time_left FROM netflix_progress;
SELECT dblink_cancel_query('other');
SELECT dblink_disconnect('other');
DROP EXTENSION dblink;

-- When the work has ended, its row is gone.
DO $$
BEGIN
    FOR try IN 1..600 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM netflix_progress);
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
SELECT count(*) FROM netflix_progress;
DROP EXTENSION netflix_rec;

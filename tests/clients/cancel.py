"""Tests that a thread can cancel what another thread runs on the same psycopg connection, that the connection goes on, and that a
cancelled training leaves no model."""

import threading
import time

import psycopg

# Each takes much longer than the test waits.
TRAINING = "SELECT * FROM train_als('cancelled', iterations => 1000)"
LISTS = "SELECT count(*) FROM generate_series(1, 1000) AS g, LATERAL recommend_all(100, min_year => 1900 + g % 2)"
LISTS_IN_SELECT_LIST = """
    SELECT count(r) FROM (SELECT recommend_all(100, min_year => 1900 + g % 2) AS r FROM generate_series(1, 1000) AS g) AS lists
"""

watcher = psycopg.connect("", autocommit=True)
tests = 0


def is_training(pid):
    return watcher.execute("SELECT 1 FROM netflix_progress WHERE pid = %s AND phase = 'training' AND done > 0", (pid,)).fetchone()


def is_active(pid):
    return watcher.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND now() > query_start + '0.3 s'",
                           (pid,)).fetchone()


def cancel(statement, has_begun, autocommit):
    """Runs the statement, and cancels it from another thread when it has begun."""
    global tests
    connection = psycopg.connect("", autocommit=autocommit)
    pid = connection.info.backend_pid
    cancelled_at = []

    def wait_and_cancel():
        deadline = time.monotonic() + 60
        while not has_begun(pid):
            assert time.monotonic() < deadline, f"has not begun: {statement}"
            time.sleep(0.05)
        cancelled_at.append(time.monotonic())
        connection.cancel()

    other_thread = threading.Thread(target=wait_and_cancel)
    other_thread.start()
    try:
        connection.execute(statement)
        raise AssertionError(f"not cancelled: {statement}")
    except psycopg.errors.QueryCanceled as error:
        late = time.monotonic() - cancelled_at[0]
        assert error.sqlstate == "57014", error.sqlstate
        assert late < 5, f"cancelled after {late} s: {statement}"
    finally:
        other_thread.join()
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM recommend(42, 3)").fetchone() == (3,)
    connection.close()
    tests += 1


for autocommit in (True, False):
    cancel(TRAINING, is_training, autocommit)
    assert watcher.execute("SELECT count(*) FROM models WHERE model = 'cancelled'").fetchone() == (0,)
cancel(LISTS, is_active, True)
cancel(LISTS_IN_SELECT_LIST, is_active, True)
print(f"psycopg {psycopg.__version__}: {tests} tests of cancel()")

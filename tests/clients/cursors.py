"""Tests that a client can read the first rows of a long answer through a cursor of the server: few rows are sent, and neither client nor
server holds them all.

usage: cursors.py DRIVER    psycopg or sqlalchemy"""

import resource
import sys

import drivers

# Some 470,000 rows, which take more than 40 MB in a client.
FROM = "SELECT customer_id, rank, title FROM recommend_all(100)"
SELECT_LIST = "SELECT (r).customer_id, (r).rank, (r).title FROM (SELECT recommend_all(100) AS r) AS lists"
MEGABYTE = 1 << 20
tests = 0


def psycopg_rows(call):
    import psycopg

    with psycopg.connect("") as connection, connection.cursor(name="lists") as cursor:
        cursor.itersize = 10
        cursor.execute(call)
        yield connection.info.backend_pid
        yield from cursor


def sqlalchemy_rows(call):
    import sqlalchemy

    engine = drivers.sqlalchemy_engine(isolation_level="READ COMMITTED")
    with engine.connect().execution_options(stream_results=True, max_row_buffer=10) as connection:
        yield connection.execute(sqlalchemy.text("SELECT pg_backend_pid()")).scalar()
        yield from connection.execute(sqlalchemy.text(call))


def client_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def server_memory(pid):
    """The most private memory that the backend has had; the server is on the same machine."""
    with open(f"/proc/{pid}/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return (int(lines["VmHWM"].split()[0]) - int(lines["RssShmem"].split()[0])) * 1024


rows_of = {"psycopg": psycopg_rows, "sqlalchemy": sqlalchemy_rows}[sys.argv[1]]
client, ask = getattr(drivers, sys.argv[1])()
count = ask("SELECT count(*) FROM dim_customer WHERE rating_count > 0")
assert count * 100 > 400_000

for call in (FROM, SELECT_LIST) if sys.argv[1] == "psycopg" else (SELECT_LIST,):
    before = client_memory()
    rows = rows_of(call)
    pid = next(rows)
    first = [tuple(next(rows)) for _ in range(10)]
    assert [rank for _, rank, _ in first] == list(range(1, 11)), first
    wanted = ask("SELECT array_agg(title ORDER BY rank) FROM recommend({}, 10)", [first[0][0]])
    assert [title for _, _, title in first] == wanted, first
    assert client_memory() - before < 10 * MEGABYTE, (call, client_memory() - before)
    assert server_memory(pid) < 200 * MEGABYTE, (call, server_memory(pid))
    rows.close()
    tests += 1
print(f"{client}: {tests} tests of cursors")

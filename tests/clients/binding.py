"""Tests what docs/clients.md says of each driver: which ids and arrays it binds so that calls are answered, and which error a program
gets for the others.

usage: binding.py DRIVER    one of the functions of drivers.py"""

import decimal
import sys

import drivers

DECIMAL = decimal.Decimal
NUMERIC = "function recommend(numeric, integer) does not exist"
DOUBLE = "function recommend(double precision, integer) does not exist"
TEXTS = "function recommend_for(text[], text[], integer) does not exist"
MIXED = "cannot dump lists of mixed types"
NO_INTEGER = "'str' object cannot be interpreted as an integer"

# Ids, and pairs of arrays: None if the call is answered, otherwise a part of the error.
IDS = {
    "psycopg": [("42", None), (DECIMAL(42), NUMERIC), (42.0, DOUBLE), ("x", 'invalid input syntax for type bigint: "x"')],
    "psycopg2": [("42", None), (DECIMAL(42), None), (42.0, NUMERIC), ("x", 'invalid input syntax for type bigint: "x"')],
    "asyncpg": [("42", NO_INTEGER), (DECIMAL(42), None), (42.0, None), ("x", NO_INTEGER)],
}
ARRAYS = {
    "psycopg": [(["1", "2"], ["5", "1"], None), ([1, 2], [5, 1.0], MIXED), ("{1,2}", "{5,1}", None)],
    "psycopg2": [(["1", "2"], ["5", "1"], TEXTS), ([1, 2], [5, 1.0], None), ("{1,2}", "{5,1}", None)],
    "asyncpg": [(["1", "2"], ["5", "1"], NO_INTEGER), ([1, 2], [5, 1.0], None)],
}
EVERY_ID = [(42, None)]
EVERY_ARRAY = [([1, 2], ratings, None) for ratings in ([5, 1], [5.0, 1.0], [DECIMAL("5"), DECIMAL("1.0")])]

driver = sys.argv[1]
client, ask = getattr(drivers, driver)()
tests = 0


def check(call, arguments, literal, error):
    global tests
    try:
        answer = ask(call, arguments)
    except Exception as raised:
        assert error and error in str(raised), (client, arguments, raised)
    else:
        assert not error, (client, arguments, "should be refused:", error)
        assert answer == ask(literal), (client, arguments, answer)
    tests += 1


if driver == "sqlalchemy":
    driver = "psycopg2" if client.startswith("SQLAlchemy 1.") else "psycopg"
for value, error in EVERY_ID + IDS[driver]:
    check("SELECT string_agg(title, ',' ORDER BY rank) FROM recommend({}, 3)", [value],
          "SELECT string_agg(title, ',' ORDER BY rank) FROM recommend(42, 3)", error)
for movies, ratings, error in EVERY_ARRAY + ARRAYS[driver]:
    check("SELECT string_agg(title, ',' ORDER BY rank) FROM recommend_for({}, {}, 3)", [movies, ratings],
          "SELECT string_agg(title, ',' ORDER BY rank) FROM recommend_for('{1,2}', '{5,1}', 3)", error)
print(f"{client}: {tests} tests of how ids and arrays are bound")

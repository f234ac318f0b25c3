"""Tests that numbers and arrays of NumPy and pandas can be bound by psycopg: numbers as they are, arrays as lists."""

import numpy
import pandas
import psycopg

LIST = "SELECT array_agg(movie_id ORDER BY rank) FROM "
connection = psycopg.connect("", autocommit=True)
tests = 0


def check(call, *arguments, literal):
    global tests
    answer, = connection.execute(LIST + call, arguments).fetchone()
    wanted, = connection.execute(LIST + literal).fetchone()
    assert answer == wanted, (call, arguments, answer, wanted)
    tests += 1


for integer in (numpy.int16, numpy.int32, numpy.int64, numpy.uint32):
    check("recommend(%s, 3)", integer(42), literal="recommend(42, 3)")
for number in (numpy.int8, numpy.int64, numpy.float32, numpy.float64):
    ratings = numpy.array([5, 1], number)
    check("recommend_for(%s, %s, 3)", [1, 2], ratings.tolist(), literal="recommend_for('{1,2}', '{5,1}', 3)")
frame = pandas.DataFrame({"movie_id": [1, 2], "rating": [5, 1.5]})
check("recommend_for(%s, %s, 3)", frame["movie_id"].tolist(), frame["rating"].tolist(), literal="recommend_for('{1,2}', '{5,1.5}', 3)")
try:
    connection.execute("SELECT * FROM recommend_for(%s, %s)", ([1, 2], numpy.array([5, 1])))
    raise AssertionError("psycopg binds NumPy's arrays now: docs/clients.md should say so")
except psycopg.ProgrammingError as error:
    assert "cannot adapt type 'ndarray'" in str(error), error
    tests += 1
print(f"psycopg {psycopg.__version__}, NumPy {numpy.__version__}, pandas {pandas.__version__}: {tests} tests of their values")

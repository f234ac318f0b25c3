"""Tests calls with arguments of each type that Python's drivers bind: each call must return the same as with literals.

usage: argument_types.py DRIVER    one of the functions of drivers.py"""

import datetime
import decimal
import json
import sys

import drivers

WHOLE = [42, 2**40]
# A customer on whose ratings the other calls do not depend.
OTHER = 2**31 - 1
DAY = datetime.date(2005, 12, 31)

# Each call with {} in place of each argument, and the arguments to try. Drivers bind Python's int as the narrowest of smallint,
# integer and bigint that holds it, float as double precision, and Decimal as numeric.
CALLS = [
    ("SELECT array_agg(movie_id ORDER BY rank) FROM recommend({}, {}, NULL, true, {}, {}, {}, {})",
     [(42, 5, 1900, 2100, [1, 2], 1)]),
    ("SELECT count(*) FROM recommend({})", [(customer,) for customer in WHOLE]),
    ("SELECT count(*) FROM recommend({}, {})", [(2**31, 3), (2**40, 3)]),
    ("SELECT array_agg(movie_id ORDER BY rank) FROM recommend_for({}, {}, {})",
     [([1, 2, 3], [5.0, 1.0, 4.5], 3),
      ([1, 2, 3], [decimal.Decimal("5"), decimal.Decimal("1"), decimal.Decimal("4.5")], 3)]),
    ("SELECT array_agg(movie_id ORDER BY rank) FROM recommend_for({}, {}, {})", [([1, 2], [5, 1], 3), ([1, 2], [5.0, 1.0], 3)]),
    ("SELECT array_agg(movie_id ORDER BY rank) FROM recommend_all(customer_ids => {}, n => {})", [([42], 2)]),
    ("SELECT count(*) FROM recommend_all(customer_ids => {})", [([],)]),
    ("SELECT array_agg(movie_id ORDER BY rank) FROM similar_movies({}, {})", [(1, 5)]),
    ("SELECT array_agg(customer_id ORDER BY rank) FROM similar_customers({}, {})", [(42, 5)]),
    ("SELECT array_agg(customer_id ORDER BY rank) FROM recommend_users({}, {})", [(1, 5)]),
    ("SELECT predicted_rating({}, {})::text", [(42, 1)]),
    ("SELECT count(*) FROM explain({}, {})", [(42, 1)]),
    ("SELECT predicted_rating::text FROM predict_rating({}, {})", [(42, 1)]),
    ("SELECT action FROM add_rating({}, 1, {}, {})",
     [(OTHER, 3, DAY), (OTHER, 3.0, DAY), (OTHER, decimal.Decimal(3), DAY)]),
    ("SELECT customer_id FROM refresh_customer({})", [(OTHER,)]),
    ("SELECT algorithm FROM train_als('typed', {}, {}, {})",
     [(5, 1, 0.06), (5, 1, decimal.Decimal("0.06")), (5, 1, 1)]),
    ("SELECT algorithm FROM train_svd('typed', factors => {}, learning_rate => {}, hold_out => {})",
     [(5, 0.01, 0.1), (5, decimal.Decimal("0.01"), decimal.Decimal("0.1"))]),
    ("SELECT version FROM deploy_model('typed', {})", [(1,)]),
    ("SELECT count(*) FROM training_curve('typed', {})", [(1,)]),
    ("SELECT ratings_loaded FROM ratings_load('SELECT 1 AS customer_id, 1 AS movie_id, 0 AS rating, current_date AS rated_on', {})", [(5,)]),
    ("SELECT bytes > 0 FROM train_estimate('als', {})", [({"factors": 5},)]),
]


def literal(value):
    if isinstance(value, list):
        return "'{" + ",".join(str(element) for element in value) + "}'"
    if isinstance(value, dict):
        return f"'{json.dumps(value)}'"
    return f"'{value}'" if isinstance(value, datetime.date) else str(value)


client, ask = getattr(drivers, sys.argv[1])()
tests = 0
for call, lists in CALLS:
    for arguments in lists:
        if call.startswith("SELECT algorithm FROM train_"):
            wanted = call.split("train_")[1].split("(")[0]
        else:
            wanted = ask(drivers.fill(call, map(literal, arguments)))
        # The call with literals has stored this rating.
        if "add_rating" in call:
            wanted = "unchanged"
        answer = ask(call, arguments)
        assert answer == wanted, (call, arguments, answer, wanted)
        tests += 1
print(f"{client}: {tests} tests of argument types")

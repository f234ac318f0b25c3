"""Tests calls with arguments of each type that Python's drivers bind: each call must return the same as with literals.
Environment: PGHOST, PGPORT, PGUSER, PGDATABASE."""

import asyncio
import datetime
import decimal
import json

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import sqlalchemy

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


def run_psycopg2():
    psycopg2.extensions.register_adapter(dict, psycopg2.extras.Json)
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        connection.autocommit = True

        def ask(call, arguments):
            cursor.execute(call.format(*["%s"] * len(arguments)), arguments)
            return cursor.fetchone()[0]

        return answers(ask)


def run_psycopg():
    with psycopg.connect("", autocommit=True) as connection:
        def ask(call, arguments):
            adapted = [psycopg.types.json.Jsonb(a) if isinstance(a, dict) else a for a in arguments]
            return connection.execute(call.format(*["%s"] * len(arguments)), adapted).fetchone()[0]

        return answers(ask)


def run_sqlalchemy():
    engine = sqlalchemy.create_engine("postgresql+psycopg2://", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        def ask(call, arguments):
            names = [f"a{number}" for number in range(len(arguments))]
            text = sqlalchemy.text(call.format(*[f":{name}" for name in names]))
            return connection.execute(text, dict(zip(names, arguments))).scalar()

        return answers(ask)


async def run_asyncpg():
    connection = await asyncpg.connect()
    found = []
    for call, lists in CALLS:
        for arguments in lists:
            adapted = [json.dumps(a) if isinstance(a, dict) else a for a in arguments]
            places = [f"${number}" for number in range(1, len(arguments) + 1)]
            found.append((call, arguments, await connection.fetchval(call.format(*places), *adapted)))
    await connection.close()
    return found


def answers(ask):
    return [(call, arguments, ask(call, arguments)) for call, lists in CALLS for arguments in lists]


def literal(value):
    if isinstance(value, list):
        return "'{" + ",".join(str(element) for element in value) + "}'"
    if isinstance(value, dict):
        return f"'{json.dumps(value)}'"
    return f"'{value}'" if isinstance(value, datetime.date) else str(value)


def main():
    with psycopg.connect("", autocommit=True) as connection:
        def ask(call, arguments):
            return connection.execute(call.format(*map(literal, arguments))).fetchone()[0]

        expected = answers(ask)
    assert len(expected) > 20
    for name, found in [("psycopg2", run_psycopg2()), ("psycopg", run_psycopg()), ("SQLAlchemy", run_sqlalchemy()),
                        ("asyncpg", asyncio.run(run_asyncpg()))]:
        assert len(found) == len(expected), name
        for (call, arguments, answer), (_, _, wanted) in zip(found, expected):
            # The calls with literals have stored this rating. So each later call finds it unchanged.
            if "add_rating" in call:
                assert answer == "unchanged", (name, call, arguments, answer)
            else:
                assert answer == wanted, (name, call, arguments, answer, wanted)
        print(f"{name}: {len(found)} calls")


main()

"""One way to call the extension by each of Python's drivers. Environment: PGHOST, PGPORT, PGUSER, PGDATABASE.

Each function connects, and returns two values: the driver's name and version, and a function ask(call, arguments). `call` has {} in place
of each argument, and ask() returns the first value of the first row. It binds a dict as JSON, and all else as the driver does."""

import asyncio
import json


def fill(call, places):
    for place in places:
        call = call.replace("{}", place, 1)
    return call


def psycopg():
    import psycopg

    connection = psycopg.connect("", autocommit=True)

    def ask(call, arguments=()):
        adapted = [psycopg.types.json.Jsonb(a) if isinstance(a, dict) else a for a in arguments]
        return connection.execute(fill(call, ["%s"] * len(arguments)), adapted).fetchone()[0]

    return f"psycopg {psycopg.__version__}", ask


def psycopg2():
    import psycopg2
    from psycopg2.extras import Json

    connection = psycopg2.connect("")
    connection.autocommit = True

    def ask(call, arguments=()):
        adapted = [Json(a) if isinstance(a, dict) else a for a in arguments]
        with connection.cursor() as cursor:
            cursor.execute(fill(call, ["%s"] * len(arguments)), adapted)
            return cursor.fetchone()[0]

    return f"psycopg2 {psycopg2.__version__.split()[0]}", ask


def sqlalchemy():
    """SQLAlchemy 1.4 over psycopg2, later versions over psycopg."""
    import sqlalchemy
    from sqlalchemy.dialects.postgresql import JSONB

    connection = sqlalchemy_engine().connect()

    def ask(call, arguments=()):
        values = {f"a{number}": argument for number, argument in enumerate(arguments)}
        text = sqlalchemy.text(fill(call, [f":{name}" for name in values]))
        text = text.bindparams(*[sqlalchemy.bindparam(n, type_=JSONB) for n, a in values.items() if isinstance(a, dict)])
        return connection.execute(text, values).scalar()

    return f"SQLAlchemy {sqlalchemy.__version__}", ask


def sqlalchemy_engine(**options):
    import sqlalchemy

    driver = "psycopg2" if sqlalchemy.__version__.startswith("1.") else "psycopg"
    return sqlalchemy.create_engine(f"postgresql+{driver}://", **{"isolation_level": "AUTOCOMMIT", **options})


def asyncpg():
    import asyncpg

    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect())

    def ask(call, arguments=()):
        adapted = [json.dumps(a) if isinstance(a, dict) else a for a in arguments]
        places = [f"${number}" for number in range(1, len(arguments) + 1)]
        return loop.run_until_complete(connection.fetchval(fill(call, places), *adapted))

    return f"asyncpg {asyncpg.__version__}", ask

"""Tests that SQLAlchemy finds tables, views, types and comments, that reflected views and functions can be queried, and that pandas reads
the answers."""

import importlib.util
import warnings

import sqlalchemy
from sqlalchemy import MetaData, func, inspect, select

import drivers

BI_VIEWS = {"bi_movies", "bi_customers", "bi_ratings", "bi_loads", "bi_models", "bi_model_iterations", "bi_search_trials",
            "bi_communities", "bi_graph_edges"}
BI_MATERIALIZED = {"bi_ratings_by_day", "bi_movie_months", "bi_recommendations", "bi_refreshes"}
TYPES = {"movie_id": "INTEGER", "title": "TEXT", "release_year": "SMALLINT", "rating_count": "BIGINT", "rating_mean": "DOUBLE PRECISION",
         "first_rated_on": "DATE"}

# SQLAlchemy 1.4 has no class for the multirange type of one internal column, and it does not reflect indexes of expressions.
warnings.filterwarnings("ignore", "Did not recognize type 'int8multirange'")
warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")
warnings.filterwarnings("error", category=sqlalchemy.exc.SAWarning, append=True)
engine = drivers.sqlalchemy_engine()
tests = 0

# The inspector. Version 1.4 lists materialised views among the views.
inspector = inspect(engine)
assert {"fact_ratings", "dim_movie", "dim_customer", "dim_date"} <= set(inspector.get_table_names())
views = set(inspector.get_view_names())
if hasattr(inspector, "get_materialized_view_names"):
    views |= set(inspector.get_materialized_view_names())
assert BI_VIEWS | BI_MATERIALIZED <= views, views
tests += 1

# Types, comments and foreign keys.
metadata = MetaData()
metadata.reflect(engine, views=True)
assert BI_VIEWS | BI_MATERIALIZED <= set(metadata.tables)
movies = metadata.tables["bi_movies"]
for name, wanted in TYPES.items():
    found = movies.c[name].type.compile(engine.dialect)
    assert found == wanted, (name, found)
assert movies.comment == "Movies: one row for each", movies.comment
without_comment = [str(column) for table in metadata.tables.values() for column in table.c if not column.comment]
assert not without_comment, without_comment
targets = {key.target_fullname for key in metadata.tables["fact_ratings"].foreign_keys}
assert targets == {"dim_movie.movie_key", "dim_customer.customer_key", "dim_date.date_key"}, targets
tests += 1

# A query of a reflected view.
query = select(movies.c.title, movies.c.rating_count).where(movies.c.rating_count > 0).order_by(movies.c.rating_count.desc()).limit(3)
with engine.connect() as connection:
    found = [row.title for row in connection.execute(query)]
    wanted = connection.execute(sqlalchemy.text("SELECT max(rating_count) FROM dim_movie")).scalar()
    assert len(found) == 3 and connection.execute(query).first().rating_count == wanted, found
tests += 1

# Functions. Version 2 over psycopg casts a text to varchar.
with engine.connect() as connection:
    assert len(connection.execute(select(func.recommend(42, 3).table_valued("title"))).all()) == 3
    try:
        connection.execute(select(func.recommend("42", 3).table_valued("title")))
        assert sqlalchemy.__version__.startswith("1."), "a text is answered: docs/clients.md should say so"
    except sqlalchemy.exc.ProgrammingError as error:
        assert "function recommend(character varying, integer) does not exist" in str(error), error
tests += 1

if importlib.util.find_spec("pandas"):
    import pandas

    frame = pandas.read_sql(query, engine)
    assert list(frame.columns) == ["title", "rating_count"] and list(frame["title"]) == found, frame
    frame = pandas.read_sql(sqlalchemy.text("SELECT * FROM recommend(:customer, 3)"), engine, params={"customer": 42})
    assert len(frame) == 3 and frame["predicted_rating"].dtype.kind == "f", frame
    tests += 2
print(f"SQLAlchemy {sqlalchemy.__version__}: {tests} tests of reflection and functions")

"""What load.py and check.py share: the assets, the database and Superset's application."""

import io
import logging
import os
import warnings
from contextlib import redirect_stdout
from pathlib import Path

from sqlalchemy.engine import URL

ASSETS = Path(__file__).parent / "assets"
DASHBOARD = "netflix-prize"
HOME = Path(os.environ["SUPERSET_HOME"])


def database_uri() -> str:
    """The URI of the database that PGHOST, PGPORT, PGUSER and PGDATABASE name. libpq itself reads PGPASSWORD."""
    host, port = os.environ["PGHOST"], int(os.environ["PGPORT"])
    user, database = os.environ["PGUSER"], os.environ["PGDATABASE"]
    if host.startswith("/"):  # a folder of a Unix socket
        url = URL.create("postgresql+psycopg2", user, database=database, query={"host": host, "port": str(port)})
    else:
        url = URL.create("postgresql+psycopg2", user, host=host, port=port, database=database)
    return url.render_as_string(hide_password=False)


def admin_password() -> str:
    return (HOME / "admin_password").read_text().strip()


def create_app():
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with redirect_stdout(io.StringIO()):  # Superset prints where it found its settings.
        from superset.app import create_app as create_superset

        return create_superset()

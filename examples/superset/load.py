"""Refreshes the materialised views and imports the assets into Superset. run.sh calls it."""

import sys

import yaml
from common import ASSETS, admin_password, create_app, database_uri
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError


def main() -> None:
    uri = database_uri()
    try:
        schema = refresh(uri)
    except DBAPIError as error:
        sys.exit(f"{uri}: {error.orig.diag.message_primary}")
    app = create_app()
    with app.app_context():
        import_assets(make_admin(), uri, schema)


def refresh(uri: str) -> str:
    """Calls bi_refresh() if the role may. Returns the extension's schema."""
    with create_engine(uri, isolation_level="AUTOCOMMIT").connect() as database:
        schema = database.scalar(
            text(
                "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
                " WHERE extname = 'netflix_rec'"
            )
        )
        if schema is None:
            sys.exit(f"{uri}: this database has no extension netflix_rec")
        quoted = database.dialect.identifier_preparer.quote(schema)
        try:
            views = database.execute(text(f"SELECT view, rows FROM {quoted}.bi_refresh()")).all()
        except DBAPIError as error:
            # For example, the role does not own the views, or the server is a standby.
            reason = error.orig.diag.message_primary
            print(f"bi_refresh() failed, so the materialised views stay as they are: {reason}")
        else:
            print("bi_refresh() filled " + ", ".join(f"{view} ({rows:,} rows)" for view, rows in views))
    return schema


def make_admin():
    """The user admin, with the password of run.sh."""
    from superset import security_manager as users

    user = users.find_user("admin")
    if user is None:
        user = users.add_user("admin", "Admin", "Admin", "admin@localhost", users.find_role("Admin"), admin_password())
    else:
        users.reset_password(user.id, admin_password())
    return user


def import_assets(user, uri: str, schema: str) -> None:
    """Imports the folder assets. What an earlier import made is overwritten."""
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.utils.core import override_user

    contents = {}
    for file in sorted(ASSETS.rglob("*.yaml")):
        name = file.relative_to(ASSETS).as_posix()
        asset = yaml.safe_load(file.read_text())
        if name.startswith("databases/"):
            asset["sqlalchemy_uri"] = uri
        elif name.startswith("datasets/"):
            asset["schema"] = schema
        contents[name] = yaml.safe_dump(asset)
    with override_user(user):
        ImportAssetsCommand(contents).run()
    print(f"imported {len(contents) - 1} assets")


main()

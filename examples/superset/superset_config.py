"""Superset's settings. run.sh sets SUPERSET_HOME and makes the secret key."""

import os
from copy import deepcopy
from pathlib import Path

from superset import config

home = Path(os.environ["SUPERSET_HOME"])

SECRET_KEY = (home / "secret_key").read_text().strip()
SQLALCHEMY_DATABASE_URI = f"sqlite:///{home}/superset.db"
LOG_LEVEL = "WARNING"

# The pages may load nothing from other hosts. Superset's front end would load a pixel that counts its users, among others.
TALISMAN_CONFIG = deepcopy(config.TALISMAN_CONFIG)
for sources in ("img-src", "connect-src", "style-src", "font-src"):
    allowed = TALISMAN_CONFIG["content_security_policy"][sources]
    allowed[:] = [source for source in allowed if "." not in source]

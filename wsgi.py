"""The web application, for any WSGI server and for `flask --app wsgi`."""

import os

from app import create_app
from app.config import UMASK, ConfigError

os.umask(UMASK)
try:
    app = create_app()
except ConfigError as error:
    raise SystemExit(f"Error: {error}") from None

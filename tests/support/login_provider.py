"""Start a real OpenID Connect provider, with a few people in groups."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import Settings
from app.server.process import kill, spawn
from script.office.patience import PATIENCE
from script.office.ports import free_port

APP = Path(__file__).with_name("canaille_app.py")
PEOPLE = {"nima": ["bazang-admins", "staff"], "leila": ["phones"], "sara": ["bazang-admins"], "guest": []}
PASSWORD = "eight elephants paint 9"
SECRET = "a-secret-of-the-client"


@contextmanager
def start_provider(python: Path, folder: Path, panels: list[str]) -> Iterator[str]:
    """Run the provider for panels at these addresses. Yield its issuer."""
    port = free_port()
    wanted = {
        "port": port,
        "secret_key": "x" * 40,
        "users": PEOPLE,
        "password": PASSWORD,
        "client_id": "bazang",
        "client_secret": SECRET,
        "redirect_uris": [f"{panel}/login/provider/back" for panel in panels],
        "logout_uris": [f"{panel}/login" for panel in panels],
    }
    log = folder / "provider.log"
    process = spawn([str(python), "-P", str(APP), json.dumps(wanted)], log, folder=folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while "ready" not in (log.read_text() if log.exists() else ""):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        kill(process)


def settings_for(settings: Settings, issuer: str, **more: object) -> Settings:
    """Return settings with the provider."""
    given = {
        "oidc_issuer": issuer,
        "oidc_client_id": "bazang",
        "oidc_client_secret": SECRET,
        "oidc_title": "Office login",
        "oidc_scopes": "openid profile email groups",
        "oidc_administrator_groups": "bazang-admins",
        "oidc_operator_groups": "phones",
    }
    values = {**given, **more}
    return Settings(_env_file=None, data_dir=settings.data_dir, **values)  # type: ignore[arg-type,call-arg]

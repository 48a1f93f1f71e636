"""Prepare a process whose forks are workers: import all code, fill caches, and rehearse. See warm_worker.py."""

import asyncio
import gc
import importlib
import os
import pkgutil
import sys
import tempfile
import threading
from functools import cache
from importlib import metadata
from pathlib import Path

import flask.cli  # noqa: F401
import flask_limiter.commands  # noqa: F401  # which the command line of Flask loads with each command
import flask_migrate
from sqlalchemy.orm import configure_mappers

import app
from app.doctor import check_schema
from app.extensions import db
from app.worker import dialplan_file
from script.office.database import MIGRATIONS, make_settings
from script.office.patience import PATIENCE
from script.office.shared_caches import share_caches
from script.office.warm_worker import PROMPTS


def prepare() -> None:
    """Import all modules, create an application, and render the dialplan of its database once."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        importlib.import_module(module.name)
    share_caches()
    # Each command of Flask reads those of all packages.
    metadata.entry_points = cache(metadata.entry_points)  # type: ignore[assignment]
    configure_mappers()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bazang.sqlite3"
        panel = app.create_app(make_settings(Path(folder), database_url=f"sqlite:///{file}"))
        with panel.app_context():
            flask_migrate.upgrade(directory=str(MIGRATIONS))
            context = panel.extensions["bazang"]
            check_schema(context["database"])
            dialplan_file.render(context["settings"], context["database"], 0)
            db.engine.dispose()
        if prompts := os.environ.get(PROMPTS):
            rehearse(Path(folder) / "office", file, Path(prompts))
    gc.collect()
    gc.freeze()  # a collection in a fork would copy the memory of all these objects


def rehearse(folder: Path, database: Path, prompts: Path) -> None:
    """Let a worker of this process serve one request on a real PBX, so that its forks find all statements compiled."""
    from script.office import rehearsal

    try:
        asyncio.run(rehearsal.play(folder, database, prompts))
    except Exception as error:  # workers only take longer to start
        print(f"the rehearsal failed: {error}", file=sys.stderr, flush=True)
    for thread in threading.enumerate():  # a process with threads cannot be forked safely
        if thread is not threading.main_thread():
            thread.join(PATIENCE)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} does not end")


prepare()

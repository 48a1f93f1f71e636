"""The examples of docs/api.md work as they stand there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.domain.api_scopes import ApiScope
from app.server.connections import Limits
from app.store.database import Database
from app.web.accounts.tokens import SCOPE
from app.web.api.requests import _REFUSALS
from tests.support.factories import create_module
from tests.support.serving import serve_application
from tests.web.api.caller import make_token

GUIDE = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
# A block of commands, and the answer below it, if there is one.
BLOCKS = re.findall(r"```sh\n(.*?)```(?:\n```json\n(.*?)```)?", GUIDE, re.DOTALL)


def shape(value: Any) -> Any:
    """Return the names in a JSON value without the values."""
    if isinstance(value, dict):
        return {name: shape(own) for name, own in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_examples_work(app: Flask, database: Database, without_waiting: None) -> None:
    create_module(database)
    tried = 0
    with serve_application(app, Limits()) as port:
        environment = {"BAZANG": f"http://127.0.0.1:{port}", "TOKEN": make_token(app), "PATH": "/usr/bin:/bin"}
        for commands, answer in BLOCKS:
            if "curl" not in commands:
                continue
            for command in re.split(r"\n(?=curl )", commands.strip()):
                line = command.replace("curl ", "curl --silent --show-error --fail-with-body --noproxy '*' ", 1)
                ran = subprocess.run(
                    ["/bin/bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60
                )
                assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
                if answer:
                    assert shape(json.loads(ran.stdout)) == shape(json.loads(answer)), command
                tried += 1
    assert tried == 13


def test_guide_names_each_scope_as_the_page_does() -> None:
    for scope in ApiScope:
        assert f"| `{scope}` | {SCOPE[scope]} |" in GUIDE


def test_guide_names_the_codes_of_refusals() -> None:
    known = set(re.findall(r"`([a-z_]+)`", GUIDE.partition("## Errors")[2]))
    assert {"changed", "not_free", "number_refused", "duplicate", "expired", "not_yours"} <= known & {
        *map(str, _REFUSALS)
    }

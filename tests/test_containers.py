"""The files for containers name what exists: files, modules, commands, settings, and one user.

No engine runs here, so this is all that a test can hold them to.
"""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import click
from flask import Flask

from app.config import Settings

ROOT = Path(__file__).parent.parent
CONTAINERFILE = (ROOT / "deploy/Containerfile").read_text()
COMPOSE = (ROOT / "deploy/compose.yaml").read_text()
FLASK = ["flask", "--app", "wsgi"]


def test_what_is_copied_into_the_image_exists() -> None:
    copied = [line.split()[:-1] for line in re.findall(r"^COPY (?!--)(.+)$", CONTAINERFILE, re.MULTILINE)]
    sources = {source for line in copied for source in line}
    assert {"app", "migrations", "wsgi.py", "requirements.txt"} <= sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_containers_run_commands_that_exist(app: Flask) -> None:
    commands = [json.loads(found) for found in re.findall(r"(?:command:|CMD) (\[.+\])", COMPOSE + CONTAINERFILE)]
    assert len(commands) == 3
    for command in commands:
        if command[:2] == ["python", "-m"]:
            assert find_spec(command[2]) is not None
            continue
        assert command[:3] == FLASK
        found: click.Command | None = app.cli
        for name in command[3:]:
            assert isinstance(found, click.Group), command
            found = found.get_command(click.Context(found), name)
        assert found is not None, command


def test_settings_and_the_user_are_those_of_the_program() -> None:
    names = set(re.findall(r"\bBAZANG_([A-Z_]+)[:=]", COMPOSE + CONTAINERFILE)) - {"DB_PASSWORD"}
    assert {"DATABASE_URL", "DATA_DIR"} <= names
    assert {name for name in names if name.lower() not in Settings.model_fields} == set()
    (user,) = set(re.findall(r"(?:--[ug]id|USER|-[og]) (\d+)", CONTAINERFILE + COMPOSE))
    assert user == "480"

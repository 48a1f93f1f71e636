"""The dialplan: its text, the check for unsafe values, and writing the file. tests/asterisk runs it."""

import os
import re
import stat
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.routing import (
    HANG_UP,
    NO_DESTINATION,
    Destination,
    Dialplan,
    ExtensionPlan,
    ModulePlan,
    QueuePlan,
)
from app.telephony import dialplan
from app.telephony.dialplan import Rendered, UnsafeDialplan, render, write

TO_MODULE = Destination("module", "*5001")
MODULE = ModulePlan(7, "*5001", HANG_UP, Destination("extension", "100"))
EXTENSION = ExtensionPlan(
    extension="101",
    devices="PJSIP/101&SIP/201",
    hint_context="from-internal",
    add_hint=False,
    ring=20,
    no_answer=TO_MODULE,
    busy=TO_MODULE,
    unavailable=NO_DESTINATION,
)
QUEUE = QueuePlan("600", 90, TO_MODULE)
PLAN = Dialplan(
    modules=(MODULE,),
    extensions=(EXTENSION,),
    queues=(QUEUE,),
    profile="asterisk",
    agi_host="127.0.0.1",
    agi_port=4573,
    extension_context="bazang-extensions",
    queue_context="bazang-queues",
)


def contexts(text: str) -> dict[str, list[str]]:
    """Return the lines of each context, without comments and empty lines."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            lines = found.setdefault(stripped.strip("[]"), [])
        elif stripped and not stripped.startswith(";"):
            lines.append(stripped)
    return found


def with_module(**changes: Any) -> Dialplan:
    return replace(PLAN, modules=(replace(MODULE, **changes),))


def with_extension(**changes: Any) -> Dialplan:
    return replace(PLAN, extensions=(replace(EXTENSION, **changes),))


def with_queue(**changes: Any) -> Dialplan:
    return replace(PLAN, queues=(replace(QUEUE, **changes),))


# -- the text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["asterisk", "freepbx"])
@pytest.mark.parametrize("empty", [True, False])
def test_every_line_is_well_formed(profile: str, empty: bool) -> None:
    plan = replace(PLAN, profile=profile)
    if empty:
        plan = replace(plan, modules=(), extensions=(), queues=())
    for line in render(plan).text.splitlines():
        if line.lstrip().startswith(";") or not line.strip():
            continue
        assert re.fullmatch(r"\[[a-z0-9-]+\]|exten => \S+,(1|hint),.+| same => n(\([a-z]+\))?,.+", line), line
        assert line.count("(") == line.count(")"), line
        assert line.count("{") == line.count("}"), line
        assert line.count("[") == line.count("]"), line


def test_contexts_are_unique() -> None:
    plan = replace(
        PLAN,
        modules=(MODULE, replace(MODULE, id=8, code="*5002")),
        extensions=(EXTENSION, replace(EXTENSION, extension="102")),
        queues=(QUEUE, replace(QUEUE, queue="601")),
    )
    names = re.findall(r"^\[(.+)\]$", render(plan).text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {"bazang-module-7", "bazang-module-8", "bazang-extension-101", "bazang-extension-102"} <= set(names)


def test_code_leads_to_its_module() -> None:
    assert contexts(render(PLAN).text)["bazang-modules"] == ["exten => *5001,1,Goto(bazang-module-7,s,1)"]


def test_module_goes_on_without_our_service() -> None:
    """A service that hangs or is down must not hold the caller, nor use the result of an earlier module."""
    lines = contexts(render(PLAN).text)["bazang-module-7"]
    call = next(number for number, line in enumerate(lines) if "AGI(agi:" in line)
    assert "AGI(agi://127.0.0.1:4573/module/7)" in lines[call]
    before = "\n".join(lines[:call])
    for line in ("Set(BAZANG_RESULT=)", "Set(AGIEXITONHANGUP=yes)", "Set(TIMEOUT(absolute)=4)"):
        assert line in before
    assert "exten => T,1,Goto(leave,1)" in lines
    assert "exten => leave,1,Set(TIMEOUT(absolute)=0)" in lines
    assert "exten => error,1,Goto(bazang-extensions,100,1)" in lines
    assert "exten => next,1,Hangup(16)" in lines


@pytest.mark.parametrize(
    ("destination", "line"),
    [
        (Destination("extension", "100"), "Goto(bazang-extensions,100,1)"),
        (Destination("queue", "600"), "Goto(bazang-queues,600,1)"),
        (Destination("module", "*5002"), "Goto(bazang-modules,*5002,1)"),
        (Destination("custom", "from-ivr,s,1"), "Goto(from-ivr,s,1)"),
    ],
)
def test_destinations(destination: Destination, line: str) -> None:
    module = contexts(render(with_module(next=destination, error=Destination("custom", "x,y,1"))).text)
    assert f"exten => next,1,{line}" in module["bazang-module-7"]
    extension = contexts(render(with_extension(no_answer=destination)).text)
    assert f"exten => missed,1,{line}" in extension["bazang-extension-101"]
    queue = contexts(render(with_queue(failed=destination)).text)
    assert f"same => n,{line}" in queue["bazang-queues"]


@pytest.mark.parametrize("destination", [HANG_UP, NO_DESTINATION])
def test_causes_of_hang_ups(destination: Destination) -> None:
    """The PBX that sent the call reads the cause: 17 busy, 19 no answer, 34 not available."""
    plan = with_extension(no_answer=destination, busy=destination, unavailable=destination)
    lines = contexts(render(replace(plan, queues=with_queue(failed=destination).queues)).text)
    hang_ups = [line for line in lines["bazang-extension-101"] if line.startswith("exten =>") and "Hangup" in line]
    assert hang_ups == [
        "exten => busy,1,Hangup(17)",
        "exten => unavailable,1,Hangup(34)",
        "exten => missed,1,Hangup(19)",
    ]
    assert "same => n,Hangup(34)" in lines["bazang-queues"]


def test_destinations_are_in_the_contexts_of_the_settings() -> None:
    plan = replace(
        with_module(next=Destination("extension", "100"), error=Destination("queue", "600")),
        extension_context="from-internal",
        queue_context="ext-queues",
    )
    lines = contexts(render(plan).text)["bazang-module-7"]
    assert "exten => next,1,Goto(from-internal,100,1)" in lines
    assert "exten => error,1,Goto(ext-queues,600,1)" in lines


@pytest.mark.parametrize("add_hint", [True, False])
def test_extension_gets_a_hint_if_the_pbx_has_none(add_hint: bool) -> None:
    lines = contexts(render(with_extension(add_hint=add_hint)).text)["bazang-extensions"]
    assert ("exten => 101,hint,PJSIP/101&SIP/201" in lines) is add_hint
    assert "exten => 101,1,Goto(bazang-extension-101,s,1)" in lines


@pytest.mark.parametrize(("busy", "is_asked"), [(TO_MODULE, True), (NO_DESTINATION, False), (HANG_UP, False)])
def test_busy_line_rings_without_a_destination_for_busy(busy: Destination, is_asked: bool) -> None:
    lines = contexts(render(with_extension(busy=busy)).text)["bazang-extension-101"]
    assert any('"INUSE"]?busy' in line for line in lines) is is_asked
    assert any("GROUP_COUNT(101@bazang)" in line for line in lines)  # a call of ours always keeps the line


@pytest.mark.parametrize(("profile", "expected"), [("freepbx", True), ("asterisk", False)])
def test_freepbx_names_the_wanted_extension_by_its_own_variable(profile: str, expected: bool) -> None:
    assert ("EXTTOCALL" in render(replace(PLAN, profile=profile)).text) is expected


def test_text_from_a_caller_is_filtered() -> None:
    text = render(PLAN).text
    for unsafe in ("EVAL(", "CALLERID(num)", "CALLERID(name)"):
        assert unsafe not in text
    assert "${FILTER(0-9,${BAZANG_NUMBER})}" in text


# -- the revision -----------------------------------------------------------------------------------------------------


def test_revision_is_a_digest_of_the_content() -> None:
    first, second = render(PLAN), render(PLAN)
    assert first == second
    assert re.fullmatch(r"[0-9a-f]{12}", first.revision)
    assert f"; Revision {first.revision}" in first.text
    assert contexts(first.text)["bazang-revision"] == [f"exten => r{first.revision},1,NoOp()"]


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, modules=()),
        replace(PLAN, extensions=()),
        replace(PLAN, queues=()),
        replace(PLAN, profile="freepbx"),
        replace(PLAN, agi_host="10.0.0.1"),
        replace(PLAN, agi_port=4574),
        with_module(code="*5002"),
        with_module(next=Destination("extension", "102")),
        with_module(error=HANG_UP),
        with_extension(ring=21),
        with_extension(devices="PJSIP/101"),
        with_extension(add_hint=True),
        with_extension(unavailable=TO_MODULE),
        with_queue(max_wait=91),
    ],
)
def test_other_content_has_another_revision(plan: Dialplan) -> None:
    assert render(plan).revision != render(PLAN).revision


# -- unsafe values ----------------------------------------------------------------------------------------------------

UNSAFE = [
    "\n",
    "1\nexten => 1,1,System(id)",
    "\r",
    "${SHELL(id)}",
    "$[1]",
    "1)",
    "(",
    "a b",
    '"',
    ";",
    "\\",
    "\0",
    "۱",
    "=>",
]


def text_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all texts in a plan."""
    if isinstance(value, str):
        return [path]
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, tuple):
        parts = list(enumerate(value))
    elif is_dataclass(value):
        parts = [(field.name, getattr(value, field.name)) for field in fields(value)]
    return [found for step, part in parts for found in text_paths(part, (*path, step))]


def replace_text(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """Return a copy of the plan with the text at the path."""
    if not path:
        return text
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return (*value[:step], replace_text(value[step], rest, text), *value[step + 1 :])
    return replace(value, **{step: replace_text(getattr(value, step), rest, text)})


@pytest.mark.parametrize("path", text_paths(PLAN), ids=lambda path: ".".join(map(str, path)))
def test_unsafe_values_are_refused(path: tuple[Any, ...]) -> None:
    for unsafe in UNSAFE:
        with pytest.raises(UnsafeDialplan):
            render(replace_text(PLAN, path, f"1{unsafe}"))


def test_every_text_of_the_plan_is_tried() -> None:
    assert len(text_paths(PLAN)) == 21


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(with_queue(queue="sales_team"), id="queue"),
        pytest.param(with_module(next=Destination("queue", "sales_team")), id="destination"),
        pytest.param(with_module(next=Destination("custom", "from_ivr,s,1")), id="custom destination"),
        pytest.param(with_extension(devices="PJSIP/101_desk"), id="device"),
        pytest.param(replace(PLAN, extension_context="from_internal"), id="context"),
    ],
)
def test_names_with_underscores_are_safe(plan: Dialplan) -> None:
    assert isinstance(render(plan), Rendered)


# -- the file ---------------------------------------------------------------------------------------------------------


def test_file_is_readable_by_asterisk(tmp_path: Path) -> None:
    path = tmp_path / "asterisk" / "bazang.conf"
    before = os.umask(0o077)
    try:
        assert write(path, "one\n") is True
    finally:
        os.umask(before)
    assert path.read_text() == "one\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["bazang.conf"]


def test_unchanged_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "bazang.conf"
    write(path, "سلام\n")
    was = path.stat()
    assert write(path, "سلام\n") is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns)


def test_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """A process that has the old file open reads all of it."""
    path = tmp_path / "bazang.conf"
    write(path, "old\n" * 10_000)
    with path.open() as reader:
        assert reader.readline() == "old\n"
        assert write(path, "new\n") is True
        assert len(reader.readlines()) == 9_999
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fchmod", "fsync", "replace"])
def test_failed_write_leaves_the_old_file_alone(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bazang.conf"
    write(path, "old\n")

    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path if step == "replace" else dialplan.os, step, fail)
    with pytest.raises(OSError, match="the disk is full"):
        write(path, "new\n")
    monkeypatch.undo()
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_file_that_is_no_text_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bazang.conf"
    path.write_bytes(b"\xff\xfe\x00 caf\xe9\n")
    assert write(path, "new\n") is True
    assert path.read_text() == "new\n"

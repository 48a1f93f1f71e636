"""The dialplan: what it says, that nothing unsafe gets into it, and that Asterisk never reads half of it.

That Asterisk understands it is another test's matter, with a real one.
"""

import os
import re
import stat
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from app.telephony import dialplan
from app.telephony.dialplan import (
    CONGESTION,
    NO_USER_RESPONSE,
    USER_BUSY,
    Destination,
    Dialplan,
    ExtensionPlan,
    ModulePlan,
    QueuePlan,
    Rendered,
    UnsafeDialplan,
    render,
    write,
)

MODULE = ModulePlan(7, "*5001", Destination("hangup"), Destination("extension", "100"))
EXTENSION = ExtensionPlan(
    extension="101",
    devices="PJSIP/101&SIP/201",
    hint_context="from-internal",
    own_hint=False,
    ring=20,
    no_answer=Destination("module", "*5001"),
    busy=Destination("module", "*5001"),
    unavailable=Destination("", "", CONGESTION),
)
QUEUE = QueuePlan("600", 90, Destination("module", "*5001"))
PLAN = Dialplan(
    modules=(MODULE,),
    extensions=(EXTENSION,),
    queues=(QUEUE,),
    profile="plain",
    agi_host="127.0.0.1",
    agi_port=4573,
    extension_context="bazang-extensions",
    queue_context="bazang-queues",
)


def contexts(text: str) -> dict[str, list[str]]:
    """The lines of each context, without comments and blank ones."""
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


# -- what it says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["plain", "freepbx"])
@pytest.mark.parametrize("empty", [True, False])
def test_every_line_is_one_of_a_dialplan(profile: str, empty: bool) -> None:
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


def test_no_context_is_there_twice() -> None:
    plan = replace(
        PLAN,
        modules=(MODULE, replace(MODULE, id=8, code="*5002")),
        extensions=(EXTENSION, replace(EXTENSION, extension="102")),
        queues=(QUEUE, replace(QUEUE, queue="601")),
    )
    names = re.findall(r"^\[(.+)\]$", render(plan).text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {"bazang-module-7", "bazang-module-8", "bazang-extension-101", "bazang-extension-102"} <= set(names)


def test_a_module_is_reached_by_its_code() -> None:
    assert contexts(render(PLAN).text)["bazang-modules"] == ["exten => *5001,1,Goto(bazang-module-7,s,1)"]


def test_a_module_asks_our_service_and_needs_it_for_nothing() -> None:
    lines = contexts(render(PLAN).text)["bazang-module-7"]
    joined = "\n".join(lines)
    assert "AGI(agi://127.0.0.1:4573/module/7)" in joined
    call = next(number for number, line in enumerate(lines) if "AGI(agi:" in line)
    before = "\n".join(lines[:call])
    for needed in ("Set(BAZANG_RESULT=)", "Set(AGIEXITONHANGUP=yes)", "Set(TIMEOUT(absolute)=4)"):
        assert needed in before, "a silent service would keep the caller, or an old word would count for a new one"
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
        (Destination("hangup"), "Hangup(16)"),
        (Destination(), "Hangup(16)"),
        (Destination("", "", USER_BUSY), "Hangup(17)"),
        (Destination("", "", NO_USER_RESPONSE), "Hangup(19)"),
    ],
)
def test_the_destinations(destination: Destination, line: str) -> None:
    text = render(with_module(next=destination, error=Destination("custom", "x,y,1"))).text
    assert f"exten => next,1,{line}" in contexts(text)["bazang-module-7"]
    text = render(with_extension(no_answer=destination)).text
    assert f"exten => missed,1,{line}" in contexts(text)["bazang-extension-101"]
    text = render(replace(PLAN, queues=(replace(QUEUE, failed=destination),))).text
    assert f"same => n,{line}" in contexts(text)["bazang-queues"]


def test_the_destinations_keep_to_the_contexts_of_the_settings() -> None:
    plan = replace(
        with_module(next=Destination("extension", "100"), error=Destination("queue", "600")),
        extension_context="from-internal",
        queue_context="ext-queues",
    )
    lines = contexts(render(plan).text)["bazang-module-7"]
    assert "exten => next,1,Goto(from-internal,100,1)" in lines
    assert "exten => error,1,Goto(ext-queues,600,1)" in lines


@pytest.mark.parametrize("own_hint", [True, False])
def test_a_hint_is_given_where_there_is_none(own_hint: bool) -> None:
    lines = contexts(render(with_extension(own_hint=own_hint)).text)["bazang-extensions"]
    assert ("exten => 101,hint,PJSIP/101&SIP/201" in lines) is own_hint
    assert "exten => 101,1,Goto(bazang-extension-101,s,1)" in lines


@pytest.mark.parametrize("busy", [Destination("module", "*5001"), Destination("", "", USER_BUSY)])
def test_a_busy_line_is_rung_all_the_same_where_nothing_is_set_for_it(busy: Destination) -> None:
    lines = contexts(render(with_extension(busy=busy)).text)["bazang-extension-101"]
    assert any('"INUSE"]?busy' in line for line in lines) is bool(busy.kind)
    assert any("GROUP_COUNT(101@bazang)" in line for line in lines)  # our own call always has the line


@pytest.mark.parametrize(("profile", "asked"), [("freepbx", True), ("plain", False)])
def test_on_freepbx_the_wanted_extension_is_its_own_variable(profile: str, asked: bool) -> None:
    assert ("EXTTOCALL" in render(replace(PLAN, profile=profile)).text) is asked


def test_no_word_of_a_caller_is_expanded_unchecked() -> None:
    text = render(PLAN).text
    assert "EVAL(" not in text
    assert "CALLERID(num)" not in text
    assert "CALLERID(name)" not in text
    assert "${FILTER(0-9,${BAZANG_NUMBER})}" in text


def test_contacts_are_checked_before_they_are_dialled() -> None:
    lines = contexts(render(PLAN).text)
    users = {name for name, body in lines.items() if any("PJSIP_DIAL_CONTACTS" in line for line in body)}
    assert users == {"bazang-contacts"}
    (plain,) = re.findall(r"REPLACE\(contact,(.*)\)}\)$", "\n".join(lines["bazang-contacts"]), re.MULTILINE)
    assert not set('&,()[]{}^$|"`<>?# \t') & set(plain), "each of these means something to Dial or in an expression"
    assert plain.count("\\") == plain.count("\\;") == plain.count(";") == 1, "else the rest of the line is a comment"


# -- the revision ---------------------------------------------------------------------------------------------


def test_the_revision_is_of_the_content() -> None:
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
        with_module(error=Destination("hangup")),
        with_extension(ring=21),
        with_extension(devices="PJSIP/101"),
        with_extension(own_hint=True),
        with_extension(unavailable=Destination("", "", USER_BUSY)),
        replace(PLAN, queues=(replace(QUEUE, max_wait=91),)),
    ],
)
def test_another_content_is_another_revision(plan: Dialplan) -> None:
    assert render(plan).revision != render(PLAN).revision


# -- what must not get in -------------------------------------------------------------------------------------

EVIL = [
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


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all texts in a plan."""
    if isinstance(value, str):
        return [path]
    if isinstance(value, tuple):
        return [place for number, item in enumerate(value) for place in places(item, (*path, number))]
    if is_dataclass(value):
        return [place for field in fields(value) for place in places(getattr(value, field.name), (*path, field.name))]
    return []


def put(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """A copy of the plan with the text at the place."""
    if not path:
        return text
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return (*value[:step], put(value[step], rest, text), *value[step + 1 :])
    return replace(value, **{step: put(getattr(value, step), rest, text)})


@pytest.mark.parametrize("evil", EVIL, ids=repr)
@pytest.mark.parametrize("place", places(PLAN), ids=lambda place: ".".join(map(str, place)))
def test_what_means_something_to_asterisk_is_refused(place: tuple[Any, ...], evil: str) -> None:
    with pytest.raises(UnsafeDialplan):
        render(put(PLAN, place, f"1{evil}"))


def test_every_text_of_the_plan_was_tried() -> None:
    assert len(places(PLAN)) == 21


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(replace(PLAN, queues=(replace(QUEUE, queue="sales_team"),)), id="queue"),
        pytest.param(with_module(next=Destination("queue", "sales_team")), id="destination"),
        pytest.param(with_module(next=Destination("custom", "from_ivr,s,1")), id="custom destination"),
        pytest.param(with_extension(devices="PJSIP/101_desk"), id="device"),
        pytest.param(replace(PLAN, extension_context="from_internal"), id="context"),
    ],
)
def test_names_that_asterisk_itself_has_are_taken(plan: Dialplan) -> None:
    assert isinstance(render(plan), Rendered)


# -- the file -------------------------------------------------------------------------------------------------


def test_the_file_is_there_for_asterisk_to_read(tmp_path: Path) -> None:
    path = tmp_path / "asterisk" / "bazang.conf"
    before = os.umask(0o077)
    try:
        assert write(path, "one\n") is True
    finally:
        os.umask(before)
    assert path.read_text() == "one\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["bazang.conf"]


def test_a_file_that_is_right_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bazang.conf"
    write(path, "سلام\n")
    was = path.stat()
    assert write(path, "سلام\n") is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns)


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """Who has the old one open goes on reading the old one, whole."""
    path = tmp_path / "bazang.conf"
    write(path, "old\n" * 10_000)
    with path.open() as reader:
        assert reader.readline() == "old\n"
        assert write(path, "new\n") is True
        assert len(reader.readlines()) == 9_999
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fchmod", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_rest(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_file_that_somebody_spoiled_is_put_right(tmp_path: Path) -> None:
    path = tmp_path / "bazang.conf"
    path.write_bytes(b"\xff\xfe\x00 caf\xe9\n")
    assert write(path, "new\n") is True
    assert path.read_text() == "new\n"

"""The settings file: what one office wrote, another has afterwards; and a file with any fault changes nothing."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.audio.library import SoundLibrary
from app.services.commands import WRITE_DIALPLAN
from app.services.modules import save as modules
from app.services.modules.save import BOUNDS
from app.services.modules.transfer import BadFile, export_settings, import_settings
from app.services.pbx import scenarios
from app.services.pbx.scenarios import ExtensionInput, QueueInput
from app.services.prompts import recordings
from app.services.prompts.input import PromptInput
from app.services.prompts.recordings import Origin
from app.store.database import Database
from app.store.models import Base, Command, Module, Prompt
from script.office.database import open_database
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, make_module_input

LATER = NOW + timedelta(hours=1)
LOST = "uploads/" + "0" * 64 + ".wav"


@pytest.fixture
def library(tmp_path: Path) -> SoundLibrary:
    return SoundLibrary(tmp_path / "prompts")


@pytest.fixture
def other_office(built_database: Path, tmp_path: Path) -> Iterator[Database]:
    """A second, fresh database."""
    opened = open_database(Path(shutil.copy(built_database, tmp_path / "other.sqlite3")))
    yield opened
    opened.engine.dispose()


def tables(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with database.read() as session:
        return {
            name: sorted((tuple(row) for row in session.execute(select(table))), key=repr)
            for name, table in Base.metadata.tables.items()
        }


def codes_of(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Module.code).order_by(Module.code)))


def furnish(database: Database, library: SoundLibrary, folder: Path) -> None:
    """Store something of everything, with no value at its default."""
    with write_sound(folder / "greeting.wav", tone(1)).open("rb") as stream:
        kept = recordings.store_upload(database, library, stream, "خوش آمد.wav", Origin.UPLOAD, NOW)
    support = make_module_input(
        name="پشتیبانی",
        code="*5002",
        target_kind="queue",
        targets=("support-1",),
        error_kind="custom",
        error_code="ivr-main,s,1",
    )
    sales = make_module_input(
        name="Sales",
        code="*5001",
        targets=("101", "*102"),
        next_kind="module",
        next_code="*5002",
        error_kind="extension",
        error_code="103",
        active=False,
        silent=True,
        automatic=False,
        language="en",
        caller_id="+" + "9" * 20,
        prompts={
            "intro": PromptInput("file", "", kept.file, kept.original_name),
            "is": PromptInput("none"),
            "after_success": PromptInput("speech", "We call you.\nSoon “enough”."),
        },
        **{name: most for name, (_, most) in BOUNDS.items()},
    )
    modules.save(database, support, NOW)
    modules.save(database, sales, NOW)
    ways = {"busy": ("module", "*5001"), "no_answer": ("queue", "support-1"), "unavailable": ("hangup", "")}
    scenarios.save_extension(database, ExtensionInput("101", 15, ways), now=NOW)
    scenarios.save_queue(database, QueueInput("support-1", 45, 20, ("module", "*5002")), now=NOW)


def a_module(code: str = "*5001", **values: Any) -> dict[str, Any]:
    """A module as a file has it, with no more than it needs."""
    plain: dict[str, Any] = {
        "name": "Sales",
        "code": code,
        "target_kind": "extension",
        "targets": ["101"],
        "next": {"kind": "hangup"},
        "error": {"kind": "hangup"},
    }
    return plain | values


def to_module(code: str) -> dict[str, str]:
    return {"kind": "module", "code": code}


def a_file(**values: Any) -> dict[str, Any]:
    return {"bazang": 1} | values


def faults_of(database: Database, library: SoundLibrary, content: Any) -> list[str]:
    """Return what is told of a file with faults, having seen that it changed nothing."""
    before = tables(database)
    with pytest.raises(BadFile) as refused:
        import_settings(database, library, content, LATER, actor="sara")
    assert tables(database) == before
    assert str(refused.value) == "\n".join(refused.value.errors)
    return refused.value.errors


# There and back


def test_another_office_has_the_same_afterwards(
    database: Database, other_office: Database, library: SoundLibrary, tmp_path: Path
) -> None:
    furnish(database, library, tmp_path)
    content = json.loads(json.dumps(export_settings(database)))  # as it comes out of a file
    assert import_settings(other_office, library, content, LATER) == 4
    assert export_settings(other_office) == export_settings(database)
    there, here = tables(other_office), tables(database)
    assert there["extension_scenarios"] == here["extension_scenarios"]
    assert there["queue_scenarios"] == here["queue_scenarios"]
    with other_office.read() as session:
        sales = modules.load(session, session.scalars(select(Module.id).where(Module.code == "*5001")).one())
    with database.read() as session:
        wanted = modules.load(session, session.scalars(select(Module.id).where(Module.code == "*5001")).one())
    assert replace(sales, prompts=dict(sales.prompts)) == replace(wanted, prompts=dict(wanted.prompts))
    assert sales.prompts["intro"].original_name == "خوش آمد.wav"


def test_what_is_exported_names_every_field_that_there_is(
    database: Database, library: SoundLibrary, tmp_path: Path
) -> None:
    furnish(database, library, tmp_path)
    content = export_settings(database)
    ours = {"id", "created_at", "updated_at", "next_kind", "next_code", "error_kind", "error_code"}
    assert set(content["modules"][0]) == set(Module.__table__.columns.keys()) - ours | {"next", "error", "prompts"}
    assert set(content["modules"][0]["prompts"]["intro"]) == {"mode", "text", "file", "original_name"}


def test_an_office_without_anything_is_a_file_too(database: Database, library: SoundLibrary) -> None:
    content = export_settings(database)
    assert content == {"bazang": 1, "modules": [], "extensions": [], "queues": []}
    assert import_settings(database, library, content, NOW) == 0


def test_taking_in_twice_changes_nothing_more(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    furnish(database, library, tmp_path)
    content = export_settings(database)
    import_settings(database, library, content, LATER)
    once = tables(database)
    import_settings(database, library, content, LATER)
    twice = tables(database)
    assert [len(once.pop("commands")), len(twice.pop("commands"))] == [5, 6]  # four of the furnishing
    assert twice == once
    assert export_settings(database) == content


def test_a_file_with_the_least_takes_the_defaults(database: Database, library: SoundLibrary) -> None:
    import_settings(database, library, a_file(modules=[a_module()]), NOW)
    with database.read() as session:
        row = session.scalars(select(Module)).one()
        given = modules.as_input(row)
    assert given == make_module_input(name="Sales", code="*5001", prompts={})
    assert (row.created_at, row.updated_at) == (NOW, NOW)


def test_the_dialplan_is_asked_for_once_by_whoever_took_it_in(database: Database, library: SoundLibrary) -> None:
    import_settings(database, library, a_file(modules=[a_module(), a_module("*5002")]), NOW, actor="sara")
    with database.read() as session:
        commands = [(command.kind, command.actor) for command in session.scalars(select(Command))]
    assert commands == [(WRITE_DIALPLAN, "sara")]


# What is there already


def test_a_module_is_known_by_its_code_and_keeps_its_requests(database: Database, library: SoundLibrary) -> None:
    module_id = modules.save(database, make_module_input(code="*5001", name="Old"), NOW)
    import_settings(database, library, a_file(modules=[a_module(name="New")]), LATER)
    with database.read() as session:
        (row,) = session.scalars(select(Module)).all()
    assert (row.id, row.name, row.created_at, row.updated_at) == (module_id, "New", NOW, LATER)


def test_what_the_file_does_not_name_stays(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    furnish(database, library, tmp_path)
    import_settings(database, library, a_file(modules=[a_module("*5009")]), LATER)
    assert codes_of(database) == ["*5001", "*5002", "*5009"]
    content = a_file(modules=[a_module("*5001", prompts={"is": {"text": "Thanks."}})])
    import_settings(database, library, content, LATER)
    with database.read() as session:
        prompts = {row.key: (row.mode, row.text) for row in session.scalars(select(Prompt))}
    assert prompts["is"] == ("speech", "Thanks.")
    assert prompts["intro"] == ("file", "")


@pytest.mark.parametrize("turned", [False, True])
def test_the_order_in_the_file_does_not_matter(database: Database, library: SoundLibrary, turned: bool) -> None:
    chain = [
        a_module("1", next=to_module("2")),
        a_module("2", next=to_module("3"), error=to_module("3")),
        a_module("3"),
    ]
    extension = {"extension": "101", "busy": to_module("1")}
    content = a_file(extensions=[extension], modules=chain[::-1] if turned else chain)
    assert import_settings(database, library, content, NOW) == 4
    assert codes_of(database) == ["1", "2", "3"]


def test_a_module_may_lead_to_one_that_is_there_already(database: Database, library: SoundLibrary) -> None:
    modules.save(database, make_module_input(code="*5001"), NOW)
    import_settings(database, library, a_file(modules=[a_module("*5002", error=to_module("*5001"))]), LATER)
    assert codes_of(database) == ["*5001", "*5002"]


def test_modules_may_trade_their_ways(database: Database, library: SoundLibrary) -> None:
    """A led to B; now B leads to A. On the way there is a ring, in the end there is none."""
    import_settings(database, library, a_file(modules=[a_module("1", next=to_module("2")), a_module("2")]), NOW)
    import_settings(database, library, a_file(modules=[a_module("2", next=to_module("1")), a_module("1")]), LATER)
    assert codes_of(database) == ["1", "2"]


# All or nothing

Spoil = Callable[[dict[str, Any]], object]


def module_gets(**values: Any) -> Spoil:
    return lambda content: content["modules"][0].update(values)


def extension_gets(**values: Any) -> Spoil:
    return lambda content: content["extensions"][0].update(values)


def queue_gets(**values: Any) -> Spoil:
    return lambda content: content["queues"][0].update(values)


def prompt_gets(**values: Any) -> Spoil:
    return lambda content: content["modules"][0]["prompts"].update(values)


HUGE = 10**4000

FAULTS: list[tuple[str, Spoil, list[str]]] = [
    # what is there, is there too much, is missing
    ("unknown field", lambda c: c.update(colour="red"), ["colour"]),
    ("unknown field of a module", module_gets(colour="red"), ["modules[0].colour"]),
    ("unknown field of a prompt", prompt_gets(intro={"volume": 3}), ["modules[0].prompts.intro.volume"]),
    ("unknown field of a destination", module_gets(next={"type": "hangup"}), ["modules[0].next.type"]),
    ("unknown field of a queue", queue_gets(music="jazz"), ["queues[0].music"]),
    ("no version", lambda c: c.pop("bazang"), ["bazang"]),
    ("another version", lambda c: c.update(bazang=2), ["bazang"]),
    ("no code", lambda c: c["modules"][0].pop("code"), ["modules[0].code"]),
    ("no name of an extension", lambda c: c["extensions"][0].pop("extension"), ["extensions[0].extension"]),
    # wrong types
    ("modules are no list", lambda c: c.update(modules={}), ["modules"]),
    ("a module is no object", lambda c: c.update(modules=["*5001"]), ["modules[0]"]),
    ("a number for a text", module_gets(name=5), ["modules[0].name"]),
    ("a text for a number", module_gets(rest="10"), ["modules[0].rest"]),
    ("a fraction for a number", module_gets(rest=1.5), ["modules[0].rest"]),
    ("truth for a number", module_gets(rest=True), ["modules[0].rest"]),
    ("a number for truth", module_gets(active=1), ["modules[0].active"]),
    ("null", module_gets(language=None), ["modules[0].language"]),
    ("one target and no list", module_gets(targets="101"), ["modules[0].targets"]),
    ("a number as a target", module_gets(targets=["101", 102]), ["modules[0].targets[1]"]),
    ("prompts are no object", module_gets(prompts=[]), ["modules[0].prompts"]),
    ("a prompt is a text", prompt_gets(intro="Hello"), ["modules[0].prompts.intro"]),
    # too much of it
    ("a huge number", module_gets(rest=HUGE), ["modules[0].rest"]),
    ("a hugely negative number", queue_gets(wrapup=-HUGE), ["queues[0].wrapup"]),
    ("an infinite number", extension_gets(ring=float("inf")), ["extensions[0].ring"]),
    ("no number at all", extension_gets(ring=float("nan")), ["extensions[0].ring"]),
    ("more than an integer of the database", module_gets(min_wait=2**31), ["modules[0].min_wait"]),
    ("a slow voice", module_gets(rate=79), ["modules[0].rate"]),
    ("a shrill voice", module_gets(pitch=100), ["modules[0].pitch"]),
    ("a voice of another language", module_gets(language="fa", voice="en-us+f3"), ["modules[0].voice"]),
    ("a strange voice", module_gets(voice="/etc/passwd"), ["modules[0].voice"]),
    ("a long name", module_gets(name="x" * 81), ["modules[0].name"]),
    ("an endless name", module_gets(name="x" * 1_000_000), ["modules[0].name"]),
    ("a long code", module_gets(code="1" * 21), ["modules[0].code"]),
    ("a long kind", module_gets(target_kind="x" * 17), ["modules[0].target_kind"]),
    ("a long kind of a destination", module_gets(next={"kind": "x" * 17}), ["modules[0].next.kind"]),
    ("a long language", module_gets(language="x" * 9), ["modules[0].language"]),
    ("a long caller id", module_gets(caller_id="1" * 33), ["modules[0].caller_id"]),
    ("a long mode", prompt_gets(intro={"mode": "x" * 9}), ["modules[0].prompts.intro.mode"]),
    ("a long file", prompt_gets(intro={"file": "x" * 201}), ["modules[0].prompts.intro.file"]),
    ("a long text", prompt_gets(intro={"text": "x" * 1501}), ["modules[0].prompts.intro"]),
    ("an endless text", prompt_gets(intro={"text": "x" * 1_000_000}), ["modules[0].prompts.intro.text"]),
    ("a long extension", extension_gets(extension="1" * 21), ["extensions[0].extension"]),
    ("a long queue", queue_gets(queue="x" * 81), ["queues[0].queue"]),
    # characters
    ("NUL in a name", module_gets(name="Sa\0les"), ["modules[0].name"]),
    ("NUL in a text", prompt_gets(intro={"text": "Hel\0lo"}), ["modules[0].prompts.intro.text"]),
    ("NUL in a target", module_gets(targets=["1\0"]), ["modules[0].targets[0]"]),
    ("NUL in a code of a destination", module_gets(next={"code": "\0"}), ["modules[0].next.code"]),
    ("NUL in a queue", queue_gets(queue="8\0"), ["queues[0].queue"]),
    ("half a character", module_gets(name="\ud800"), ["modules[0].name"]),
    ("half a character as a key", lambda c: c.update({"\ud800": 1}), ["the whole file"]),
    ("a line break in a name", module_gets(name="Sa\nles"), ["modules[0].name"]),
    ("a dialplan in a code", module_gets(code="1,1,System(x)"), ["modules[0].code"]),
    # what it means
    ("an empty name", module_gets(name=" "), ["modules[0].name"]),
    ("no targets", module_gets(targets=[]), ["modules[0].targets"]),
    ("two queues", module_gets(target_kind="queue", targets=["a", "b"]), ["modules[0].targets"]),
    ("no such kind of target", module_gets(target_kind="phone"), ["modules[0].target_kind"]),
    ("no such language", module_gets(language="de"), ["modules[0].language"]),
    ("no such kind of destination", module_gets(error={"kind": "mail"}), ["modules[0].error.kind"]),
    ("no such module", module_gets(next=to_module("*5999")), ["modules[0].next.code"]),
    ("a module that leads to itself", module_gets(next=to_module("*5001")), ["modules[0].next.code"]),
    ("no such prompt", prompt_gets(goodbye={"text": "Bye"}), ["modules[0].prompts.goodbye"]),
    ("no such mode", prompt_gets(intro={"mode": "song"}), ["modules[0].prompts.intro"]),
    ("a caller id that is none", module_gets(caller_id="Sales"), ["modules[0].caller_id"]),
    ("a missing recording", prompt_gets(intro={"mode": "file", "file": LOST}), ["modules[0].prompts.intro.file"]),
    (
        "a recording outside",
        prompt_gets(intro={"mode": "file", "file": "../../etc/passwd"}),
        ["modules[0].prompts.intro.file"],
    ),
    (
        "no recording named",
        prompt_gets(intro={"mode": "file"}),
        ["modules[0].prompts.intro", "modules[0].prompts.intro.file"],
    ),
    ("an extension that is none", extension_gets(extension="10x"), ["extensions[0].extension"]),
    ("an extension that rings for ever", extension_gets(ring=301), ["extensions[0].ring"]),
    ("an extension to no module", extension_gets(busy=to_module("*5999")), ["extensions[0].busy.code"]),
    ("an extension to itself", extension_gets(no_answer={"kind": "extension", "code": "101"}),
     ["extensions[0].no_answer.code"]),
    ("a queue that is none", queue_gets(queue="a b"), ["queues[0].queue"]),
    ("a queue of no patience", queue_gets(max_wait=4), ["queues[0].max_wait"]),
    ("a queue to no module", queue_gets(failed=to_module("*5999")), ["queues[0].failed.code"]),
]  # fmt: skip
FAULTS += [
    (f"{name} out of bounds", module_gets(**{name: most + 1}), [f"modules[0].{name}"])
    for name, (_, most) in BOUNDS.items()
]


@pytest.mark.parametrize(("spoil", "places"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_any_fault_leaves_every_table_unchanged_and_names_its_place(
    database: Database, library: SoundLibrary, spoil: Spoil, places: list[str]
) -> None:
    content = a_file(
        modules=[a_module(prompts={"is": {"mode": "none"}}), a_module("*5002")],
        extensions=[{"extension": "101", "busy": to_module("*5002")}],
        queues=[{"queue": "800", "failed": to_module("*5001")}],
    )
    modules.save(database, make_module_input(code="*5002", name="Here before"), NOW)
    sound = copy.deepcopy(content)
    spoil(content)
    told = faults_of(database, library, content)
    # One missing field may be told by more than one line, and a module without a code leads nobody anywhere.
    assert [line.partition(": ")[0] for line in told][: len(places)] == places
    assert all(line.partition(": ")[2] for line in told)
    assert import_settings(database, library, sound, LATER) == 4  # it was the fault alone


@pytest.mark.parametrize("content", [None, [], "bazang", 5, True, {}, {"modules": []}, [{"bazang": 1}]])
def test_what_is_no_settings_file_is_refused(database: Database, library: SoundLibrary, content: Any) -> None:
    assert faults_of(database, library, content)


def test_whatever_stands_there_twice_is_refused(database: Database, library: SoundLibrary) -> None:
    content = a_file(
        modules=[a_module("1"), a_module("2"), a_module("1", name="Another")],
        extensions=[{"extension": "101"}, {"extension": "101", "ring": 30}],
        queues=[{"queue": "800"}, {"queue": "801"}, {"queue": "801"}],
    )
    assert faults_of(database, library, content) == [
        "modules[2].code: '1' stands there twice",
        "extensions[1].extension: '101' stands there twice",
        "queues[2].queue: '801' stands there twice",
    ]


def test_every_fault_is_told_at_once(database: Database, library: SoundLibrary) -> None:
    lost = {"mode": "file", "file": LOST}
    content = a_file(
        modules=[a_module("1", rest=5000), a_module("2", next=to_module("9"), prompts={"intro": lost})],
        extensions=[{"extension": "101"}, {"extension": "102", "ring": 1}],
        queues=[{"queue": "800", "max_wait": 1}],
    )
    assert faults_of(database, library, content) == [
        "modules[0].rest: too small or too large",
        "modules[1].next.code: there is no module of this code",
        f"modules[1].prompts.intro.file: '{LOST}' is not in the prompts' folder: copy it there first",
        "extensions[1].ring: too small or too large",
        "queues[0].max_wait: too small or too large",
    ]


def test_modules_do_not_lead_in_a_ring(database: Database, library: SoundLibrary) -> None:
    ring = [a_module("1", next=to_module("2")), a_module("2", error=to_module("3")), a_module("3", next=to_module("1"))]
    told = faults_of(database, library, a_file(modules=ring))
    assert [line.partition(": ")[0] for line in told] == [
        "modules[0].next.code",
        "modules[1].error.code",
        "modules[2].next.code",
    ]


def test_a_ring_over_a_module_that_is_there_already_is_found(database: Database, library: SoundLibrary) -> None:
    modules.save(database, make_module_input(code="1"), NOW)
    modules.save(database, make_module_input(code="2", next_kind="module", next_code="1"), NOW)
    told = faults_of(database, library, a_file(modules=[a_module("1", error=to_module("2"))]))
    assert told == ["modules[0].error.code: leads back to where it comes from"]


def test_every_code_of_a_fault_has_its_words(database: Database, library: SoundLibrary) -> None:
    """A line that said no more than "code" would help nobody."""
    content = a_file(
        modules=[
            a_module("a", name="\n", language="x", caller_id="x", targets=[], rest=9999, next={"kind": "custom"}),
            a_module("2", target_kind="queue", targets=["a", "b"], next={"kind": "custom", "code": "x"}),
            a_module("3", target_kind="x", next=to_module("3"), error=to_module("9"), prompts={"intro": {"mode": "x"}}),
        ]
    )
    told = faults_of(database, library, content)
    assert len(told) == 13
    assert all(" " in line.partition(": ")[2] for line in told)

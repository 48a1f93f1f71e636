"""Export and import modules and scenarios as a JSON file."""

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.audio.library import SoundLibrary
from app.domain.routing import HANG_UP, Destination, Situation
from app.services.commands import WRITE_DIALPLAN
from app.services.modules.input import BOUNDS, from_row
from app.services.modules.list import load_module
from app.services.modules.save import save_module
from app.services.modules.transfer import BadFile, export_settings, import_settings
from app.services.pbx.scenarios import ExtensionInput, QueueInput, save_scenario
from app.services.prompts import recordings, voice
from app.services.prompts.input import PromptInput
from app.services.prompts.recordings import Origin
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Base, Command, Module, Prompt
from app.store.settings import Speech
from script.office.database import open_database
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, make_module_input

LATER = NOW + timedelta(hours=1)
MISSING_FILE = "uploads/" + "0" * 64 + ".wav"


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


def fill_tables(database: Database, library: SoundLibrary, folder: Path) -> None:
    """Store modules, prompts and scenarios without default values."""
    with write_sound(folder / "greeting.wav", tone(1)).open("rb") as stream:
        recording = recordings.store_upload(database, library, stream, "خوش آمد.wav", Origin.UPLOAD, NOW)
    support = make_module_input(
        name="پشتیبانی",
        code="*5002",
        target_kind="queue",
        targets=("پشتیبانی فنی",),
        error=Destination("custom", "ivr-main,s,1"),
        offer_key="4",
    )
    sales = make_module_input(
        name="Sales",
        code="*5001",
        targets=("101", "*102"),
        next=Destination("module", "*5002"),
        error=Destination("extension", "103"),
        active=False,
        silent=True,
        automatic=False,
        language="en",
        hours="mon 08:00-12:00, 13:00-17:00; fri 22:00-06:00",
        holidays=False,
        outside="decline",
        at_closing="give_up",
        agent_order="in_turn",
        fallback=Destination("queue", "پشتیبانی فنی"),
        caller_id="+" + "9" * 20,
        retry_pauses=(10, 20, 7 * 24 * 3600),
        busy_pause=11,
        agent_confirms="answer",
        asks_customer=True,
        asks_name=True,
        keeps_while_down=True,
        customer_first=True,
        office_name="Sepehr Ltd.",
        offer_key="#",
        prompts={
            "intro": PromptInput("file", "", recording.file, recording.original_name),
            "is": PromptInput("none"),
            "after_success": PromptInput("speech", "We call you.\nSoon “enough”."),
        },
        **{name: most for name, (_, most) in BOUNDS.items()},
    )
    save_module(database, support, NOW)
    save_module(database, sales, NOW)
    destinations = {
        Situation.BUSY: Destination("module", "*5001"),
        Situation.NO_ANSWER: Destination("queue", "پشتیبانی فنی"),
        Situation.UNAVAILABLE: HANG_UP,
    }
    save_scenario(database, ExtensionInput("101", 15, destinations), now=NOW)
    save_scenario(database, QueueInput("پشتیبانی فنی", 45, 20, Destination("module", "*5002")), now=NOW)


def make_module(code: str = "*5001", **values: Any) -> dict[str, Any]:
    """Return a module of a file with its required fields."""
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


def make_file(**values: Any) -> dict[str, Any]:
    return {"bazang": 1} | values


def errors_of(database: Database, library: SoundLibrary, content: Any) -> list[str]:
    """Import an invalid file, assert that it changes nothing, and return its errors."""
    before = tables(database)
    with pytest.raises(BadFile) as refused:
        import_settings(database, library, content, LATER, actor="sara")
    assert tables(database) == before
    assert str(refused.value) == "\n".join(refused.value.errors)
    return refused.value.errors


# -- export and import ------------------------------------------------------------------------------------------------


def test_import_restores_an_export(
    database: Database, other_office: Database, library: SoundLibrary, tmp_path: Path
) -> None:
    fill_tables(database, library, tmp_path)
    content = json.loads(json.dumps(export_settings(database)))  # as it comes out of a file
    assert import_settings(other_office, library, content, LATER) == 4
    assert export_settings(other_office) == export_settings(database)
    there, here = tables(other_office), tables(database)
    assert there["extension_scenarios"] == here["extension_scenarios"]
    assert there["queue_scenarios"] == here["queue_scenarios"]
    with other_office.read() as session:
        sales = load_module(session, session.scalars(select(Module.id).where(Module.code == "*5001")).one())
    with database.read() as session:
        wanted = load_module(session, session.scalars(select(Module.id).where(Module.code == "*5001")).one())
    assert replace(sales, prompts=dict(sales.prompts)) == replace(wanted, prompts=dict(wanted.prompts))
    assert sales.prompts["intro"].original_name == "خوش آمد.wav"


def test_export_has_every_column(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    fill_tables(database, library, tmp_path)
    content = export_settings(database)
    destinations = {"next", "error", "fallback"}
    ours = {"id", "created_at", "updated_at", *(f"{name}_{part}" for name in destinations for part in ("kind", "code"))}
    assert set(content["modules"][0]) == set(Module.__table__.columns.keys()) - ours | destinations | {"prompts"}
    assert set(content["modules"][0]["prompts"]["intro"]) == {"mode", "text", "file", "original_name"}


def test_export_of_empty_tables_can_be_imported(database: Database, library: SoundLibrary) -> None:
    content = export_settings(database)
    assert content == {"bazang": 1, "modules": [], "extensions": [], "queues": [], "pronunciations": {}}
    assert import_settings(database, library, content, NOW) == 0


def test_second_import_changes_nothing(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    fill_tables(database, library, tmp_path)
    content = export_settings(database)
    import_settings(database, library, content, LATER)
    once = tables(database)
    import_settings(database, library, content, LATER)
    twice = tables(database)
    assert [len(once.pop("commands")), len(twice.pop("commands"))] == [5, 6]  # four of fill_tables
    assert twice == once
    assert export_settings(database) == content


def test_missing_fields_have_defaults(database: Database, library: SoundLibrary) -> None:
    import_settings(database, library, make_file(modules=[make_module()]), NOW)
    with database.read() as session:
        row = session.scalars(select(Module)).one()
        given = from_row(row)
    assert given == make_module_input(name="Sales", code="*5001", prompts={})
    assert (row.created_at, row.updated_at) == (NOW, NOW)


@pytest.mark.parametrize(
    ("values", "pauses", "busy"),
    [
        ({"retry_pause": 240}, (240,), 0),
        ({"retry_pause": 240, "busy_pause": 60}, (240,), 60),
        ({"retry_pauses": [240, 300]}, (240, 300), 120),
    ],
)
def test_module_of_an_older_file_keeps_its_single_pause(
    database: Database, library: SoundLibrary, values: dict[str, Any], pauses: tuple[int, ...], busy: int
) -> None:
    import_settings(database, library, make_file(modules=[make_module(**values)]), NOW)
    with database.read() as session:
        given = from_row(session.scalars(select(Module)).one())
    assert (given.retry_pauses, given.busy_pause) == (pauses, busy)


@pytest.mark.parametrize(
    ("values", "at_closing"), [({"carry_over": True}, "carry_over"), ({"carry_over": False}, "expire")]
)
def test_module_of_an_older_file_keeps_what_becomes_of_open_requests(
    database: Database, library: SoundLibrary, values: dict[str, Any], at_closing: str
) -> None:
    import_settings(database, library, make_file(modules=[make_module(**values)]), NOW)
    with database.read() as session:
        assert session.scalars(select(Module.at_closing)).one() == at_closing


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"retry_pause": "five"}, "modules[0].retry_pauses[0]: "),
        ({"retry_pause": 5, "retry_pauses": [300]}, "modules[0].retry_pause: "),
        ({"retry_pauses": [5]}, "modules[0].retry_pauses: must be 1 to 10 pauses"),
        ({"busy_pause": 5}, "modules[0].busy_pause: is too small or too large"),
    ],
)
def test_bad_pause_is_named(database: Database, library: SoundLibrary, values: dict[str, Any], place: str) -> None:
    (error,) = errors_of(database, library, make_file(modules=[make_module(**values)]))
    assert error.startswith(place)


def test_import_writes_the_dialplan_once(database: Database, library: SoundLibrary) -> None:
    import_settings(database, library, make_file(modules=[make_module(), make_module("*5002")]), NOW, actor="sara")
    with database.read() as session:
        commands = [(command.kind, command.actor) for command in session.scalars(select(Command))]
    assert commands == [(WRITE_DIALPLAN, "sara")]


# -- existing modules -------------------------------------------------------------------------------------------------


def test_existing_module_is_changed_by_its_code(database: Database, library: SoundLibrary) -> None:
    module_id = save_module(database, make_module_input(code="*5001", name="Old"), NOW)
    import_settings(database, library, make_file(modules=[make_module(name="New")]), LATER)
    with database.read() as session:
        (row,) = session.scalars(select(Module)).all()
    assert (row.id, row.name, row.created_at, row.updated_at) == (module_id, "New", NOW, LATER)


def test_what_is_not_in_the_file_stays(database: Database, library: SoundLibrary, tmp_path: Path) -> None:
    fill_tables(database, library, tmp_path)
    import_settings(database, library, make_file(modules=[make_module("*5009")]), LATER)
    assert codes_of(database) == ["*5001", "*5002", "*5009"]
    content = make_file(modules=[make_module("*5001", prompts={"is": {"text": "Thanks."}})])
    import_settings(database, library, content, LATER)
    with database.read() as session:
        prompts = {row.key: (row.mode, row.text) for row in session.scalars(select(Prompt))}
    assert prompts["is"] == ("speech", "Thanks.")
    assert prompts["intro"] == ("file", "")


@pytest.mark.parametrize("reverse", [False, True])
def test_order_in_the_file_does_not_matter(database: Database, library: SoundLibrary, reverse: bool) -> None:
    chain = [
        make_module("1", next=to_module("2")),
        make_module("2", next=to_module("3"), error=to_module("3")),
        make_module("3"),
    ]
    extension = {"extension": "101", "busy": to_module("1")}
    content = make_file(extensions=[extension], modules=chain[::-1] if reverse else chain)
    assert import_settings(database, library, content, NOW) == 4
    assert codes_of(database) == ["1", "2", "3"]


def test_module_can_point_to_an_existing_module(database: Database, library: SoundLibrary) -> None:
    save_module(database, make_module_input(code="*5001"), NOW)
    import_settings(database, library, make_file(modules=[make_module("*5002", error=to_module("*5001"))]), LATER)
    assert codes_of(database) == ["*5001", "*5002"]


def test_two_modules_can_swap_their_destinations(database: Database, library: SoundLibrary) -> None:
    """Between the two changes there is a circle, afterwards there is none."""
    for first, second, now in (("1", "2", NOW), ("2", "1", LATER)):
        modules = [make_module(first, next=to_module(second)), make_module(second)]
        import_settings(database, library, make_file(modules=modules), now)
    assert codes_of(database) == ["1", "2"]


# -- errors -----------------------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]


def module_gets(**values: Any) -> Change:
    return lambda content: content["modules"][0].update(values)


def extension_gets(**values: Any) -> Change:
    return lambda content: content["extensions"][0].update(values)


def queue_gets(**values: Any) -> Change:
    return lambda content: content["queues"][0].update(values)


def prompt_gets(**values: Any) -> Change:
    return lambda content: content["modules"][0]["prompts"].update(values)


HUGE = 10**4000

INVALID: list[tuple[str, Change, list[str]]] = [
    # unknown and missing fields
    ("unknown field", lambda c: c.update(colour="red"), ["colour"]),
    ("unknown field of a module", module_gets(colour="red"), ["modules[0].colour"]),
    ("unknown field of a prompt", prompt_gets(intro={"volume": 3}), ["modules[0].prompts.intro.volume"]),
    ("unknown field of a destination", module_gets(next={"type": "hangup"}), ["modules[0].next.type"]),
    ("no version", lambda c: c.pop("bazang"), ["bazang"]),
    ("another version", lambda c: c.update(bazang=2), ["bazang"]),
    ("no code", lambda c: c["modules"][0].pop("code"), ["modules[0].code"]),
    # wrong types
    ("modules are no list", lambda c: c.update(modules={}), ["modules"]),
    ("a number for a text", module_gets(name=5), ["modules[0].name"]),
    ("a fraction for a number", module_gets(rest=1.5), ["modules[0].rest"]),
    ("truth for a number", module_gets(rest=True), ["modules[0].rest"]),
    ("null", module_gets(language=None), ["modules[0].language"]),
    ("one target and no list", module_gets(targets="101"), ["modules[0].targets"]),
    # too large or too long
    ("a huge number", module_gets(rest=HUGE), ["modules[0].rest"]),
    ("a hugely negative number", queue_gets(wrapup=-HUGE), ["queues[0].wrapup"]),
    ("no number at all", extension_gets(ring=float("nan")), ["extensions[0].ring"]),
    ("more than an integer of the database", module_gets(min_wait=2**31), ["modules[0].min_wait"]),
    ("a long name", module_gets(name="x" * 81), ["modules[0].name"]),
    ("a long code", module_gets(code="1" * 21), ["modules[0].code"]),
    ("a long kind", module_gets(target_kind="x" * 17), ["modules[0].target_kind"]),
    ("a long kind of a destination", module_gets(next={"kind": "x" * 17}), ["modules[0].next.kind"]),
    ("a long language", module_gets(language="x" * 9), ["modules[0].language"]),
    ("a long caller id", module_gets(caller_id="1" * 33), ["modules[0].caller_id"]),
    ("a long mode", prompt_gets(intro={"mode": "x" * 9}), ["modules[0].prompts.intro.mode"]),
    ("a long file", prompt_gets(intro={"file": "x" * 201}), ["modules[0].prompts.intro.file"]),
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
    # refused by the services
    ("an empty name", module_gets(name=" "), ["modules[0].name"]),
    ("no such kind of destination", module_gets(error={"kind": "mail"}), ["modules[0].error.kind"]),
    ("no such module", module_gets(next=to_module("*5999")), ["modules[0].next.code"]),
    ("no such prompt", prompt_gets(goodbye={"text": "Bye"}), ["modules[0].prompts.goodbye"]),
    (
        "a missing recording",
        prompt_gets(intro={"mode": "file", "file": MISSING_FILE}),
        ["modules[0].prompts.intro.file"],
    ),
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
    ("an extension to no module", extension_gets(busy=to_module("*5999")), ["extensions[0].busy.code"]),
    ("a queue that is none", queue_gets(queue="a|b"), ["queues[0].queue"]),
    ("a queue to no module", queue_gets(failed=to_module("*5999")), ["queues[0].failed.code"]),
]  # fmt: skip


def test_error_names_its_place_and_changes_no_table(
    database: Database, library: SoundLibrary, subtests: pytest.Subtests
) -> None:
    valid = make_file(
        modules=[make_module(prompts={"is": {"mode": "none"}}), make_module("*5002")],
        extensions=[{"extension": "101", "busy": to_module("*5002")}],
        queues=[{"queue": "800", "failed": to_module("*5001")}],
    )
    save_module(database, make_module_input(code="*5002", name="Here before"), NOW)
    for name, change, places in INVALID:
        with subtests.test(name), unchanged(database):
            content = copy.deepcopy(valid)
            change(content)
            errors = errors_of(database, library, content)
            # More errors can follow, such as for the references to a module without a code.
            assert [line.partition(": ")[0] for line in errors][: len(places)] == places
            assert all(line.partition(": ")[2] for line in errors)
    assert import_settings(database, library, valid, LATER) == 4


@contextmanager
def unchanged(database: Database) -> Iterator[None]:
    """Check that no row of any table changes."""
    before = _all_rows(database)
    yield
    assert _all_rows(database) == before


def _all_rows(database: Database) -> dict[str, list[Any]]:
    with database.read() as session:
        tables = Base.metadata.sorted_tables
        return {table.name: [tuple(row) for row in session.execute(select(table))] for table in tables}


@pytest.mark.parametrize("content", [None, [], "bazang", 5, True, {}, {"modules": []}, [{"bazang": 1}]])
def test_other_json_is_refused(database: Database, library: SoundLibrary, content: Any) -> None:
    assert errors_of(database, library, content)


def test_duplicates_are_refused(database: Database, library: SoundLibrary) -> None:
    content = make_file(
        modules=[make_module("1"), make_module("2"), make_module("1", name="Another")],
        extensions=[{"extension": "101"}, {"extension": "101", "ring": 30}],
        queues=[{"queue": "800"}, {"queue": "801"}, {"queue": "801"}],
    )
    assert errors_of(database, library, content) == [
        "modules[2].code: '1' is there twice",
        "extensions[1].extension: '101' is there twice",
        "queues[2].queue: '801' is there twice",
    ]


def test_all_errors_are_returned_at_once(database: Database, library: SoundLibrary) -> None:
    lost = {"mode": "file", "file": MISSING_FILE}
    content = make_file(
        modules=[make_module("1", rest=5000), make_module("2", next=to_module("9"), prompts={"intro": lost})],
        extensions=[{"extension": "101"}, {"extension": "102", "ring": 1}],
        queues=[{"queue": "800", "max_wait": 1}],
    )
    assert errors_of(database, library, content) == [
        "modules[0].rest: is too small or too large",
        "modules[1].next.code: is not the code of a module",
        f"modules[1].prompts.intro.file: '{MISSING_FILE}' is not in the folder of the prompts: copy it there first",
        "extensions[1].ring: is too small or too large",
        "queues[0].max_wait: is too small or too large",
    ]


def test_modules_of_the_file_cannot_lead_in_a_circle(database: Database, library: SoundLibrary) -> None:
    circle = [
        make_module("1", next=to_module("2")),
        make_module("2", error=to_module("3")),
        make_module("3", next=to_module("1")),
    ]
    errors = errors_of(database, library, make_file(modules=circle))
    assert [line.partition(": ")[0] for line in errors] == [
        "modules[0].next.code",
        "modules[1].error.code",
        "modules[2].next.code",
    ]


def test_circle_with_an_existing_module_is_refused(database: Database, library: SoundLibrary) -> None:
    save_module(database, make_module_input(code="1"), NOW)
    save_module(database, make_module_input(code="2", next=Destination("module", "1")), NOW)
    errors = errors_of(database, library, make_file(modules=[make_module("1", error=to_module("2"))]))
    assert errors == ["modules[0].error.code: leads back to where it comes from"]


def test_every_error_code_has_words(database: Database, library: SoundLibrary) -> None:
    content = make_file(
        modules=[
            make_module("a", name="\n", language="x", caller_id="x", targets=[], rest=9999, next={"kind": "custom"}),
            make_module("2", target_kind="queue", targets=["a", "b"], next={"kind": "custom", "code": "x"}),
            make_module(
                "3", target_kind="x", next=to_module("3"), error=to_module("9"), prompts={"intro": {"mode": "x"}}
            ),
        ]
    )
    errors = errors_of(database, library, content)
    assert len(errors) == 13
    assert all(" " in line.partition(": ")[2] for line in errors)


def test_pronunciations_are_added_to_those_of_the_other_office(
    database: Database, other_office: Database, library: SoundLibrary
) -> None:
    voice.save(database, "fa", Speech(pronunciations="قم = قُم\nبازنگ = بازَنگ"), NOW)
    voice.save(other_office, "fa", Speech(pronunciations="قم = قُمم\nکرمان = کِرمان"), NOW)
    content = json.loads(json.dumps(export_settings(database)))
    import_settings(other_office, library, content, NOW)
    with other_office.read() as session:
        stored = store_settings.speech(session, "fa").pronunciations
    assert stored == "قم = قُم\nکرمان = کِرمان\nبازنگ = بازَنگ"
    for language, word, message in (
        ("fa", "a\nb = c", "'a b = c = ب': form"),
        ("de", "x", "is not one of the possible values"),
    ):
        content["pronunciations"] = {language: [{"word": word, "written_as": "ب"}]}
        with pytest.raises(BadFile, match=re.escape(message)):
            import_settings(other_office, library, content, NOW)
    with other_office.read() as session:
        assert store_settings.speech(session, "fa").pronunciations == stored

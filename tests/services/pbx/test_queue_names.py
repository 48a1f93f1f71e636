"""The names of queues as extensions: two that Asterisk takes for the same one."""

from pathlib import Path

import pytest

from app.audio.library import SoundLibrary
from app.domain.routing import Destination
from app.services.errors import ErrorCode, Invalid
from app.services.modules.save import save_module
from app.services.modules.transfer import BadFile, export_settings, import_settings
from app.services.pbx import queue_names
from app.services.pbx.lists import find_queue, list_queues
from app.services.pbx.queue_names import Clash
from app.services.pbx.scenarios import QueueInput, save_scenario
from app.store.database import Database
from app.store.models import QueueScenario
from tests.support.factories import NOW, create_module, make_module_input, store


def clashes(database: Database) -> list[Clash]:
    with database.read() as session:
        return queue_names.find_clashes(session)


def extension_of(database: Database, queue: str) -> str:
    with database.read() as session:
        return queue_names.extension_of(session, queue)


def test_second_name_of_an_extension_is_refused_wherever_it_comes_from(database: Database) -> None:
    save_scenario(database, QueueInput("a-b"), now=NOW)
    with pytest.raises(Invalid) as refused:
        save_scenario(database, QueueInput("ab"), now=NOW)
    assert refused.value.errors == {"queue": ErrorCode.SAME_EXTENSION}
    with pytest.raises(Invalid) as refused:
        save_module(database, make_module_input(next=Destination("queue", "ab-")), NOW)
    assert refused.value.errors == {"next_code": ErrorCode.SAME_EXTENSION}
    save_scenario(database, QueueInput("a-b", 90), now=NOW)
    save_module(database, make_module_input(next=Destination("queue", "a-b")), NOW)


def test_queue_of_a_destination_counts_as_well(database: Database) -> None:
    create_module(database, next_kind="queue", next_code="a-b")
    with pytest.raises(Invalid):
        save_scenario(database, QueueInput("ab"), now=NOW)


def test_import_with_both_names_is_refused(database: Database, tmp_path: Path) -> None:
    save_scenario(database, QueueInput("a-b"), now=NOW)
    save_module(database, make_module_input(), NOW)
    content = export_settings(database)
    (scenario,), (module,) = content["queues"], content["modules"]
    for change in (
        {"queues": [scenario | {"queue": "ab"}]},
        {"modules": [module | {"next": {"kind": "queue", "code": "ab"}}]},
    ):
        with pytest.raises(BadFile, match="ignores dashes"):
            import_settings(database, SoundLibrary(tmp_path), content | change, NOW)
    import_settings(database, SoundLibrary(tmp_path), content, NOW)


def test_names_from_an_older_version_keep_what_they_have(database: Database) -> None:
    """Today the first one has the extension, and calls for the other one get to it."""
    for queue in ("ab", "a-b", "h", "800"):
        store(database, QueueScenario(queue=queue))
    (clash,) = clashes(database)
    assert clash == Clash("ab", "a-b", extension_of(database, "ab"))
    assert extension_of(database, "a-b") == "a-b" and clash.extension.startswith("queue-")
    save_scenario(database, QueueInput("ab", 90), now=NOW)
    with database.read() as session:
        assert find_queue(session, "ab").clash == clash
        assert [row.name for row in list_queues(session) if row.clash] == ["ab"]


def test_new_queue_has_its_own_extension(database: Database) -> None:
    assert (extension_of(database, "800"), clashes(database)) == ("800", [])
    assert extension_of(database, "h").startswith("queue-")

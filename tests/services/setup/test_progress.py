"""The steps of the setup."""

import pytest

from app.services.setup import progress
from app.services.setup.progress import SetupStep
from app.store import settings as store
from app.store.database import Database


def current(database: Database) -> SetupStep | None:
    with database.read() as session:
        return progress.current_step(store.read_all(session))


@pytest.fixture
def started(database: Database) -> None:
    with database.write() as session:
        progress.start(session)


def test_without_a_start_there_is_no_step(database: Database) -> None:
    assert current(database) is None
    progress.complete(database, SetupStep.OFFICE)
    assert current(database) is None


@pytest.mark.usefixtures("started")
def test_steps_are_completed_until_the_setup_is_finished(database: Database) -> None:
    assert current(database) is SetupStep.OFFICE
    progress.complete(database, SetupStep.OFFICE)
    assert current(database) is SetupStep.PBX
    progress.complete(database, SetupStep.OFFICE)
    assert current(database) is SetupStep.PBX, "an earlier step changes nothing"
    progress.complete(database, SetupStep.MODULE)
    assert current(database) is SetupStep.CALL, "a later step skips those before it"
    progress.complete(database, SetupStep.CALL)
    assert current(database) is SetupStep.CALL
    progress.finish(database)
    assert current(database) is None

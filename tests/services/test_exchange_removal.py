"""What the removal of an exchange deletes, and when it is refused."""

import threading

import pytest
from flask import Flask
from sqlalchemy import inspect, select
from sqlalchemy.exc import ProgrammingError

from app.services import exchanges
from app.services.errors import ErrorCode, Invalid
from app.services.exchanges import InUse, WorkerRuns
from app.store.database import Database
from app.store.exchanges import Exchanges, UnknownExchange, schema_of
from app.store.models import Module
from app.worker.lease import Lease
from script.office.patience import PATIENCE
from tests.support.exchanges import NORTH, add_exchange, app, registry
from tests.support.factories import NOW, create_module

__all__ = ["app", "registry"]


@pytest.fixture
def north(app: Flask, registry: Exchanges) -> Database:
    """The second exchange. It and the first one have a module, and each a sound."""
    found = add_exchange(app)
    for code, database in (("main", registry.first), (NORTH, found)):
        create_module(database, name=code)
        sound = app.extensions["bazang"]["settings"].for_exchange(code).prompts_path / "uploads" / "a.wav"
        sound.parent.mkdir(parents=True)
        sound.write_bytes(b"sound")
    return found


def remove(app: Flask, code: str = NORTH, typed: str = NORTH) -> None:
    context = app.extensions["bazang"]
    exchanges.remove(context["exchanges"], context["settings"], code, typed, NOW, actor="sara")


def is_there(registry: Exchanges, code: str = NORTH) -> bool:
    with registry.first.engine.connect() as connection:
        return schema_of(code) in inspect(connection).get_schema_names()


def sounds(app: Flask) -> list[str]:
    folder = app.extensions["bazang"]["settings"].prompts_path
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.wav"))


def test_what_is_removed_is_gone_and_the_others_stay(app: Flask, registry: Exchanges, north: Database) -> None:
    south = add_exchange(app, "south", "South branch")
    create_module(south, name="south")
    remove(app)
    assert not is_there(registry) and is_there(registry, "south")
    assert [row.code for row in exchanges.list_exchanges(registry.first)] == ["main", "south"]
    assert sounds(app) == ["uploads/a.wav"]
    for database, name in ((registry.first, "main"), (south, "south")):
        with database.read() as session:
            assert session.scalars(select(Module.name)).all() == [name]
    with pytest.raises(UnknownExchange):
        registry.find(NORTH)


def test_a_connection_that_was_open_never_reads_the_first_exchange(
    app: Flask, registry: Exchanges, north: Database
) -> None:
    """As in another process of the panel, which does not know of the removal."""
    with north.read() as session:
        assert session.scalars(select(Module.name)).all() == [NORTH]
    registry._opened.clear()  # so that the removal does not close the connections
    remove(app)
    with pytest.raises(ProgrammingError, match="exchange_north"), north.read() as session:
        session.scalars(select(Module.name)).all()
    with pytest.raises(ProgrammingError, match="exchange_north"), north.write() as session:
        session.add(Module())
    north.engine.dispose()


def test_the_first_one_and_one_that_is_not_there_are_refused(app: Flask, north: Database) -> None:
    for code in ("main", "south", "public"):
        with pytest.raises(UnknownExchange):
            remove(app, code, code)
    for typed, error in (("", ErrorCode.REQUIRED), ("main", ErrorCode.CODE_DIFFERS)):
        with pytest.raises(Invalid) as caught:
            remove(app, NORTH, typed)
        assert caught.value.errors == {"code": error}
    with north.read() as session:
        assert session.scalars(select(Module.name)).all() == [NORTH]


def test_it_is_refused_while_its_worker_leads_or_stands_by(app: Flask, registry: Exchanges, north: Database) -> None:
    leader, standby = Lease(north), Lease(north)
    leader.acquire()
    with pytest.raises(Exception, match="another worker"):
        standby.acquire()
    with pytest.raises(WorkerRuns):
        remove(app)
    leader.release()
    with pytest.raises(WorkerRuns):
        remove(app)
    assert is_there(registry) and len(sounds(app)) == 2
    standby.release()
    other = Lease(registry.first)
    other.acquire()  # that of another exchange does not matter
    try:
        remove(app)
    finally:
        other.release()
    assert not is_there(registry)


def test_it_waits_for_who_uses_it_but_not_for_ever(
    app: Flask, registry: Exchanges, north: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with north.read() as session:
        session.scalars(select(Module)).all()
        monkeypatch.setattr(exchanges, "LOCK_TIMEOUT", "200ms")
        with pytest.raises(InUse):
            remove(app)
        assert is_there(registry) and len(sounds(app)) == 2
        monkeypatch.undo()
        removal = threading.Thread(target=remove, args=(app,))
        removal.start()
        session.scalars(select(Module)).all()
    removal.join(PATIENCE)
    assert not removal.is_alive() and not is_there(registry)

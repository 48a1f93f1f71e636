"""What people do with requests: once or not at all, and whoever was slower is told who was quicker."""

import threading
from datetime import datetime, timedelta

import pytest

from app.domain.lifecycle import Outcome, Status, Step
from app.services import commands
from app.services.errors import Invalid, NotFound
from app.services.requests import perform
from app.services.requests.access import Scope
from app.services.requests.actions import (
    Action,
    ActionResult,
    CallNow,
    Cancel,
    HistoryEvent,
    MarkDone,
    Note,
    Postpone,
    Prioritise,
    Reassign,
    ShownRequest,
)
from app.services.requests.attempts import end
from app.services.requests.perform import execute, wait_for_results
from app.services.requests.perform import perform as act
from app.services.requests.targets import targets
from app.store.database import Database
from app.store.models import CallRequest, Module
from tests.services.scene import HOUR, OTHER_SUPERVISOR, SUPERVISOR
from tests.support.factories import (
    NOW,
    at_once,
    create_attempt,
    create_line,
    create_module,
    create_queue,
    create_request,
    history_of,
    log_of,
    reload,
)


def request_of(database: Database, **kwargs: object) -> CallRequest:
    module = create_module(database, targets=["101", "102"])
    return create_request(database, module, **({"target": "101"} | kwargs))


def dialling(database: Database) -> CallRequest:
    row = request_of(database, status="dialling", attempt="a1", step=Step.CLAIMED.value)
    create_attempt(database, row, id="a1")
    return row


def module_of(database: Database, row: CallRequest) -> Module:
    with database.read() as session:
        return session.get_one(Module, row.module_id)


def do(database: Database, row: CallRequest, action: Action, scope: Scope = SUPERVISOR) -> ActionResult:
    (result,) = act(database, scope, action, [ShownRequest(row.id, row.version)], NOW)
    return result


# Each act


def test_a_request_is_postponed(database: Database) -> None:
    row = request_of(database)
    result = do(database, row, Postpone(NOW + HOUR))
    now = reload(database, row)
    assert (result.code, result.version, now.postponed_until) == ("done", now.version, NOW + HOUR)
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.actor, entry.detail) == ("postponed", "sara", (NOW + HOUR).isoformat())
    assert entry.version == now.version
    (logged,) = log_of(database)
    assert (logged.actor, logged.action, logged.at) == ("sara", "request_postponed", NOW)
    assert logged.subject == f"#{row.id} 09121234567"
    assert logged.detail == {"postponed_until": ["", (NOW + HOUR).isoformat()]}


def test_the_history_has_the_old_and_the_new_value(database: Database) -> None:
    row = request_of(database, postponed_until=NOW + HOUR)
    do(database, row, Postpone(NOW + 2 * HOUR))
    do(database, reload(database, row), Prioritise(-1))
    do(database, reload(database, row), Reassign(False, "102"))
    assert [entry.detail for entry in history_of(database, row.id)] == [
        f"{(NOW + HOUR).isoformat()} → {(NOW + 2 * HOUR).isoformat()}",
        "0 → -1",
        "101 → 102",
    ]


def test_a_request_is_given_to_a_queue(database: Database) -> None:
    create_queue(database, "support")
    row = request_of(database, free_at=NOW)
    assert do(database, row, Reassign(True, "support")).code == "done"
    now = reload(database, row)
    assert (now.queue, now.target, now.free_at) == (True, "support", None)
    assert log_of(database)[0].detail == {"target": ["101", "queue:support"]}


@pytest.mark.parametrize(
    "to", [Reassign(False, "999"), Reassign(True, "101"), Reassign(True, ""), Reassign(False, "x")]
)
def test_a_request_is_given_to_nobody_who_is_not_there(database: Database, to: Reassign) -> None:
    row = request_of(database)
    assert do(database, row, to).code == "unknown_target"
    assert (reload(database, row).version, log_of(database)) == (row.version, [])


def test_a_request_is_given_to_any_extension_of_its_module(database: Database) -> None:
    assert do(database, request_of(database), Reassign(False, "")).code == "done"


def test_a_queues_request_has_no_extensions_to_be_given_to(database: Database) -> None:
    module = create_module(database, target_kind="queue", targets=["support"])
    row = create_request(database, module, queue=True, target="support")
    assert do(database, row, Reassign(False, "")).code == "unknown_target"


def test_a_twin_is_told_and_both_stay(database: Database) -> None:
    row = request_of(database)
    twin = create_request(database, module_of(database, row), target="102")
    result = do(database, row, Reassign(False, "102"))
    assert (result.code, result.twin) == ("twin", twin.id)
    assert reload(database, row).target == "101"


def test_a_twin_that_has_ended_is_none(database: Database) -> None:
    row = request_of(database)
    create_request(database, module_of(database, row), target="102", status="done")
    assert do(database, row, Reassign(False, "102")).code == "done"


def test_a_request_is_marked_done_with_a_note(database: Database) -> None:
    row = request_of(database)
    assert do(database, row, MarkDone("  settled by mail\nall is well ")).code == "done"
    now = reload(database, row)
    assert (now.status, now.note, now.done_by) == ("done", "settled by mail\nall is well", "sara")
    assert (now.done_at, now.reached_at) == (NOW, NOW)
    assert log_of(database)[0].detail == {"note": ["", "settled by mail\nall is well"]}


def test_marked_done_without_a_note_it_keeps_the_one_it_has(database: Database) -> None:
    row = request_of(database, note="call in the morning")
    do(database, row, MarkDone())
    assert reload(database, row).note == "call in the morning"


@pytest.mark.parametrize("status", list(Status))
def test_a_note_is_kept_in_every_status_and_changes_none(database: Database, status: Status) -> None:
    row = request_of(database, status=status.value)
    assert do(database, row, Note("asked for a discount")).code == "done"
    now = reload(database, row)
    assert (now.status, now.note) == (status.value, "asked for a discount")
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.old_status, entry.new_status) == ("noted", status.value, status.value)
    assert entry.version == now.version
    assert do(database, now, Note("asked for a discount")).code == "same"


def test_a_cancelled_request_says_who_did_it(database: Database) -> None:
    row = request_of(database)
    assert do(database, row, Cancel()).code == "done"
    assert (reload(database, row).status, reload(database, row).done_by) == ("cancelled", "sara")


@pytest.mark.parametrize("action", [Postpone(NOW + HOUR), Prioritise(1), Reassign(False, "102")])
def test_what_is_so_already_is_said_to_be_so(database: Database, action: Action) -> None:
    row = request_of(database)
    assert do(database, row, action).code == "done"
    assert do(database, reload(database, row), action).code == "same"
    assert len(history_of(database, row.id)) == len(log_of(database)) == 1


@pytest.mark.parametrize(
    ("action", "errors"),
    [
        (Postpone(NOW), {"until": "past"}),
        (Postpone(NOW + timedelta(days=91)), {"until": "range"}),
        (Prioritise(2), {"priority": "range"}),
        (MarkDone("x" * 2001), {"note": "too_long"}),
        (Note("  "), {"note": "required"}),
        (Note("turned \u202e round"), {"note": "characters"}),
        (MarkDone("nul \x00"), {"note": "characters"}),
        (CallNow("101&PJSIP/999"), {"agent": "code"}),
    ],
)
def test_nonsense_is_refused_before_anything_is_done(
    database: Database, action: Action, errors: dict[str, str]
) -> None:
    row = request_of(database)
    with pytest.raises(Invalid) as refused:
        do(database, row, action)
    assert refused.value.errors == errors
    assert reload(database, row).version == row.version


@pytest.mark.parametrize("status", [Status.DONE, Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.CONNECTED])
@pytest.mark.parametrize(
    "action",
    [Postpone(NOW + HOUR), Reassign(False, "102"), Cancel(), MarkDone(), CallNow()],
    ids=lambda a: type(a).__name__,
)
def test_what_a_status_does_not_allow_is_not_done(database: Database, status: Status, action: Action) -> None:
    row = request_of(database, status=status.value)
    result = do(database, row, action)
    assert (result.code, result.status) == (f"is_{status.value}", status)
    assert (reload(database, row).version, log_of(database)) == (row.version, [])


# Two people


@pytest.mark.parametrize(
    "action",
    [Postpone(NOW + HOUR), Reassign(False, "102"), Prioritise(1), Cancel(), MarkDone(), Note("x"), CallNow()],
    ids=lambda action: type(action).__name__,
)
def test_whoever_was_slower_is_told_who_did_what(database: Database, action: Action) -> None:
    row = request_of(database)
    (first,) = act(database, OTHER_SUPERVISOR, Postpone(NOW + 2 * HOUR), [ShownRequest(row.id, row.version)], NOW)
    second = do(database, row, action)
    assert first.code == "done"
    assert second.code == "changed"
    assert second.by == HistoryEvent("maryam", "postponed", (NOW + 2 * HOUR).isoformat(), NOW)
    assert [entry.actor for entry in history_of(database, row.id)] == ["maryam"]
    again = act(
        database, SUPERVISOR, action, [ShownRequest(row.id, second.version or 0)], NOW
    )  # knowing of it, they may
    assert again[0].code in ("done", "asked")


def test_of_an_ended_request_is_told_who_ended_it(database: Database) -> None:
    row = request_of(database)
    do(database, row, MarkDone("by mail"), OTHER_SUPERVISOR)
    late = do(database, row, Cancel())
    assert (late.code, late.status, late.by and late.by.actor) == ("changed", Status.DONE, "maryam")


def test_what_the_exchange_does_meanwhile_is_no_reason_to_refuse(database: Database) -> None:
    row = dialling(database)
    end(database, "a1", Outcome.AGENT_NO_ANSWER, NOW)
    assert reload(database, row).version > row.version
    assert do(database, row, Postpone(NOW + HOUR)).code == "done"


def test_what_the_exchange_has_ended_is_told_as_well(database: Database) -> None:
    row = dialling(database)
    end(database, "a1", Outcome.CONNECTED, NOW)
    result = do(database, row, Cancel())
    assert result.code == "is_done"
    assert result.by == HistoryEvent("", "ended", "connected", NOW)
    assert reload(database, row).done_by == "101"


def test_of_many_at_once_one_does_it(database: Database) -> None:
    row = request_of(database)
    scopes = [Scope(f"hand {n}", everything=True) for n in range(8)]
    results = at_once([lambda scope=scope: do(database, row, Cancel(), scope) for scope in scopes])
    assert sorted(result.code for result in results) == ["changed"] * 7 + ["done"]
    (winner,) = [scope.name for scope, result in zip(scopes, results, strict=True) if result.code == "done"]
    assert {result.by.actor for result in results if result.by} == {winner}
    assert len(history_of(database, row.id)) == len(log_of(database)) == 1


def test_of_many_who_give_several_to_one_no_two_are_twins(database: Database) -> None:
    module = create_module(database, targets=[str(n) for n in range(101, 108)])
    rows = [create_request(database, module, target=str(n)) for n in range(101, 107)]
    results = at_once([lambda row=row: do(database, row, Reassign(False, "107")) for row in rows])
    assert sorted(result.code for result in results) == ["done"] + ["twin"] * 5
    (moved,) = [result.id for result in results if result.code == "done"]
    assert {result.twin for result in results} == {None, moved}


# Several rows


def test_several_rows_are_answered_one_by_one(database: Database) -> None:
    first, second = request_of(database), request_of(database)
    over = request_of(database, status="done")
    do(database, second, Prioritise(1), OTHER_SUPERVISOR)
    seen = [ShownRequest(over.id, 1), ShownRequest(second.id, 1), ShownRequest(4711, 1), ShownRequest(first.id, 1)]
    results = act(database, SUPERVISOR, Cancel(), seen, NOW)
    assert [result.id for result in results] == [row.id for row in seen]
    assert [result.code for result in results] == ["is_done", "changed", "not_found", "done"]
    assert [result.ok for result in results] == [False, False, False, True]


def test_a_row_that_is_named_twice_is_done_once(database: Database) -> None:
    row = request_of(database)
    results = act(database, SUPERVISOR, Cancel(), [ShownRequest(row.id, 1), ShownRequest(row.id, 1)], NOW)
    assert [result.code for result in results] == ["done", "done"]
    assert len(history_of(database, row.id)) == 1


def test_two_of_several_rows_are_not_made_twins(database: Database) -> None:
    module = create_module(database, targets=["101", "102", "103"])
    rows = [create_request(database, module, target=target) for target in ("101", "102")]
    seen = [ShownRequest(row.id, row.version) for row in rows]
    assert [r.code for r in act(database, SUPERVISOR, Reassign(False, "103"), seen, NOW)] == ["done", "twin"]


# What the telephone service does


def carried(database: Database, at: datetime = NOW) -> list[perform.CommandOutcome]:
    """Do what was asked, as the telephone service does."""
    done = []
    for command in commands.open_commands(database, at):
        done.append(execute(database, command.kind, command.payload, command.actor, at))
        commands.answer(database, command.id, ok=done[-1].ok, result=done[-1].answer, now=at)
    return done


@pytest.mark.parametrize(("action", "status"), [(Cancel(), "cancelled"), (MarkDone("by mail"), "done")])
def test_what_rings_is_ended_by_the_telephone_service(database: Database, action: Action, status: str) -> None:
    row = dialling(database)
    asked = do(database, row, action)
    assert (asked.code, reload(database, row).status) == ("asked", "dialling")
    assert carried(database) == [perform.CommandOutcome(True, "done", hang_up="a1")]
    (settled,) = wait_for_results(database, [asked], seconds=0)
    assert (settled.code, settled.status) == ("done", Status(status))
    now = reload(database, row)
    assert (now.status, now.done_by) == (status, "sara")
    assert now.note == ("by mail" if status == "done" else "")
    assert [entry.actor for entry in log_of(database)] == ["sara"]


def test_a_call_is_asked_of_the_telephone_service(database: Database) -> None:
    row = request_of(database)
    asked = do(database, row, CallNow("101"))
    assert asked.code == "asked"
    assert carried(database) == [perform.CommandOutcome(True, "done")]
    now = reload(database, row)
    assert (now.call_now, now.call_now_agent) == (True, "101")
    assert log_of(database)[0].detail == {"agent": ["", "101"]}
    assert wait_for_results(database, [asked], seconds=0)[0].ok


def test_without_the_telephone_service_it_is_said_that_nobody_answers(database: Database) -> None:
    row = request_of(database)
    asked = do(database, row, CallNow())
    assert wait_for_results(database, [asked], seconds=0)[0].code == "no_answer"
    assert carried(database, NOW + HOUR) == []  # nor is it done when nobody expects it any more
    assert wait_for_results(database, [asked], seconds=0)[0].code == "expired"
    assert reload(database, row).call_now is False


def test_a_second_click_is_answered_and_not_done(database: Database) -> None:
    row = request_of(database)
    clicks = [do(database, row, CallNow()), do(database, row, CallNow())]
    assert [one.answer for one in carried(database)] == ["done", "changed"]
    assert [result.code for result in wait_for_results(database, clicks, seconds=0)] == ["done", "changed"]
    assert len(history_of(database, row.id)) == 1


def test_between_the_asking_and_the_doing_another_may_be_quicker(database: Database) -> None:
    row = request_of(database)
    asked = do(database, row, CallNow())
    do(database, row, Postpone(NOW + HOUR), OTHER_SUPERVISOR)
    carried(database)
    (settled,) = wait_for_results(database, [asked], seconds=0)
    assert (settled.code, settled.by and settled.by.actor) == ("changed", "maryam")
    assert reload(database, row).call_now is False


def test_the_exchange_may_be_quicker_too(database: Database) -> None:
    row = request_of(database)
    asked = do(database, row, CallNow())
    with database.write() as session:
        session.get_one(CallRequest, row.id).status = "connected"
    assert carried(database) == [perform.CommandOutcome(False, "is_connected")]
    assert wait_for_results(database, [asked], seconds=0)[0].code == "is_connected"


def test_a_request_that_is_deleted_meanwhile_is_not_found(database: Database) -> None:
    row = request_of(database)
    asked = do(database, row, CallNow())
    (command,) = commands.open_commands(database, NOW)
    with database.write() as session:
        session.delete(session.get_one(CallRequest, row.id))
    with pytest.raises(NotFound):
        execute(database, command.kind, command.payload, "sara", NOW)
    commands.answer(database, command.id, ok=False, result="not_found", now=NOW)
    assert wait_for_results(database, [asked], seconds=0)[0].code == "not_found"


def test_several_answers_are_waited_for_together(database: Database) -> None:
    asked = [do(database, request_of(database), CallNow()) for _ in range(3)]
    waiting = threading.Thread(target=lambda: carried(database))
    waiting.start()
    assert {result.code for result in wait_for_results(database, asked, seconds=20)} == {"done"}
    waiting.join()


def test_a_command_without_sense_is_refused(database: Database) -> None:
    with pytest.raises(KeyError):
        execute(database, "sing", {"request": 1}, "sara", NOW)
    with pytest.raises(KeyError):
        execute(database, commands.CANCEL, {}, "sara", NOW)


# To whom a request may be given


def test_it_is_offered_to_whom_the_exchange_and_the_modules_know(database: Database) -> None:
    create_module(database, targets=["101"])
    create_module(database, target_kind="queue", targets=["sales"])
    create_line(database, "1010", name="Sara")
    create_line(database, "102", name="Omid")
    create_queue(database, "support")
    found = targets(database)
    assert found.extensions == (("101", ""), ("102", "Omid"), ("1010", "Sara"))
    assert found.queues == ("sales", "support")

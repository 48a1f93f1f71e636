"""Actions on requests: performed once, and refused with the change that came first."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from app.domain.lifecycle import Outcome, Status, Step
from app.domain.number_policy import Rule
from app.services import commands
from app.services.errors import Invalid, NotFound
from app.services.requests.access import Scope
from app.services.requests.actions import (
    Action,
    CallNow,
    Cancel,
    MarkDone,
    Postpone,
    Prioritise,
    Reassign,
    Reopen,
    ShownRequest,
    WithdrawCallNow,
    WriteNote,
)
from app.services.requests.attempts import end
from app.services.requests.command_results import wait_for_results
from app.services.requests.perform import CommandOutcome, execute, perform
from app.services.requests.results import ActionResult, ResultCode
from app.services.requests.targets import format_target, load_targets, parse_target
from app.store.database import Database
from app.store.models import CallRequest, ListedNumber, Module
from tests.services.scene import HOUR, OPERATOR, OTHER_SUPERVISOR, SUPERVISOR
from tests.support.factories import (
    NOW,
    create_attempt,
    create_line,
    create_module,
    create_queue,
    create_request,
    create_running_service,
    history_of,
    log_of,
    reload,
    run_at_once,
    store,
)


def request_of(database: Database, **kwargs: Any) -> CallRequest:
    module = create_module(database, targets=["101", "102"])
    return create_request(database, module, **({"target": "101"} | kwargs))


def dialling(database: Database) -> CallRequest:
    row = request_of(database, status="dialling", attempt="a1", step=Step.CLAIMED.value)
    create_attempt(database, row, id="a1")
    return row


def block(database: Database, number: str) -> None:
    store(database, ListedNumber(kind="block", first=number, created_at=NOW))


def module_of(database: Database, row: CallRequest) -> Module:
    with database.read() as session:
        return session.get_one(Module, row.module_id)


def act(database: Database, row: CallRequest, action: Action, scope: Scope = SUPERVISOR) -> ActionResult:
    """Perform an action on a request in the version of `row`."""
    (result,) = perform(database, scope, action, [ShownRequest(row.id, row.version)], NOW)
    return result


def act_on_all(database: Database, rows: list[CallRequest], action: Action) -> list[str]:
    shown = [ShownRequest(row.id, row.version) for row in rows]
    return [result.code for result in perform(database, SUPERVISOR, action, shown, NOW)]


# -- each action ------------------------------------------------------------------------------------------------------


def test_a_request_is_postponed(database: Database) -> None:
    row = request_of(database)
    result = act(database, row, Postpone(NOW + HOUR))
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
    for action in (Postpone(NOW + 2 * HOUR), Prioritise(-1), Reassign(False, "102")):
        act(database, reload(database, row), action)
    assert [entry.detail for entry in history_of(database, row.id)] == [
        f"{(NOW + HOUR).isoformat()} → {(NOW + 2 * HOUR).isoformat()}",
        "0 → -1",
        "101 → 102",
    ]


def test_a_request_is_reassigned_to_a_queue(database: Database) -> None:
    create_queue(database, "support")
    row = request_of(database, free_at=NOW)
    assert act(database, row, Reassign(True, "support")).code == "done"
    now = reload(database, row)
    assert (now.queue, now.target, now.free_at) == (True, "support", None)
    assert log_of(database)[0].detail == {"target": ["101", "queue:support"]}


@pytest.mark.parametrize(
    "to", [Reassign(False, "999"), Reassign(True, "101"), Reassign(True, ""), Reassign(False, "x")]
)
def test_a_request_is_not_reassigned_to_an_unknown_target(database: Database, to: Reassign) -> None:
    row = request_of(database)
    assert act(database, row, to).code == "unknown_target"
    assert (reload(database, row).version, log_of(database)) == (row.version, [])


def test_any_extension_is_a_target_for_modules_of_extensions_only(database: Database) -> None:
    assert act(database, request_of(database), Reassign(False, "")).code == "done"
    module = create_module(database, target_kind="queue", targets=["support"])
    row = create_request(database, module, queue=True, target="support")
    assert act(database, row, Reassign(False, "")).code == "unknown_target"


def test_a_reassignment_that_makes_a_duplicate_is_refused(database: Database) -> None:
    row = request_of(database)
    duplicate = create_request(database, module_of(database, row), target="102")
    result = act(database, row, Reassign(False, "102"))
    assert (result.code, result.duplicate) == ("duplicate", duplicate.id)
    assert reload(database, row).target == "101"


def test_an_ended_request_is_no_duplicate(database: Database) -> None:
    row = request_of(database)
    create_request(database, module_of(database, row), target="102", status="done")
    assert act(database, row, Reassign(False, "102")).code == "done"


def test_a_request_is_marked_done_with_a_note(database: Database) -> None:
    row = request_of(database)
    assert act(database, row, MarkDone("  solved by mail\nall is well ")).code == "done"
    now = reload(database, row)
    assert (now.status, now.note, now.done_by) == ("done", "solved by mail\nall is well", "sara")
    assert (now.done_at, now.reached_at) == (NOW, NOW)
    assert log_of(database)[0].detail == {"note": ["", "solved by mail\nall is well"]}


def test_an_empty_note_leaves_the_old_one(database: Database) -> None:
    row = request_of(database, note="call in the morning")
    act(database, row, MarkDone())
    assert reload(database, row).note == "call in the morning"


@pytest.mark.parametrize("status", list(Status))
def test_a_note_can_be_written_in_every_status(database: Database, status: Status) -> None:
    row = request_of(database, status=status.value)
    assert act(database, row, WriteNote(" asked for a discount ")).code == "done"
    now = reload(database, row)
    assert (now.status, now.note) == (status.value, "asked for a discount")
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.old_status, entry.new_status) == ("noted", status.value, status.value)
    assert (entry.version, entry.detail) == (now.version, "asked for a discount")
    assert act(database, now, WriteNote("asked for a discount")).code == "same"


def test_a_cancelled_request_names_the_user(database: Database) -> None:
    row = request_of(database)
    assert act(database, row, Cancel()).code == "done"
    assert (reload(database, row).status, reload(database, row).done_by) == ("cancelled", "sara")


@pytest.mark.parametrize("action", [Postpone(NOW + HOUR), Prioritise(1), Reassign(False, "102")])
def test_a_repeated_action_changes_nothing(database: Database, action: Action) -> None:
    row = request_of(database)
    assert act(database, row, action).code == "done"
    assert act(database, reload(database, row), action).code == "same"
    assert len(history_of(database, row.id)) == len(log_of(database)) == 1


@pytest.mark.parametrize(
    ("action", "errors"),
    [
        (Postpone(NOW), {"until": "past"}),
        (Postpone(NOW + timedelta(days=91)), {"until": "range"}),
        (Prioritise(2), {"priority": "range"}),
        (MarkDone("x" * 2001), {"note": "too_long"}),
        (WriteNote("  "), {"note": "required"}),
        (WriteNote("turned \u202e round"), {"note": "characters"}),
        (MarkDone("nul \x00"), {"note": "characters"}),
        (CallNow("101&PJSIP/999"), {"agent": "code"}),
    ],
)
def test_an_invalid_action_is_refused(database: Database, action: Action, errors: dict[str, str]) -> None:
    row = request_of(database)
    with pytest.raises(Invalid) as refused:
        act(database, row, action)
    assert refused.value.errors == errors
    assert reload(database, row).version == row.version


@pytest.mark.parametrize("status", [Status.DONE, Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.CONNECTED])
def test_a_status_that_does_not_allow_an_action_is_the_result(database: Database, status: Status) -> None:
    row = request_of(database, status=status.value)
    for action in (Postpone(NOW + HOUR), Reassign(False, "102"), Cancel(), MarkDone(), CallNow()):
        result = act(database, row, action)
        assert (result.code, result.status) == (f"is_{status.value}", status)
    assert (reload(database, row).version, log_of(database)) == (row.version, [])


# -- reopening --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "expired"])
def test_a_request_that_failed_or_expired_waits_again(database: Database, status: str) -> None:
    row = request_of(
        database, status=status, done_at=NOW - HOUR, done_by="101", customer_attempts=3, agent_misses=2, note="angry"
    )
    result = act(database, row, Reopen(), OPERATOR)
    now = reload(database, row)
    assert (result.code, result.version, now.status, now.reopened_at) == ("done", now.version, "waiting", NOW)
    assert (now.customer_attempts, now.agent_misses, now.done_at, now.done_by) == (0, 0, None, "")
    assert (now.note, now.registered_at, now.first_called_at) == ("angry", row.registered_at, row.first_called_at)
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.actor, entry.old_status, entry.new_status) == ("reopened", "omid", status, "waiting")
    (logged,) = log_of(database)
    assert (logged.actor, logged.action, logged.detail) == ("omid", "request_reopened", {})
    assert act(database, now, Reopen()).code == "same"


@pytest.mark.parametrize("status", [Status.DONE, Status.CANCELLED, Status.DIALLING, Status.CONNECTED, Status.UNCERTAIN])
def test_no_other_request_is_reopened(database: Database, status: Status) -> None:
    row = request_of(database, status=status.value)
    create_running_service(database, region="IR")
    block(database, row.number)
    assert act(database, row, Reopen()).code == f"is_{status.value}"
    assert reload(database, row).version == row.version


@pytest.mark.parametrize("deleted", [False, True])
def test_a_request_whose_caller_has_registered_again_is_not_reopened(database: Database, deleted: bool) -> None:
    module = None if deleted else create_module(database)
    first, second = (create_request(database, module, target="101", status="failed") for _ in range(2))
    assert act_on_all(database, [first, second], Reopen()) == ["done", "duplicate"]
    result = act(database, second, Reopen())
    assert (result.code, result.duplicate, result.status) == ("duplicate", first.id, Status.FAILED)


def test_requests_of_one_caller_reopened_at_the_same_time_make_no_duplicates(database: Database) -> None:
    module = create_module(database)
    rows = [create_request(database, module, target="101", status="failed") for _ in range(6)]
    results = run_at_once([partial(act, database, row, Reopen()) for row in rows])
    assert sorted(result.code for result in results) == ["done"] + ["duplicate"] * 5
    (reopened,) = [result.id for result in results if result.code == "done"]
    assert {result.duplicate for result in results} == {None, reopened}


def test_a_number_that_is_refused_meanwhile_is_not_reopened(database: Database) -> None:
    row = request_of(database, number="+442079460000", status="failed")
    assert act(database, row, Reopen()).code == "done", "the office's country is not known yet"
    row = request_of(database, number="+442079460000", status="failed")
    create_running_service(database, region="IR")
    result = act(database, row, Reopen())
    assert (result.code, result.verdict and result.verdict.rule) == ("number_refused", Rule.FOREIGN)
    assert reload(database, row).status == "failed"


def test_a_blocked_number_is_not_reopened(database: Database) -> None:
    row = request_of(database, status="failed")
    create_running_service(database, region="IR")
    block(database, row.number)
    assert act(database, row, Reopen()).code == "blocked"


def test_others_do_not_find_a_request_to_reopen(database: Database) -> None:
    row = request_of(database, status="failed")
    assert act(database, row, Reopen(), Scope("reza", extensions=("102",))).code == "not_found"


# -- several users ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [Postpone(NOW + HOUR), Reassign(False, "102"), Prioritise(1), Cancel(), MarkDone(), WriteNote("x"), CallNow()],
    ids=lambda action: type(action).__name__,
)
def test_an_action_on_an_older_version_is_refused_with_the_change(database: Database, action: Action) -> None:
    row = request_of(database)
    assert act(database, row, Postpone(NOW + 2 * HOUR), OTHER_SUPERVISOR).code == "done"
    second = act(database, row, action)
    assert second.code == "changed" and second.by is not None
    assert (second.by.actor, second.by.kind, second.by.at) == ("maryam", "postponed", NOW)
    assert second.by.new == (NOW + 2 * HOUR).isoformat()
    assert [entry.actor for entry in history_of(database, row.id)] == ["maryam"]
    (again,) = perform(database, SUPERVISOR, action, [ShownRequest(row.id, second.version or 0)], NOW)
    assert again.code in ("done", "sent")


def test_the_result_names_who_ended_the_request(database: Database) -> None:
    row = request_of(database)
    act(database, row, MarkDone("by mail"), OTHER_SUPERVISOR)
    late = act(database, row, Cancel())
    assert (late.code, late.status, late.by and late.by.actor) == ("changed", Status.DONE, "maryam")


def test_a_change_by_the_pbx_is_no_reason_to_refuse(database: Database) -> None:
    row = dialling(database)
    end(database, "a1", Outcome.AGENT_NO_ANSWER, NOW)
    assert reload(database, row).version > row.version
    assert act(database, row, Postpone(NOW + HOUR)).code == "done"


def test_the_result_has_the_event_of_the_pbx_that_ended_the_request(database: Database) -> None:
    row = dialling(database)
    end(database, "a1", Outcome.CONNECTED, NOW)
    result = act(database, row, Cancel())
    assert result.code == "is_done" and result.by is not None
    assert (result.by.actor, result.by.kind, result.by.detail) == ("", "ended", "connected")
    assert reload(database, row).done_by == "101"


def test_of_many_users_at_the_same_time_one_performs_the_action(database: Database) -> None:
    row = request_of(database)
    scopes = [Scope(f"user {n}", everything=True) for n in range(8)]
    results = run_at_once([partial(act, database, row, Cancel(), scope) for scope in scopes])
    assert sorted(result.code for result in results) == ["changed"] * 7 + ["done"]
    (winner,) = [scope.name for scope, result in zip(scopes, results, strict=True) if result.code == "done"]
    assert {result.by.actor for result in results if result.by} == {winner}
    assert len(history_of(database, row.id)) == len(log_of(database)) == 1


def test_reassignments_at_the_same_time_make_no_duplicates(database: Database) -> None:
    module = create_module(database, targets=[str(n) for n in range(101, 108)])
    rows = [create_request(database, module, target=str(n)) for n in range(101, 107)]
    results = run_at_once([partial(act, database, row, Reassign(False, "107")) for row in rows])
    assert sorted(result.code for result in results) == ["done"] + ["duplicate"] * 5
    (moved,) = [result.id for result in results if result.code == "done"]
    assert {result.duplicate for result in results} == {None, moved}


# -- several rows -----------------------------------------------------------------------------------------------------


def test_each_row_has_its_own_result(database: Database) -> None:
    first, second = request_of(database), request_of(database)
    ended = request_of(database, status="done")
    act(database, second, Prioritise(1), OTHER_SUPERVISOR)
    shown = [ShownRequest(ended.id, 1), ShownRequest(second.id, 1), ShownRequest(4711, 1), ShownRequest(first.id, 1)]
    results = perform(database, SUPERVISOR, Cancel(), shown, NOW)
    assert [result.id for result in results] == [row.id for row in shown]
    assert [result.code for result in results] == ["is_done", "changed", "not_found", "done"]
    assert [result.ok for result in results] == [False, False, False, True]


def test_a_repeated_row_is_changed_once(database: Database) -> None:
    row = request_of(database)
    assert act_on_all(database, [row, row], Cancel()) == ["done", "done"]
    assert len(history_of(database, row.id)) == 1


def test_two_rows_of_one_caller_do_not_become_duplicates(database: Database) -> None:
    module = create_module(database, targets=["101", "102", "103"])
    rows = [create_request(database, module, target=target) for target in ("101", "102")]
    assert act_on_all(database, rows, Reassign(False, "103")) == ["done", "duplicate"]


# -- commands ---------------------------------------------------------------------------------------------------------


def execute_open(database: Database, at: datetime = NOW) -> list[CommandOutcome]:
    """Execute and answer the open commands as the worker does."""
    outcomes = []
    for command in commands.open_commands(database, at):
        outcomes.append(execute(database, command.kind, command.payload, command.actor, at))
        commands.answer(database, command.id, ok=outcomes[-1].ok, result=outcomes[-1].answer, now=at)
    return outcomes


@pytest.mark.parametrize(("action", "status"), [(Cancel(), "cancelled"), (MarkDone("by mail"), "done")])
def test_a_dialling_request_is_ended_by_the_worker(database: Database, action: Action, status: str) -> None:
    row = dialling(database)
    sent = act(database, row, action)
    assert (sent.code, reload(database, row).status) == ("sent", "dialling")
    assert execute_open(database) == [CommandOutcome(True, ResultCode.DONE, hang_up="a1")]
    (result,) = wait_for_results(database, [sent], seconds=0)
    assert (result.code, result.status) == ("done", Status(status))
    now = reload(database, row)
    assert (now.status, now.done_by) == (status, "sara")
    assert now.note == ("by mail" if status == "done" else "")
    assert [entry.actor for entry in log_of(database)] == ["sara"]


def test_a_call_is_made_by_the_worker(database: Database) -> None:
    row = request_of(database)
    sent = act(database, row, CallNow("101"))
    assert sent.code == "sent"
    assert execute_open(database) == [CommandOutcome(True, ResultCode.DONE)]
    now = reload(database, row)
    assert (now.call_now, now.call_now_agent) == (True, "101")
    assert log_of(database)[0].detail == {"agent": ["", "101"]}
    assert wait_for_results(database, [sent], seconds=0)[0].ok


def test_without_the_worker_there_is_no_answer_and_no_call(database: Database) -> None:
    row = request_of(database)
    sent = act(database, row, CallNow())
    assert wait_for_results(database, [sent], seconds=0)[0].code == "no_answer"
    assert execute_open(database, NOW + HOUR) == []
    assert wait_for_results(database, [sent], seconds=0)[0].code == "expired"
    assert reload(database, row).call_now is False


def test_a_second_click_is_answered_and_changes_nothing(database: Database) -> None:
    row = request_of(database)
    clicks = [act(database, row, CallNow()), act(database, row, CallNow())]
    assert [outcome.answer for outcome in execute_open(database)] == ["done", "same"]
    assert [result.code for result in wait_for_results(database, clicks, seconds=0)] == ["done", "same"]
    third = act(database, row, CallNow())  # of a page that shows none of it
    assert (third.code, third.command) == ("same", None)
    assert act(database, reload(database, row), CallNow("102")).code == "sent", "another phone is another wish"
    assert len(history_of(database, row.id)) == 1


def test_a_change_before_the_execution_comes_first(database: Database) -> None:
    row = request_of(database)
    sent = act(database, row, CallNow())
    act(database, row, Postpone(NOW + HOUR), OTHER_SUPERVISOR)
    execute_open(database)
    (result,) = wait_for_results(database, [sent], seconds=0)
    assert (result.code, result.by and result.by.actor) == ("changed", "maryam")
    assert reload(database, row).call_now is False


def test_the_status_may_forbid_the_execution(database: Database) -> None:
    row = dialling(database)
    sent = act(database, row, Cancel())
    end(database, "a1", Outcome.CONNECTED, NOW)
    assert execute_open(database) == [CommandOutcome(False, ResultCode.IS_DONE)]
    (result,) = wait_for_results(database, [sent], seconds=0)
    assert (result.code, result.by and result.by.kind) == ("is_done", "ended")


def test_a_command_without_effect_answers_with_the_status(database: Database) -> None:
    row = dialling(database)
    outcome = execute(database, commands.CALL_NOW, {"request": row.id, "version": row.version}, "sara", NOW)
    assert outcome == CommandOutcome(False, ResultCode.IS_DIALLING)


def test_a_cancel_command_may_find_that_the_request_waits_to_be_called_now(database: Database) -> None:
    """Its attempt has ended before anything rang."""
    row = request_of(database)
    act(database, row, CallNow())
    execute_open(database)
    cancelled = execute(database, commands.CANCEL, {"request": row.id}, "sara", NOW)
    assert (cancelled, reload(database, row).status) == (CommandOutcome(True, ResultCode.DONE), "cancelled")


def test_an_urgent_call_can_be_withdrawn_until_a_phone_rings(database: Database) -> None:
    row = request_of(database, postponed_until=NOW + HOUR)
    assert act(database, row, WithdrawCallNow()).code == "same"
    act(database, row, CallNow("101"))
    execute_open(database)
    assert act(database, reload(database, row), WithdrawCallNow()).code == "done"
    now = reload(database, row)
    assert (now.status, now.call_now, now.call_now_agent, now.postponed_until) == ("waiting", False, None, NOW + HOUR)
    assert history_of(database, row.id)[-1].event == "call_now_withdrawn"
    assert [entry.action for entry in log_of(database)][-1] == "request_call_withdrawn"
    assert act(database, dialling(database), WithdrawCallNow()).code == "is_dialling"


def test_a_request_that_was_uncertain_is_so_again_without_its_urgent_call(database: Database) -> None:
    row = request_of(database, status="uncertain")
    act(database, row, CallNow())
    execute_open(database)
    assert reload(database, row).status == "waiting"
    act(database, reload(database, row), WithdrawCallNow())
    assert reload(database, row).status == "uncertain"


def test_a_request_that_was_deleted_is_not_found(database: Database) -> None:
    row = request_of(database)
    sent = act(database, row, CallNow())
    (command,) = commands.open_commands(database, NOW)
    with database.write() as session:
        session.delete(session.get_one(CallRequest, row.id))
    with pytest.raises(NotFound):
        execute(database, command.kind, command.payload, "sara", NOW)
    commands.answer(database, command.id, ok=False, result="not_found", now=NOW)
    assert wait_for_results(database, [sent], seconds=0)[0].code == "not_found"


def test_an_unknown_answer_is_a_result_too(database: Database) -> None:
    sent = act(database, request_of(database), CallNow())
    assert sent.command is not None
    commands.answer(database, sent.command, ok=False, result="not_connected", now=NOW)
    assert wait_for_results(database, [sent], seconds=0)[0].code == "unknown"


def test_one_wait_is_enough_for_several_answers(database: Database) -> None:
    sent = [act(database, request_of(database), CallNow()) for _ in range(3)]
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        execute_open(database)

    assert {result.code for result in wait_for_results(database, sent, seconds=20, pause=pause)} == {"done"}
    assert len(pauses) == 1


@pytest.mark.parametrize(("kind", "payload"), [("sing", {"request": 1}), (commands.CANCEL, {})])
def test_an_invalid_command_raises(database: Database, kind: str, payload: dict[str, int]) -> None:
    with pytest.raises(KeyError):
        execute(database, kind, payload, "sara", NOW)


# -- targets ----------------------------------------------------------------------------------------------------------


def test_targets_are_those_of_the_pbx_and_of_the_modules(database: Database) -> None:
    create_module(database, targets=["101"])
    create_module(database, target_kind="queue", targets=["sales"])
    create_line(database, "1010", name="Sara")
    create_line(database, "102", name="Omid")
    create_queue(database, "support")
    found = load_targets(database)
    assert found.extensions == (("101", ""), ("102", "Omid"), ("1010", "Sara"))
    assert found.queues == ("sales", "support")


@pytest.mark.parametrize(("queue", "target"), [(False, "101"), (True, "101"), (False, "")])
def test_a_formatted_target_can_be_parsed(queue: bool, target: str) -> None:
    assert parse_target(format_target(queue, target)) == (queue, target)


def test_every_status_has_a_result_code() -> None:
    assert all(ResultCode.of_status(status).is_status for status in Status)
    assert not ResultCode.COMMAND_EXPIRED.is_status


def test_any_extension_is_formatted_as_a_star() -> None:
    assert [format_target(*target) for target in ((False, ""), (False, "101"), (True, "101"))] == [
        "*",
        "101",
        "queue:101",
    ]

"""Reports on our own calls: each step is reported once, and each end with its real cause."""

import itertools
from typing import Any

import pytest
from panoramisk.message import Message

from app.domain.lifecycle import Outcome, Step
from app.telephony.attempts import AgentLeft, AttemptFollower, EndReport, Report, StepReport, StrayReport, is_ours

A = "0b6f6d3e-94f5-4a3c-9d7e-2f1f7b1c8a90"
B = "5d8b3a52-1b7c-4e08-8d2b-9c2f7f0e6a11"
PHONE, PHONE2, TRUNK = "PJSIP/101-00000001", "PJSIP/201-00000009", "PJSIP/trunk-00000002"


def event(name: str, **fields: Any) -> Message:
    return Message({"Event": name, **{key: str(value) for key, value in fields.items()}})


def user_event(step: str, attempt: str = A, **fields: Any) -> Message:
    return event("UserEvent", UserEvent="Bazang", Attempt=attempt, Step=step, **fields)


def dial_end(channel: str, status: str, attempt: str = A) -> Message:
    """The end of a dial. The agent's phones are dialled by the attempt's second channel, the customer by another."""
    dialling = f"{attempt}-2" if channel in (PHONE, PHONE2) else "1700000000.7"
    return event("DialEnd", Uniqueid=dialling, DestChannel=channel, DestLinkedid=attempt, DialStatus=status)


def hangup(channel: str, cause: int, attempt: str = A) -> Message:
    return event("Hangup", Channel=channel, Linkedid=attempt, Uniqueid="1700000000.1", Cause=cause)


@pytest.fixture
def follower() -> AttemptFollower:
    follower = AttemptFollower()
    follower.follow(A)
    return follower


def handle(follower: AttemptFollower, *events: Message) -> list[Report]:
    """Handle events and return the reports."""
    return [report for report in map(follower.handle, events) if report is not None]


ANSWERED = user_event("agent_answered")
DIALLED = user_event("customer_dialled")
CONNECTED = user_event("connected")
EARLY = user_event("early")


def test_connected_attempt(follower: AttemptFollower) -> None:
    reports = handle(
        follower,
        event("Newchannel", Uniqueid=A, Linkedid=A, Channel="Local/s@bazang-agent-00000001;1"),
        event("Newchannel", Uniqueid=f"{A}-2", Linkedid=A, Channel="Local/s@bazang-agent-00000001;2"),
        dial_end(PHONE, "ANSWER"),
        ANSWERED,
        DIALLED,
        dial_end(TRUNK, "ANSWER"),
        CONNECTED,
        hangup(TRUNK, 16),
        user_event("ended", End="customer", Status="ANSWER", Cause=16, Talk="7.5"),
        user_event("agent_ended", Guard="", Status="ANSWER", Cause=16),
    )
    assert reports == [
        StepReport(A, Step.AGENT_ANSWERED),
        StepReport(A, Step.CUSTOMER_DIALLED),
        StepReport(A, Step.CONNECTED),
        EndReport(A, Outcome.CONNECTED, "customer ANSWER 16", talk=7.5),
    ]


def test_customer_who_is_rung_first(follower: AttemptFollower) -> None:
    """The agent answers after the customer. What the agent's phone does before they talk ends nothing."""
    waiting = user_event("customer_waits")
    reports = handle(follower, DIALLED, dial_end(TRUNK, "ANSWER"), waiting, dial_end(PHONE, "ANSWER"), ANSWERED)
    steps = [Step.CUSTOMER_DIALLED, Step.CUSTOMER_WAITS, Step.AGENT_ANSWERED]
    assert reports == [StepReport(A, step) for step in steps]
    refused = handle(follower, hangup(PHONE, 16), user_event("ended", End="agent_missed", Status="ANSWER", Cause=16))
    assert refused == [EndReport(A, Outcome.AGENT_MISSED_CUSTOMER, "agent_missed ANSWER 16")]
    follower.follow(A)
    handle(follower, DIALLED, waiting, dial_end(PHONE, "ANSWER"), ANSWERED, CONNECTED)
    assert handle(follower, hangup(PHONE, 16)) == [AgentLeft(A)]


# -- the agent's leg ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cause", "outcome"),
    [
        ("BUSY", 17, Outcome.AGENT_BUSY),
        ("NOANSWER", 19, Outcome.AGENT_NO_ANSWER),
        ("NOANSWER", 21, Outcome.AGENT_REJECTED),
        ("CONGESTION", 34, Outcome.AGENT_UNREACHABLE),
    ],
)
@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
@pytest.mark.parametrize("passed_on", [("", ""), ("NOANSWER", "0"), ("CHANUNAVAIL", "0")])
def test_unanswered_agent_leg_is_reported_with_its_real_cause(
    follower: AttemptFollower, status: str, cause: int, outcome: Outcome, order: Any, passed_on: tuple[str, str]
) -> None:
    """`passed_on` is what the Local channel passes on to the dialplan."""
    leg = [dial_end(PHONE, status), hangup(PHONE, cause)]
    ended = user_event("agent_ended", Status=passed_on[0], Cause=passed_on[1])
    reports = handle(follower, *(leg[i] for i in order), ended)
    assert reports == [EndReport(A, outcome, f"agent {status} {cause}")]


@pytest.mark.parametrize(
    ("guard", "status", "cause", "outcome", "text"),
    [
        ("", "BUSY", "17", Outcome.AGENT_BUSY, "agent BUSY 17"),
        ("", "CHANUNAVAIL", "", Outcome.AGENT_UNREACHABLE, "agent CHANUNAVAIL 0"),  # an unregistered phone has no leg
        ("taken", "", "", Outcome.AGENT_TAKEN, "agent taken 0"),  # by another call
        ("taken", "ANSWER", "16", Outcome.AGENT_TAKEN, "agent taken 16"),
        ("", "BUSY", "x", Outcome.AGENT_BUSY, "agent BUSY 0"),
        ("", "BUSY", "-1", Outcome.AGENT_BUSY, "agent BUSY 0"),
        ("", "BUSY", "17 ", Outcome.AGENT_BUSY, "agent BUSY 0"),
    ],
)
def test_dialplans_status_is_used_if_the_agents_leg_was_not_seen(
    follower: AttemptFollower, guard: str, status: str, cause: str, outcome: Outcome, text: str
) -> None:
    ended = user_event("agent_ended", Guard=guard, Status=status, Cause=cause)
    assert handle(follower, ended) == [EndReport(A, outcome, text)]


def test_end_of_an_answered_agent_leg_is_not_reported(follower: AttemptFollower) -> None:
    assert handle(follower, ANSWERED, user_event("agent_ended", Status="ANSWER", Cause=16)) == [
        StepReport(A, Step.AGENT_ANSWERED)
    ]


def test_attempt_can_be_followed_as_answered_after_a_restart() -> None:
    follower = AttemptFollower()
    follower.follow(A, answered=True)
    assert handle(follower, user_event("agent_ended", Status="ANSWER", Cause=16)) == []
    assert handle(follower, user_event("ended", End="customer", Status="ANSWER", Cause=16)) != []


def test_events_of_local_channels_are_ignored(follower: AttemptFollower) -> None:
    reports = handle(
        follower,
        dial_end(PHONE, "NOANSWER"),
        hangup(PHONE, 21),
        dial_end("Local/s@bazang-agent-00000001;2", "CHANUNAVAIL"),
        hangup("Local/s@bazang-agent-00000001;2", 0),
        user_event("agent_ended"),
    )
    assert reports == [EndReport(A, Outcome.AGENT_REJECTED, "agent NOANSWER 21")]


@pytest.mark.parametrize("fields", [{"Linkedid": A}, {"DestLinkedid": "", "Linkedid": A}])
def test_dial_end_without_a_destlinkedid_is_found_by_its_linkedid(
    follower: AttemptFollower, fields: dict[str, str]
) -> None:
    end = event("DialEnd", Uniqueid=f"{A}-2", DestChannel=PHONE, DialStatus="BUSY", **fields)
    reports = handle(follower, end, user_event("agent_ended", Status="CHANUNAVAIL", Cause=17))
    assert reports == [EndReport(A, Outcome.AGENT_BUSY, "agent BUSY 17")]


# -- the customer's leg ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cause", "outcome"),
    [
        ("BUSY", 17, Outcome.CUSTOMER_BUSY),
        ("NOANSWER", 19, Outcome.CUSTOMER_NO_ANSWER),
        ("NOANSWER", 21, Outcome.CUSTOMER_REJECTED),
        ("CONGESTION", 34, Outcome.CUSTOMER_UNREACHABLE),
    ],
)
@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
@pytest.mark.parametrize("passed_on", ["NOANSWER", "CHANUNAVAIL", "CONGESTION"])
def test_unanswered_customer_leg_is_reported_with_its_real_cause(
    follower: AttemptFollower, status: str, cause: int, outcome: Outcome, order: Any, passed_on: str
) -> None:
    leg = [dial_end(TRUNK, status), hangup(TRUNK, cause)]
    reports = handle(
        follower,
        dial_end(PHONE, "ANSWER"),
        ANSWERED,
        DIALLED,
        *(leg[i] for i in order),
        user_event("ended", End="customer", Status=passed_on, Cause=0),
    )
    assert reports[-1] == EndReport(A, outcome, f"customer {status} {cause}")


@pytest.mark.parametrize("status", ["", "CANCEL"])
def test_agent_who_hangs_up_abandons_the_customer(follower: AttemptFollower, status: str) -> None:
    reports = handle(
        follower,
        ANSWERED,
        DIALLED,
        dial_end(TRUNK, "NOANSWER"),
        user_event("ended", End="customer", Status=status, Cause=0),
    )
    assert isinstance(reports[-1], EndReport)
    assert reports[-1].outcome is Outcome.CUSTOMER_ABANDONED


@pytest.mark.parametrize(
    ("events", "cause", "expected"),
    [
        pytest.param(
            [ANSWERED, DIALLED, dial_end(TRUNK, "CANCEL"), hangup(TRUNK, 16)],
            16,
            EndReport(A, Outcome.CUSTOMER_NO_ANSWER, "customer NOANSWER 16"),
            id="the dialplan cancels after the time-out",
        ),
        pytest.param(
            [ANSWERED, DIALLED, dial_end(TRUNK, "ANSWER")],
            16,
            EndReport(A, Outcome.CUSTOMER_NO_ANSWER, "customer NOANSWER 16"),
            id="the customer answers too late to be connected",
        ),
        pytest.param(
            [dial_end(PHONE2, "BUSY"), hangup(PHONE2, 17), ANSWERED, DIALLED],
            19,
            EndReport(A, Outcome.CUSTOMER_NO_ANSWER, "customer NOANSWER 19"),
            id="another phone of the agent is busy",
        ),
        pytest.param(
            [
                dial_end(PHONE, "ANSWER"),
                ANSWERED,
                DIALLED,
                dial_end(TRUNK, "NOANSWER"),
                hangup(TRUNK, 21),
                hangup(PHONE, 16),
            ],
            0,
            EndReport(A, Outcome.CUSTOMER_REJECTED, "customer NOANSWER 21"),
            id="the agent hangs up at the same time",
        ),
    ],
)
def test_unanswered_customer(follower: AttemptFollower, events: list[Message], cause: int, expected: EndReport) -> None:
    end = user_event("ended", End="customer", Status="NOANSWER", Cause=cause)
    assert handle(follower, *events, end)[-1] == expected


OURS, FURTHER, ANALOG = "Local/0912@bazang-out-00000002;1", "Local/0912@outbound-00000003;1", "DAHDI/1-1"


@pytest.mark.parametrize(
    ("legs", "far", "outcome"),
    [
        ([OURS, TRUNK], "far/CANCEL/0//1", Outcome.ROUTE_UNAVAILABLE),  # our own time is up
        ([OURS, TRUNK], "far//0//1", Outcome.ROUTE_UNAVAILABLE),
        ([OURS, TRUNK], "far/NOANSWER/0//1", Outcome.ROUTE_UNAVAILABLE),  # that of the outbound context is up
        ([OURS, TRUNK], "far/CANCEL/0/180/1", Outcome.CUSTOMER_NO_ANSWER),
        ([OURS, TRUNK], "far/CANCEL/0/100/1", Outcome.CUSTOMER_NO_ANSWER),  # the network is looking for the phone
        ([OURS, TRUNK, TRUNK], "far/CANCEL/0/183/1", Outcome.CUSTOMER_NO_ANSWER),
        ([OURS, TRUNK, ANALOG], "far/CANCEL/0//1", Outcome.CUSTOMER_NO_ANSWER),  # an analogue line says nothing anyway
        ([OURS, FURTHER, TRUNK], "far/CANCEL/0//1", Outcome.CUSTOMER_NO_ANSWER),  # it keeps what the trunk says
        ([OURS], "far//0//1", Outcome.CUSTOMER_NO_ANSWER),  # nothing was dialled yet
        ([], "far/CANCEL/0//1", Outcome.CUSTOMER_NO_ANSWER),  # the legs were not seen
    ],
)
def test_trunk_that_says_nothing_until_the_time_is_up_fails(
    follower: AttemptFollower, legs: list[str], far: str, outcome: Outcome
) -> None:
    made = [event("Newchannel", Uniqueid=f"1700000000.{n}", Linkedid=A, Channel=leg) for n, leg in enumerate(legs)]
    end = user_event("ended", End="customer", Status="NOANSWER", Cause=0, Far=far)
    phone = event("Newchannel", Uniqueid="1700000000.9", Linkedid=A, Channel=PHONE)
    report = handle(follower, phone, ANSWERED, DIALLED, *made, end)[-1]
    assert isinstance(report, EndReport)
    assert report.outcome is outcome


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("agent_gone", Outcome.AGENT_GONE),
        ("agent_silent", Outcome.AGENT_SILENT),
        ("agent_refused", Outcome.AGENT_REFUSED),
    ],
)
def test_agent_who_does_not_accept(follower: AttemptFollower, end: str, outcome: Outcome) -> None:
    reports = handle(follower, dial_end(PHONE, "ANSWER"), ANSWERED, user_event("ended", End=end, Status="", Cause=16))
    assert isinstance(reports[-1], EndReport)
    assert reports[-1].outcome is outcome


# -- missed events --------------------------------------------------------------------------------------------

BEGIN = [
    event("Newchannel", Uniqueid=A, Linkedid=A, Channel="Local/s@bazang-agent-00000001;1"),
    dial_end(PHONE2, "BUSY"),
    hangup(PHONE2, 17),
    dial_end(PHONE, "ANSWER"),
    ANSWERED,
]
AGENT_ENDED = user_event("agent_ended", Guard="", Status="ANSWER", Cause=16)
CONNECTED_CALL = [*BEGIN, DIALLED, dial_end(TRUNK, "ANSWER"), CONNECTED]
CONNECTED_CALL_ENDED = user_event("ended", End="customer", Status="ANSWER", Cause=16)
AGENT_HANGS_UP = hangup(PHONE, 16)
CALLS: dict[str, tuple[list[Message], Outcome]] = {
    "connected, Asterisk 16": (
        [*CONNECTED_CALL, AGENT_HANGS_UP, AGENT_ENDED, CONNECTED_CALL_ENDED, hangup(TRUNK, 16)],
        Outcome.CONNECTED,
    ),
    "connected, Asterisk 22": (
        [*CONNECTED_CALL, CONNECTED_CALL_ENDED, AGENT_ENDED, AGENT_HANGS_UP, hangup(TRUNK, 16)],
        Outcome.CONNECTED,
    ),
    "the customer is busy": (
        [
            *BEGIN,
            DIALLED,
            dial_end(TRUNK, "BUSY"),
            hangup(TRUNK, 17),
            AGENT_HANGS_UP,
            AGENT_ENDED,
            user_event("ended", End="customer", Status="BUSY", Cause=17),
        ],
        Outcome.CUSTOMER_BUSY,
    ),
    "nobody answers on the second trunk": (
        [
            *BEGIN,
            DIALLED,
            dial_end("PJSIP/trunk1-00000003", "CONGESTION"),
            hangup("PJSIP/trunk1-00000003", 34),
            dial_end(TRUNK, "NOANSWER"),
            hangup(TRUNK, 19),
            user_event("ended", End="customer", Status="NOANSWER", Cause=19),
            AGENT_HANGS_UP,
            AGENT_ENDED,
        ],
        Outcome.CUSTOMER_NO_ANSWER,
    ),
    "the agent hangs up while the customer is rung": (
        [*BEGIN, DIALLED, AGENT_HANGS_UP, AGENT_ENDED, user_event("ended", End="customer", Status="CANCEL", Cause=16)],
        Outcome.CUSTOMER_ABANDONED,
    ),
    "a prompt, then a talk": (
        [
            *BEGIN,
            DIALLED,
            EARLY,
            dial_end(TRUNK, "ANSWER"),
            hangup(TRUNK, 16),
            user_event("ended", End="customer", Status="ANSWER", Cause=16, Far="far/ANSWER/16/200/1"),
            AGENT_HANGS_UP,
            AGENT_ENDED,
        ],
        Outcome.CONNECTED,
    ),
    "a message after all trunks have failed": (
        [
            *BEGIN,
            DIALLED,
            dial_end("PJSIP/trunk1-00000003", "CONGESTION"),
            dial_end(TRUNK, "CONGESTION"),
            EARLY,
            user_event("ended", End="customer", Status="ANSWER", Cause=16, Far="far/CONGESTION/34/503+503/1"),
            AGENT_HANGS_UP,
            AGENT_ENDED,
        ],
        Outcome.ROUTE_CONGESTED,
    ),
    "the agent refuses": (
        [*BEGIN, user_event("ended", End="agent_refused", Status="", Cause=16), AGENT_HANGS_UP, AGENT_ENDED],
        Outcome.AGENT_REFUSED,
    ),
    "the agent is busy": (
        [BEGIN[0], dial_end(PHONE, "BUSY"), hangup(PHONE, 17), user_event("agent_ended", Status="BUSY", Cause=17)],
        Outcome.AGENT_BUSY,
    ),
}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_missed_events_never_cause_a_wrong_outcome(name: str, restarted: bool) -> None:
    """`restarted`: a new worker continues with the recorded steps. Otherwise the connection was lost for a while."""
    events, outcome = CALLS[name]
    complete = AttemptFollower()
    complete.follow(A)
    assert next(report for report in handle(complete, *events) if isinstance(report, EndReport)).outcome is outcome
    for first, last in itertools.combinations(range(len(events) + 1), 2):
        follower = AttemptFollower()
        follower.follow(A)
        reports = handle(follower, *events[:first])
        if any(isinstance(report, EndReport) for report in reports):
            break
        if restarted:
            follower = AttemptFollower()
            follower.follow(A, answered=reports != [])
        else:
            follower.connection_lost()
        reports += handle(follower, *events[last:])
        ends = [report.outcome for report in reports if isinstance(report, EndReport)]
        assert set(ends) <= {outcome}, f"events {first} to {last - 1} were missed"


def test_answer_is_reported_late_if_its_event_was_missed(follower: AttemptFollower) -> None:
    assert handle(follower, AGENT_ENDED, AGENT_ENDED) == [StepReport(A, Step.AGENT_ANSWERED)]
    assert handle(follower, CONNECTED_CALL_ENDED) == [EndReport(A, Outcome.CONNECTED, "customer ANSWER 16")]


@pytest.mark.parametrize("status", ["", "CANCEL", "NOANSWER"])
def test_answered_phone_counts_as_an_answer(follower: AttemptFollower, status: str) -> None:
    """The agent's other phones end after the answered one."""
    reports = handle(
        follower, dial_end(PHONE, "ANSWER"), dial_end(PHONE2, "CANCEL"), user_event("agent_ended", Status=status)
    )
    assert reports == [StepReport(A, Step.AGENT_ANSWERED)]


def test_customers_leg_is_not_used_for_the_agent(follower: AttemptFollower) -> None:
    assert handle(follower, dial_end(TRUNK, "BUSY"), hangup(TRUNK, 17), AGENT_ENDED) == [
        StepReport(A, Step.AGENT_ANSWERED)
    ]


def test_agents_answer_is_not_used_for_the_customer(follower: AttemptFollower) -> None:
    reports = handle(
        follower, dial_end(PHONE, "ANSWER"), user_event("ended", End="customer", Status="NOANSWER", Cause=19)
    )
    assert reports == [EndReport(A, Outcome.CUSTOMER_NO_ANSWER, "customer NOANSWER 19")]


def test_answer_of_a_followed_attempt_is_never_revoked(follower: AttemptFollower) -> None:
    follower.follow(A, answered=True)
    follower.follow(A)
    assert handle(follower, user_event("agent_ended", Status="CANCEL", Cause=16)) == []


# -- ignored events -------------------------------------------------------------------------------------------


def test_forgotten_attempt_is_not_reported(follower: AttemptFollower) -> None:
    end = user_event("ended", End="customer", Status="ANSWER", Cause=16)
    assert len(handle(follower, ANSWERED, end)) == 2
    follower.forget(A)
    assert handle(follower, end, user_event("agent_ended"), hangup(PHONE, 16)) == []


@pytest.mark.parametrize(
    "other",
    [
        user_event("agent_answered", attempt=""),
        user_event("agent_answered", attempt="no UUID"),
        user_event("unknown_step"),
        user_event(""),
        event("UserEvent", UserEvent="Other", Attempt=A, Step="agent_answered"),
        event("UserEvent", UserEvent="Bazang"),
        event("Newchannel", Uniqueid=B, Linkedid=B, Channel=PHONE),
        dial_end(PHONE, "BUSY", attempt=B),
        hangup(PHONE, 17, attempt=B),
        hangup(PHONE, 17, attempt=""),
        event("Hangup"),
        event("DialEnd"),
        event("Newchannel"),
        Message({"Response": "Success"}),
    ],
    ids=repr,
)
def test_other_events_are_ignored(follower: AttemptFollower, other: Message) -> None:
    assert follower.handle(other) is None
    assert handle(follower, user_event("agent_ended", Status="BUSY", Cause=17)) == [
        EndReport(A, Outcome.AGENT_BUSY, "agent BUSY 17")
    ]


def test_attempts_do_not_mix() -> None:
    follower = AttemptFollower()
    follower.follow(A)
    follower.follow(B)
    reports = handle(
        follower,
        dial_end(PHONE, "NOANSWER", A),
        dial_end(PHONE2, "BUSY", B),
        hangup(PHONE2, 17, B),
        hangup(PHONE, 21, A),
        user_event("agent_ended", B),
        user_event("agent_ended", A),
    )
    assert reports == [
        EndReport(B, Outcome.AGENT_BUSY, "agent BUSY 17"),
        EndReport(A, Outcome.AGENT_REJECTED, "agent NOANSWER 21"),
    ]


def test_channel_of_an_attempt_is_its_first_channel(follower: AttemptFollower) -> None:
    assert follower.channel(A) == ""
    handle(
        follower,
        event("Newstate", Uniqueid=A, Linkedid=A, Channel="Local/s@bazang-agent-0;1"),
        event("Newchannel", Uniqueid=f"{A}-2", Linkedid=A, Channel="Local/s@bazang-agent-1;2"),
    )
    assert follower.channel(A) == ""
    handle(
        follower,
        event("Newchannel", Uniqueid=A, Linkedid=A, Channel="Local/s@bazang-agent-1;1"),
        event("Newchannel", Uniqueid="1700000000.7", Linkedid=A, Channel=PHONE),
        event("Hangup", Uniqueid=A, Linkedid=A, Channel="Local/s@bazang-agent-2;1", Cause=16),
    )
    assert follower.channel(A) == "Local/s@bazang-agent-1;1"
    follower.follow(A)  # a second call forgets nothing
    assert follower.channel(A) == "Local/s@bazang-agent-1;1"
    follower.forget(A)
    follower.forget(A)
    assert follower.channel(A) == ""


@pytest.mark.parametrize(
    ("linkedid", "ours"),
    [(A, True), (f"{A}-2", False), ("1700000000.42", False), ("", False), (A.upper(), False), (f"x{A}", False)],
)
def test_linkedids_of_our_own_calls(linkedid: str, ours: bool) -> None:
    assert is_ours(linkedid) is ours


@pytest.mark.parametrize("step", ["agent_answered", "customer_dialled"])
def test_answer_for_an_unknown_attempt_is_reported_as_a_stray(follower: AttemptFollower, step: str) -> None:
    follower.forget(A)
    assert follower.handle(user_event(step)) == StrayReport(A)


@pytest.mark.parametrize("step", ["connected", "ended", "agent_ended", "nonsense"])
def test_later_events_of_an_unknown_attempt_are_ignored(follower: AttemptFollower, step: str) -> None:
    follower.forget(A)
    assert follower.handle(user_event(step)) is None


# -- the agent leaves the talk ------------------------------------------------------------------------------------


def connected(follower: AttemptFollower) -> None:
    handle(follower, dial_end(PHONE, "ANSWER"), dial_end(PHONE2, "CANCEL"), ANSWERED)
    handle(follower, DIALLED, dial_end(TRUNK, "ANSWER"), CONNECTED)


def test_attempt_ends_when_the_agent_leaves_the_talk(follower: AttemptFollower) -> None:
    """The customer's call may go on: transferred to another, or parked."""
    connected(follower)
    assert handle(follower, hangup(PHONE, 16)) == [AgentLeft(A)]


@pytest.mark.parametrize("channel", [PHONE2, TRUNK, "Local/s@bazang-agent-00000001;2", "PJSIP/102-00000007"])
def test_hangup_of_another_channel_ends_nothing(follower: AttemptFollower, channel: str) -> None:
    connected(follower)
    assert handle(follower, hangup(channel, 16)) == []


def test_agent_who_leaves_before_the_talk_is_reported_by_the_dialplan(follower: AttemptFollower) -> None:
    handle(follower, dial_end(PHONE, "ANSWER"), ANSWERED, DIALLED)
    assert handle(follower, hangup(PHONE, 16)) == []
    ended = user_event("ended", End="customer", Status="CANCEL", Cause=16)
    assert handle(follower, ended) == [EndReport(A, Outcome.CUSTOMER_ABANDONED, "customer CANCEL 16")]


def test_agent_who_leaves_after_a_lost_connection_is_found_by_the_next_poll(follower: AttemptFollower) -> None:
    connected(follower)
    follower.connection_lost()
    assert handle(follower, hangup(PHONE, 16)) == []


# -- an outbound context that answers itself ------------------------------------------------------------------


def test_customer_who_answers_after_the_outbound_context_is_connected(follower: AttemptFollower) -> None:
    told = handle(follower, ANSWERED, DIALLED, EARLY, dial_end("Local/1@x-00000001;1", "ANSWER"))
    assert [news for news in told if isinstance(news, StepReport)][-1].step is Step.CUSTOMER_DIALLED
    assert handle(follower, dial_end(TRUNK, "ANSWER")) == [StepReport(A, Step.CONNECTED)]


def test_answer_that_is_reported_before_the_early_one_is_not_lost(follower: AttemptFollower) -> None:
    assert handle(follower, DIALLED, dial_end(TRUNK, "ANSWER"), dial_end("PJSIP/t2-0001", "CANCEL"))[1:] == []
    assert handle(follower, EARLY) == [StepReport(A, Step.CONNECTED)]


def test_worker_that_starts_after_the_early_answer_sees_the_customers(follower: AttemptFollower) -> None:
    follower.follow(A, answered=True, early=True)
    assert handle(follower, dial_end(PHONE2, "ANSWER")) == []
    assert handle(follower, dial_end(TRUNK, "ANSWER")) == [StepReport(A, Step.CONNECTED)]


@pytest.mark.parametrize("said", ["180", "180+486"])
def test_leg_behind_another_local_channel_is_known_by_its_own_events(follower: AttemptFollower, said: str) -> None:
    handle(follower, DIALLED, EARLY, dial_end("Local/1@x-00000001;1", "ANSWER"), dial_end(TRUNK, "BUSY"))
    end = user_event("ended", End="customer", Status="ANSWER", Cause=16, Far=f"far/LOCAL/16/{said}/1")
    (told,) = handle(follower, hangup(TRUNK, 17), end)
    assert isinstance(told, EndReport) and told.outcome is Outcome.CUSTOMER_BUSY


def test_cause_names_what_each_leg_said(follower: AttemptFollower) -> None:
    far = "far/CONGESTION/34/503+503/1"
    told = handle(follower, user_event("ended", End="customer", Status="ANSWER", Cause=16, Far=far))
    assert told == [EndReport(A, Outcome.ROUTE_CONGESTED, "customer CONGESTION 34 503 503")]


def test_agent_who_leaves_a_talk_that_began_after_the_outbound_context_ends_the_attempt(
    follower: AttemptFollower,
) -> None:
    handle(follower, dial_end(PHONE, "ANSWER"), ANSWERED, DIALLED, EARLY, dial_end(TRUNK, "ANSWER"))
    assert handle(follower, hangup(PHONE, 16)) == [AgentLeft(A)]

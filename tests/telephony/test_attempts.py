"""What the exchange tells of our own calls: each piece of news once, and each end by its real cause."""

import itertools
from typing import Any

import pytest
from panoramisk.message import Message

from app.domain.lifecycle import Outcome, Step
from app.telephony.attempts import AttemptFollower, EndNews, News, StepNews, StrayNews, is_ours

A = "0b6f6d3e-94f5-4a3c-9d7e-2f1f7b1c8a90"
B = "5d8b3a52-1b7c-4e08-8d2b-9c2f7f0e6a11"
PHONE, PHONE2, TRUNK = "PJSIP/101-00000001", "PJSIP/201-00000009", "PJSIP/trunk-00000002"


def event(name: str, **fields: Any) -> Message:
    return Message({"Event": name, **{key: str(value) for key, value in fields.items()}})


def report(step: str, attempt: str = A, **fields: Any) -> Message:
    return event("UserEvent", UserEvent="Bazang", Attempt=attempt, Step=step, **fields)


def dial_end(channel: str, status: str, attempt: str = A) -> Message:
    """The end of a dial: by the agent's leg to its phones, by another channel to everybody else."""
    by = f"{attempt}-2" if channel in (PHONE, PHONE2) else "1700000000.7"
    return event("DialEnd", Uniqueid=by, DestChannel=channel, DestLinkedid=attempt, DialStatus=status)


def hangup(channel: str, cause: int, attempt: str = A) -> Message:
    return event("Hangup", Channel=channel, Linkedid=attempt, Uniqueid="1700000000.1", Cause=cause)


@pytest.fixture
def follower() -> AttemptFollower:
    made = AttemptFollower()
    made.begin(A)
    return made


def tell(follower: AttemptFollower, *events: Message) -> list[News]:
    return [news for news in map(follower.take, events) if news is not None]


ANSWERED = report("agent_answered")
DIALLED = report("customer_dialled")
CONNECTED = report("connected")


def test_the_whole_way(follower: AttemptFollower) -> None:
    told = tell(
        follower,
        event("Newchannel", Uniqueid=A, Linkedid=A, Channel="Local/s@bazang-agent-00000001;1"),
        event("Newchannel", Uniqueid=f"{A}-2", Linkedid=A, Channel="Local/s@bazang-agent-00000001;2"),
        dial_end(PHONE, "ANSWER"),
        ANSWERED,
        DIALLED,
        dial_end(TRUNK, "ANSWER"),
        CONNECTED,
        hangup(TRUNK, 16),
        report("ended", End="customer", Status="ANSWER", Cause=16),
        report("agent_ended", Guard="", Status="ANSWER", Cause=16),
    )
    assert told == [
        StepNews(A, Step.AGENT_ANSWERED),
        StepNews(A, Step.CUSTOMER_DIALLED),
        StepNews(A, Step.CONNECTED),
        EndNews(A, Outcome.CONNECTED, "customer ANSWER 16"),
    ]


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
@pytest.mark.parametrize("reported", [("", ""), ("NOANSWER", "0"), ("CHANUNAVAIL", "0")])
def test_the_agents_end_by_its_real_cause(
    follower: AttemptFollower, status: str, cause: int, outcome: Outcome, order: Any, reported: tuple[str, str]
) -> None:
    """In whichever order the leg's own events come, and whatever is left of it after a Local channel."""
    leg = [dial_end(PHONE, status), hangup(PHONE, cause)]
    told = tell(follower, *(leg[i] for i in order), report("agent_ended", Status=reported[0], Cause=reported[1]))
    assert told == [EndNews(A, outcome, f"agent {status} {cause}")]


def test_the_reported_end_serves_where_the_leg_was_not_seen(follower: AttemptFollower) -> None:
    assert tell(follower, report("agent_ended", Guard="", Status="BUSY", Cause=17)) == [
        EndNews(A, Outcome.AGENT_BUSY, "agent BUSY 17")
    ]


def test_an_unregistered_phone_gives_no_leg_at_all(follower: AttemptFollower) -> None:
    told = tell(follower, report("agent_ended", Guard="", Status="CHANUNAVAIL", Cause=""))
    assert told == [EndNews(A, Outcome.AGENT_UNREACHABLE, "agent CHANUNAVAIL 0")]


def test_a_line_that_was_taken_in_the_same_instant(follower: AttemptFollower) -> None:
    told = tell(follower, report("agent_ended", Guard="taken", Status="", Cause=""))
    assert told == [EndNews(A, Outcome.AGENT_TAKEN, "agent taken 0")]


def test_the_agents_end_after_the_answer_is_no_news(follower: AttemptFollower) -> None:
    assert tell(follower, ANSWERED, report("agent_ended", Status="ANSWER", Cause=16)) == [
        StepNews(A, Step.AGENT_ANSWERED)
    ]


def test_an_attempt_found_again_after_a_restart_is_known_to_be_answered() -> None:
    follower = AttemptFollower()
    follower.begin(A, answered=True)
    assert tell(follower, report("agent_ended", Status="ANSWER", Cause=16)) == []
    assert tell(follower, report("ended", End="customer", Status="ANSWER", Cause=16)) != []


def test_what_passes_through_a_local_channel_is_not_believed(follower: AttemptFollower) -> None:
    told = tell(
        follower,
        dial_end(PHONE, "NOANSWER"),
        hangup(PHONE, 21),
        dial_end("Local/s@bazang-agent-00000001;2", "CHANUNAVAIL"),
        hangup("Local/s@bazang-agent-00000001;2", 0),
        report("agent_ended"),
    )
    assert told == [EndNews(A, Outcome.AGENT_REJECTED, "agent NOANSWER 21")]


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
@pytest.mark.parametrize("reported", ["NOANSWER", "CHANUNAVAIL", "CONGESTION"])
def test_the_customers_end_by_its_real_cause(
    follower: AttemptFollower, status: str, cause: int, outcome: Outcome, order: Any, reported: str
) -> None:
    leg = [dial_end(TRUNK, status), hangup(TRUNK, cause)]
    told = tell(
        follower,
        dial_end(PHONE, "ANSWER"),
        ANSWERED,
        DIALLED,
        *(leg[i] for i in order),
        report("ended", End="customer", Status=reported, Cause=0),
    )
    assert told[-1] == EndNews(A, outcome, f"customer {status} {cause}")


@pytest.mark.parametrize("status", ["", "CANCEL"])
def test_a_customer_whom_the_agent_did_not_wait_for(follower: AttemptFollower, status: str) -> None:
    told = tell(
        follower,
        ANSWERED,
        DIALLED,
        dial_end(TRUNK, "NOANSWER"),
        report("ended", End="customer", Status=status, Cause=0),
    )
    assert isinstance(told[-1], EndNews)
    assert told[-1].outcome is Outcome.CUSTOMER_ABANDONED


def test_a_customer_who_did_not_answer_in_time(follower: AttemptFollower) -> None:
    told = tell(
        follower,
        ANSWERED,
        DIALLED,
        dial_end(TRUNK, "CANCEL"),  # by us, when the time was over
        hangup(TRUNK, 16),
        report("ended", End="customer", Status="NOANSWER", Cause=16),
    )
    assert told[-1] == EndNews(A, Outcome.CUSTOMER_NO_ANSWER, "customer NOANSWER 16")


def test_the_agents_leg_says_nothing_of_the_customer(follower: AttemptFollower) -> None:
    told = tell(
        follower,
        dial_end(PHONE2, "BUSY"),
        hangup(PHONE2, 17),
        ANSWERED,
        DIALLED,
        report("ended", End="customer", Status="NOANSWER", Cause=19),
    )
    assert told[-1] == EndNews(A, Outcome.CUSTOMER_NO_ANSWER, "customer NOANSWER 19")


def test_an_agent_who_hangs_up_in_the_same_instant_does_not_hide_the_customers_cause(
    follower: AttemptFollower,
) -> None:
    told = tell(
        follower,
        dial_end(PHONE, "ANSWER"),
        ANSWERED,
        DIALLED,
        dial_end(TRUNK, "NOANSWER"),
        hangup(TRUNK, 21),
        hangup(PHONE, 16),
        report("ended", End="customer", Status="NOANSWER", Cause=0),
    )
    assert told[-1] == EndNews(A, Outcome.CUSTOMER_REJECTED, "customer NOANSWER 21")


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("agent_gone", Outcome.AGENT_GONE),
        ("agent_silent", Outcome.AGENT_SILENT),
        ("agent_refused", Outcome.AGENT_REFUSED),
    ],
)
def test_an_agent_who_does_not_take_it(follower: AttemptFollower, end: str, outcome: Outcome) -> None:
    told = tell(follower, dial_end(PHONE, "ANSWER"), ANSWERED, report("ended", End=end, Status="", Cause=16))
    assert isinstance(told[-1], EndNews)
    assert told[-1].outcome is outcome


# -- steps that were missed -----------------------------------------------------------------------------------

BEGIN = [
    event("Newchannel", Uniqueid=A, Linkedid=A, Channel="Local/s@bazang-agent-00000001;1"),
    dial_end(PHONE2, "BUSY"),
    hangup(PHONE2, 17),
    dial_end(PHONE, "ANSWER"),
    ANSWERED,
]
AGENT_ENDED = report("agent_ended", Guard="", Status="ANSWER", Cause=16)
TALK = [*BEGIN, DIALLED, dial_end(TRUNK, "ANSWER"), CONNECTED]
TALKED = report("ended", End="customer", Status="ANSWER", Cause=16)
BY_THE_AGENT = hangup(PHONE, 16)
STORIES: dict[str, tuple[list[Message], Outcome]] = {
    "a talk, on 16": ([*TALK, BY_THE_AGENT, AGENT_ENDED, TALKED, hangup(TRUNK, 16)], Outcome.CONNECTED),
    "a talk, on 22": ([*TALK, TALKED, AGENT_ENDED, BY_THE_AGENT, hangup(TRUNK, 16)], Outcome.CONNECTED),
    "the customer is busy": (
        [
            *BEGIN,
            DIALLED,
            dial_end(TRUNK, "BUSY"),
            hangup(TRUNK, 17),
            BY_THE_AGENT,
            AGENT_ENDED,
            report("ended", End="customer", Status="BUSY", Cause=17),
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
            report("ended", End="customer", Status="NOANSWER", Cause=19),
            BY_THE_AGENT,
            AGENT_ENDED,
        ],
        Outcome.CUSTOMER_NO_ANSWER,
    ),
    "the agent hangs up while the customer is rung": (
        [*BEGIN, DIALLED, BY_THE_AGENT, AGENT_ENDED, report("ended", End="customer", Status="CANCEL", Cause=16)],
        Outcome.CUSTOMER_ABANDONED,
    ),
    "the agent refuses": (
        [*BEGIN, report("ended", End="agent_refused", Status="", Cause=16), BY_THE_AGENT, AGENT_ENDED],
        Outcome.AGENT_REFUSED,
    ),
    "the agent is busy": (
        [BEGIN[0], dial_end(PHONE, "BUSY"), hangup(PHONE, 17), report("agent_ended", Status="BUSY", Cause=17)],
        Outcome.AGENT_BUSY,
    ),
}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("story", STORIES)
def test_events_that_were_missed_change_nothing_that_is_told(story: str, restarted: bool) -> None:
    """`restarted`: another worker goes on, which knows the steps that were recorded. Else the connection was lost."""
    events, outcome = STORIES[story]
    whole = AttemptFollower()
    whole.begin(A)
    assert next(news for news in tell(whole, *events) if isinstance(news, EndNews)).outcome is outcome
    for first, last in itertools.combinations(range(len(events) + 1), 2):
        follower = AttemptFollower()
        follower.begin(A)
        told = tell(follower, *events[:first])
        if any(isinstance(news, EndNews) for news in told):
            break
        if restarted:
            follower = AttemptFollower()
            follower.begin(A, answered=told != [])
        else:
            follower.connection_lost()
        told += tell(follower, *events[last:])
        ends = [news.outcome for news in told if isinstance(news, EndNews)]
        assert set(ends) <= {outcome}, f"events {first} to {last - 1} were missed"


def test_agent_who_has_answered_is_no_miss_though_the_answer_was_missed(follower: AttemptFollower) -> None:
    assert tell(follower, AGENT_ENDED, AGENT_ENDED) == [StepNews(A, Step.AGENT_ANSWERED)]
    assert tell(follower, TALKED) == [EndNews(A, Outcome.CONNECTED, "customer ANSWER 16")]


@pytest.mark.parametrize("status", ["", "CANCEL", "NOANSWER"])
def test_agents_phone_that_was_seen_to_answer_is_no_miss(follower: AttemptFollower, status: str) -> None:
    """Its other phones end after it."""
    told = tell(follower, dial_end(PHONE, "ANSWER"), dial_end(PHONE2, "CANCEL"), report("agent_ended", Status=status))
    assert told == [StepNews(A, Step.AGENT_ANSWERED)]


def test_customers_leg_is_not_taken_for_the_agents(follower: AttemptFollower) -> None:
    assert tell(follower, dial_end(TRUNK, "BUSY"), hangup(TRUNK, 17), AGENT_ENDED) == [StepNews(A, Step.AGENT_ANSWERED)]


def test_agents_answer_is_not_taken_for_the_customers(follower: AttemptFollower) -> None:
    told = tell(follower, dial_end(PHONE, "ANSWER"), report("ended", End="customer", Status="NOANSWER", Cause=19))
    assert told == [EndNews(A, Outcome.CUSTOMER_NO_ANSWER, "customer NOANSWER 19")]


def test_customer_who_answers_too_late_to_be_connected_is_not_reached(follower: AttemptFollower) -> None:
    told = tell(
        follower,
        ANSWERED,
        DIALLED,
        dial_end(TRUNK, "ANSWER"),
        report("ended", End="customer", Status="NOANSWER", Cause=16),
    )
    assert told[-1] == EndNews(A, Outcome.CUSTOMER_NO_ANSWER, "customer NOANSWER 16")


def test_attempt_that_is_found_again_is_known_to_be_answered_from_then_on(follower: AttemptFollower) -> None:
    follower.begin(A, answered=True)
    follower.begin(A)
    assert tell(follower, report("agent_ended", Status="CANCEL", Cause=16)) == []


def test_line_that_was_taken_stays_taken_whatever_the_status(follower: AttemptFollower) -> None:
    told = tell(follower, report("agent_ended", Guard="taken", Status="ANSWER", Cause=16))
    assert told == [EndNews(A, Outcome.AGENT_TAKEN, "agent taken 16")]


# -- what is no news ------------------------------------------------------------------------------------------


def test_an_end_is_told_once(follower: AttemptFollower) -> None:
    end = report("ended", End="customer", Status="ANSWER", Cause=16)
    assert len(tell(follower, ANSWERED, end)) == 2
    follower.forget(A)
    assert tell(follower, end, report("agent_ended"), hangup(PHONE, 16)) == []


@pytest.mark.parametrize(
    "other",
    [
        report("agent_answered", attempt=""),
        report("agent_answered", attempt="no UUID"),
        report("claimed_by_nobody"),
        report(""),
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
def test_what_is_of_another_call_is_no_news(follower: AttemptFollower, other: Message) -> None:
    assert follower.take(other) is None
    assert tell(follower, report("agent_ended", Status="BUSY", Cause=17)) == [
        EndNews(A, Outcome.AGENT_BUSY, "agent BUSY 17")
    ]


def test_two_attempts_do_not_mix() -> None:
    follower = AttemptFollower()
    follower.begin(A)
    follower.begin(B)
    told = tell(
        follower,
        dial_end(PHONE, "NOANSWER", A),
        dial_end(PHONE2, "BUSY", B),
        hangup(PHONE2, 17, B),
        hangup(PHONE, 21, A),
        report("agent_ended", B),
        report("agent_ended", A),
    )
    assert told == [
        EndNews(B, Outcome.AGENT_BUSY, "agent BUSY 17"),
        EndNews(A, Outcome.AGENT_REJECTED, "agent NOANSWER 21"),
    ]


@pytest.mark.parametrize("cause", ["", "x", "-1", "17 "])
def test_a_cause_that_is_no_number_is_none(follower: AttemptFollower, cause: str) -> None:
    told = tell(follower, report("agent_ended", Status="BUSY", Cause=cause))
    assert told == [EndNews(A, Outcome.AGENT_BUSY, "agent BUSY 0")]


def test_the_channel_of_an_attempt_is_its_first(follower: AttemptFollower) -> None:
    assert follower.channel(A) == ""
    tell(
        follower,
        event("Newchannel", Uniqueid=f"{A}-2", Linkedid=A, Channel="Local/s@bazang-agent-1;2"),
        event("Newchannel", Uniqueid=A, Linkedid=A, Channel="Local/s@bazang-agent-1;1"),
        event("Newchannel", Uniqueid="1700000000.7", Linkedid=A, Channel=PHONE),
    )
    assert follower.channel(A) == "Local/s@bazang-agent-1;1"
    follower.begin(A)  # found again by a look at what is under way: nothing is forgotten
    assert follower.channel(A) == "Local/s@bazang-agent-1;1"
    follower.forget(A)
    follower.forget(A)
    assert follower.channel(A) == ""


@pytest.mark.parametrize(
    ("linkedid", "ours"),
    [(A, True), (f"{A}-2", False), ("1700000000.42", False), ("", False), (A.upper(), False), (f"x{A}", False)],
)
def test_whose_call_it_is(linkedid: str, ours: bool) -> None:
    assert is_ours(linkedid) is ours


@pytest.mark.parametrize("step", ["agent_answered", "customer_dialled"])
def test_a_step_of_an_attempt_that_is_not_in_flight_is_told_as_a_stray(follower: AttemptFollower, step: str) -> None:
    follower.forget(A)
    assert follower.take(report(step)) == StrayNews(A)


@pytest.mark.parametrize("step", ["connected", "ended", "agent_ended", "nonsense"])
def test_what_cannot_be_stopped_any_more_is_no_stray(follower: AttemptFollower, step: str) -> None:
    follower.forget(A)
    assert follower.take(report(step)) is None

"""The judge of script/chaos with handmade histories: each verdict when it is right, and when there is nothing wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from script.chaos_run import mutants
from script.chaos_run.history import FILE, Entry, History, in_order, read
from script.chaos_run.judge import IDENTITY_DIGITS, identity, judge, summarize
from script.chaos_run.main import main
from script.chaos_run.memory import growth
from script.chaos_run.plan import ENTRIES, KINDS, MODULES, RESOURCES, RETRIES, Plan, draw

NUMBER = "09123000042"
SALES, SUPPORT = "*5001", "*5002"
Act = tuple[float, str]


class Story:
    """A history made by hand."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._count = 0
        self.add(0, "begin", seed=1, requests=1, modules=MODULES, entries=ENTRIES, retries=RETRIES)

    def add(self, at: float, kind: str, **fields: Any) -> None:
        self.entries.append({"at": at, "kind": kind, **fields})

    def call(
        self,
        phone: str,
        began: float,
        ended: float | None,
        *,
        answered: float | None = None,
        incoming: bool = True,
        dialled: str = "",
        ours: bool = False,
        by: str = "pbx",
        acts: tuple[Act, ...] = (),
        prompts: tuple[Act, ...] = (),
        keys: tuple[Act, ...] = (),
    ) -> None:
        self._count += 1
        call = self._count
        names = {"phone": phone, "incoming": incoming, "number": NUMBER, "dialled": dialled, "ours": ours}
        self.add(began, "call", call=call, **names)
        if answered is not None:
            self.add(answered, "answered", call=call)
        for kind, heard in (("act", acts), ("prompt", prompts), ("keys", keys)):
            for at, what in heard:
                self.add(at, kind, call=call, **{kind: what})
        if ended is not None:
            self.add(ended, "ended", call=call, by=by, status=200)

    def register(self, at: float = 1, code: str = SALES, *, heard: str = "after_success") -> None:
        """A caller presses 1 and hears the confirmation, or another prompt."""
        acts, prompts = ((at + 1, "presses 1"),), ((at + 2, heard),)
        self.call("trunk", at, at + 4, answered=at + 0.5, incoming=False, dialled=code, acts=acts, prompts=prompts)

    def talk(self, at: float = 10, agent: str = "101") -> None:
        """An agent is rung, presses 1, and talks with the customer until 8 s after `at`."""
        self.call(agent, at, at + 8, answered=at + 1, ours=True, acts=((at + 2, "presses 1"),))
        self.call("trunk", at + 3, at + 8, answered=at + 4, keys=((at + 5, agent),))

    def try_customer(self, at: float, *, act: str = "busy") -> None:
        """An agent is rung and presses 1, and the customer does not talk."""
        self.call("101", at, at + 5, answered=at + 1, ours=True, acts=((at + 2, "presses 1"),))
        self.call("trunk", at + 3, at + 4, by="phone", acts=((at + 4, act),))

    def show(self, status: str, code: str = SALES) -> None:
        self.add(100, "panel", number=NUMBER, module=code, status=status, outcome="")

    def verdicts(self) -> list[str]:
        self.add(101, "end")
        return [violation.verdict for violation in judge(in_order(self.entries))]


@pytest.fixture
def story() -> Story:
    return Story()


def test_talk_leaves_nothing_to_complain_about(story: Story) -> None:
    story.register()
    story.talk()
    story.show("done")
    assert story.verdicts() == []


# -- lost ---------------------------------------------------------------------------------------------------------


def test_acknowledged_and_never_called_is_lost(story: Story) -> None:
    story.register()
    assert story.verdicts() == ["lost"]


def test_what_the_caller_was_not_told_is_not_lost(story: Story) -> None:
    story.register(heard="before_success")
    assert story.verdicts() == []


def test_acknowledged_and_expired_is_lost(story: Story) -> None:
    story.register()
    story.show("expired")
    assert sorted(story.verdicts()) == ["lost", "wrong_end_status"]


def test_rung_agent_without_a_talk_does_not_explain_it(story: Story) -> None:
    story.register()
    story.call("101", 10, 18, ours=True)
    assert story.verdicts() == ["lost"]


def test_earlier_talk_does_not_answer_a_later_registration(story: Story) -> None:
    story.register()
    story.talk()
    story.register(30)
    assert story.verdicts() == ["lost"]


@pytest.mark.parametrize("prompts", [((21, "has_open"), (23, "withdrawn")), ((21, "has_open"),)])
def test_customer_who_withdraws_is_not_lost(story: Story, prompts: tuple[tuple[float, str], ...]) -> None:
    """Nor if the PBX dies before it says that the request is withdrawn."""
    story.register()
    acts = ((22, "presses 9"),)
    story.call("trunk", 20, 25, answered=20.5, incoming=False, dialled=SALES, acts=acts, prompts=prompts)
    story.show("cancelled")
    assert story.verdicts() == []


def test_customer_who_has_withdrawn_an_earlier_request_is_lost(story: Story) -> None:
    acts, prompts = ((2, "presses 9"),), ((1, "has_open"), (3, "withdrawn"))
    story.call("trunk", 0, 5, answered=0.5, incoming=False, dialled=SALES, acts=acts, prompts=prompts)
    story.register(at=10)
    story.show("cancelled")
    assert "lost" in story.verdicts()


@pytest.mark.parametrize("tries, verdicts", [(RETRIES + 1, []), (RETRIES, ["lost"])])
def test_customer_tried_as_often_as_the_module_says_is_not_lost(story: Story, tries: int, verdicts: list[str]) -> None:
    story.register()
    for number in range(tries):
        story.try_customer(10 + 15 * number)
    story.show("failed")
    assert story.verdicts() == verdicts


def test_customer_who_hangs_up_at_once_is_not_lost(story: Story) -> None:
    story.register()
    story.call("101", 10, 16, answered=11, ours=True, acts=((12, "presses 1"),))
    story.call("trunk", 13, 14.1, answered=14, by="phone", acts=((14, "hangs up at once"),))
    story.show("done")
    assert story.verdicts() == []


def test_agent_who_leaves_as_the_customer_answers_explains_the_end(story: Story) -> None:
    story.register()
    acts = ((12.0, "presses 1"), (14.1, "leaves while it rings"))
    story.call("101", 10, 14.1, answered=11, ours=True, by="phone", acts=acts)
    story.call("trunk", 13, 14.2, answered=14)
    story.show("done")
    assert story.verdicts() == []


def test_call_cut_by_the_death_of_the_pbx_may_be_uncertain(story: Story) -> None:
    story.register()
    story.call("101", 10, 16, answered=11, ours=True, by="cut", acts=((12, "presses 1"),))
    story.call("trunk", 13, 16, answered=14, by="cut")
    story.show("uncertain")
    assert story.verdicts() == []


def call_with_a_standstill(story: Story) -> None:
    """The customer answers, Asterisk stands still, and the customer hangs up in silence."""
    story.register()
    story.call("101", 10, 24, answered=11, ours=True, acts=((12, "presses 1"),))
    story.call("trunk", 13, 22, answered=14, by="phone", acts=((22, "hangs up in silence"),))
    for at, phase in ((14.5, "begin"), (23.5, "end")):
        story.add(at, "fault", fault="asterisk_stop", phase=phase)


def test_call_in_which_the_pbx_stood_still_may_be_uncertain(story: Story) -> None:
    call_with_a_standstill(story)
    story.show("uncertain")
    assert story.verdicts() == []


@pytest.mark.parametrize("status", ["done", "waiting"])
def test_call_in_which_the_pbx_stood_still_explains_nothing_else(story: Story, status: str) -> None:
    call_with_a_standstill(story)
    story.show(status)
    assert sorted(story.verdicts()) == ["lost", "wrong_end_status"]


@pytest.mark.parametrize(
    ("pressed", "stops", "is_talk"), [(14.6, 15.1, True), (14.6, 14.9, False), (None, 15.1, False)]
)
def test_who_was_connected_long_enough_before_a_standstill_has_talked(
    story: Story, pressed: float | None, stops: float, is_talk: bool
) -> None:
    """The agent had no time to press all digits. `pressed`: when the first one arrived. The shortest talk is 1 s."""
    story.register()
    story.call("101", 10, 24, answered=11, ours=True, acts=((12, "presses 1"),))
    keys = () if pressed is None else ((pressed, "1"),)
    story.call("trunk", 13, 22, answered=14, by="phone", keys=keys, acts=((22, "hangs up in silence"),))
    for at, phase in ((stops, "begin"), (23.5, "end")):
        story.add(at, "fault", fault="asterisk_stop", phase=phase)
    story.show("done")
    assert sorted(story.verdicts()) == ([] if is_talk else ["lost", "wrong_end_status"])


def test_standstill_between_the_calls_explains_nothing(story: Story) -> None:
    story.register()
    story.try_customer(10)
    for at, phase in ((20, "begin"), (28, "end")):
        story.add(at, "fault", fault="asterisk_stop", phase=phase)
    story.show("uncertain")
    assert sorted(story.verdicts()) == ["lost", "wrong_end_status"]


def test_live_talk_answers_a_request(story: Story) -> None:
    story.register()
    story.call("trunk", 20, 30, answered=21, incoming=False, dialled="101", keys=((22, "101"),))
    story.show("done")
    assert story.verdicts() == []


# -- twice --------------------------------------------------------------------------------------------------------


def test_ring_after_the_talk_is_twice(story: Story) -> None:
    story.register()
    story.talk()
    story.call("101", 30, 38, ours=True)
    assert story.verdicts() == ["twice"]


def test_two_calls_to_a_customer_at_once_are_twice(story: Story) -> None:
    story.register()
    story.register(5, SUPPORT)
    story.talk(12)
    story.talk(13, "103")
    assert story.verdicts() == ["twice"]


def test_each_module_may_call(story: Story) -> None:
    story.register()
    story.register(5, SUPPORT)
    story.talk(12)
    story.talk(30, "103")
    story.show("done")
    story.show("done", SUPPORT)
    assert story.verdicts() == []


def test_third_talk_about_two_registrations_is_twice(story: Story) -> None:
    story.register()
    story.register(5, SUPPORT)
    for at, agent in ((12, "101"), (30, "103"), (50, "101")):
        story.talk(at, agent)
    assert story.verdicts() == ["twice"]


def test_registering_again_while_waiting_is_the_same_request(story: Story) -> None:
    story.register()
    story.register(6)
    story.talk(12)
    story.talk(30)
    assert story.verdicts() == ["twice"]


def test_registering_again_after_the_talk_is_a_new_request(story: Story) -> None:
    story.register()
    story.talk()
    story.register(30)
    story.talk(40)
    story.show("done")
    assert story.verdicts() == []


def test_registering_again_while_the_phone_rings_may_be_a_new_request(story: Story) -> None:
    story.register()
    story.talk()
    story.register(12.5)
    story.talk(30)
    story.show("done")
    assert story.verdicts() == []


def test_retry_after_a_busy_customer_is_not_twice(story: Story) -> None:
    story.register()
    story.try_customer(10)
    story.talk(30)
    assert story.verdicts() == []


# -- agents ---------------------------------------------------------------------------------------------------------


def test_agent_rung_while_in_a_call(story: Story) -> None:
    story.call("101", 5, 20, answered=6)
    story.call("101", 10, 10.1, ours=True)
    assert story.verdicts() == ["agent_in_call"]


def test_agent_rung_twice_at_once(story: Story) -> None:
    story.call("101", 5, 13, ours=True)
    story.call("101", 10, 10.1, ours=True)
    assert story.verdicts() == ["agent_in_call"]


@pytest.mark.parametrize("began", [20.0, 19.9], ids=["after", "crossing the BYE"])
def test_agent_rung_after_a_call(story: Story, began: float) -> None:
    story.call("101", 5, 20, answered=6)
    story.call("101", began, 25, ours=True)
    assert story.verdicts() == []


def test_agent_rung_after_a_transfer_is_not_in_a_call(story: Story) -> None:
    story.call("101", 5, 20, answered=6, acts=((9, "transfers to 102"),))
    story.call("101", 10, 10.1, ours=True)
    assert story.verdicts() == []


def test_transfer_to_a_busy_colleague_is_none_of_our_calls(story: Story) -> None:
    story.call("102", 2, 30, answered=3)
    story.call("101", 5, 12, answered=6, ours=True, acts=((9, "transfers to 102"),))
    story.call("102", 9.5, 9.7, ours=True)
    assert story.verdicts() == []


def test_people_know_each_other_by_digits_that_no_dialogue_asks_for() -> None:
    known = {identity(f"0912300{number:04}") for number in range(10_000)}
    assert len(known) == 10_000 and set("".join(known)) == set(IDENTITY_DIGITS)


def test_caller_who_rings_a_busy_agent_is_none_of_our_calls(story: Story) -> None:
    story.call("101", 5, 20, answered=6, ours=True)
    story.call("101", 10, 10.1)
    assert story.verdicts() == []


# -- stuck ----------------------------------------------------------------------------------------------------------


def test_call_that_never_ends_is_stuck(story: Story) -> None:
    story.call("101", 5, None, answered=6, ours=True)
    assert story.verdicts() == ["stuck"]


@pytest.mark.parametrize("ended, verdicts", [(60, []), (200, ["stuck"])])
def test_agent_held_for_minutes_is_stuck(story: Story, ended: float, verdicts: list[str]) -> None:
    story.call("101", 5, ended, answered=6, ours=True)
    assert story.verdicts() == verdicts


# -- the panel ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired", "uncertain", "waiting", "connected"])
def test_other_status_than_done_after_a_talk_is_wrong(story: Story, status: str) -> None:
    story.register()
    story.talk()
    story.show(status)
    assert story.verdicts() == ["wrong_end_status"]


def test_done_though_the_customer_never_answered_is_wrong(story: Story) -> None:
    story.register()
    for number in range(RETRIES + 1):
        story.try_customer(10 + 15 * number)
    story.show("done")
    assert story.verdicts() == ["wrong_end_status"]


def test_done_though_the_customer_heard_nobody_is_wrong(story: Story) -> None:
    story.register()
    story.call("101", 10, 25, answered=11, ours=True, acts=((12, "presses 1"),))
    story.call("trunk", 13, 24, answered=14, by="phone", acts=((24, "hangs up in silence"),))
    story.show("done")
    assert sorted(story.verdicts()) == ["lost", "wrong_end_status"]


def test_failed_though_nobody_was_tried_is_wrong(story: Story) -> None:
    story.register(heard="before_success")
    story.show("failed")
    assert story.verdicts() == ["wrong_end_status"]


def test_open_at_the_end_is_wrong(story: Story) -> None:
    story.register(heard="before_success")
    story.show("dialling")
    assert story.verdicts() == ["wrong_end_status"]


# -- plans, histories and mutants -------------------------------------------------------------------------------------


def test_same_seed_draws_the_same_plan() -> None:
    assert draw(7, 30, 12) == draw(7, 30, 12)
    assert draw(7, 30, 12) != draw(8, 30, 12)


def test_each_kind_of_fault_comes_before_any_comes_again() -> None:
    assert set(KINDS) == {fault.kind for fault in draw(3, 50, len(KINDS)).faults} == RESOURCES.keys()


def test_kept_history_is_judged_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str], story: Story) -> None:
    story.register()
    history = History(tmp_path)
    for entry in story.entries:
        history.write(**{name: value for name, value in entry.items() if name != "at"})
    history.close()
    assert (tmp_path / FILE).exists()
    assert summarize(read(tmp_path))["lost"] == 1
    assert main(["--replay", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert '"lost": 1' in printed.out and NUMBER in printed.err


@pytest.mark.parametrize("talks", [True, False])
def test_history_of_a_failed_run_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], story: Story, talks: bool
) -> None:
    story.register()
    if talks:
        story.talk()

    async def play(plan: Plan, folder: Path, *_: object, **__: object) -> None:
        (folder / FILE).write_text("".join(f"{json.dumps(entry)}\n" for entry in story.entries))

    monkeypatch.setattr("script.chaos_run.main.play", play)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["--requests", "1", "--only", "ami_cut"]) == int(not talks)
    kept = list(tmp_path.iterdir())
    assert len(kept) == int(not talks)
    for folder in kept:
        assert f"kept: {folder}" in capsys.readouterr().err
        assert main(["--replay", str(folder)]) == 1


@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_mutants_fit_the_program(name: str, tmp_path: Path) -> None:
    mutant = mutants.MUTANTS[name]
    for edit in mutant.edits:
        copy = tmp_path / edit.file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((mutants.ROOT / edit.file).read_bytes())
    mutants.apply(mutant, tmp_path)
    for edit in mutant.edits:
        changed = (tmp_path / edit.file).read_text()
        assert changed != (mutants.ROOT / edit.file).read_text()
        compile(changed, edit.file, "exec")


def memory(pids: list[int], megabytes: list[float]) -> list[Entry]:
    """Samples of a process, one each minute."""
    pairs = enumerate(zip(pids, megabytes, strict=True))
    return [
        {"at": 60.0 * minute, "kind": "memory", "process": "worker", "pid": pid, "megabytes": size}
        for minute, (pid, size) in pairs
    ]


def test_growth_is_that_of_the_second_half() -> None:
    sizes = [10.0 * minute for minute in range(30)] + [300 + 0.5 * minute for minute in range(31)]
    assert growth(memory([7] * 61, sizes)) == {"worker": 30.0}


def test_growth_of_a_process_that_was_started_again_is_unknown() -> None:
    assert growth(memory([7] * 40 + [8] * 21, [1.0] * 61)) == {}
    assert growth([]) == {}


def test_growth_of_a_short_run_says_nothing() -> None:
    assert growth(memory([7] * 15, [float(minute) for minute in range(15)])) == {}

"""What keeps robots out: puzzles and questions."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from app.domain.website import puzzle_digest
from app.services.website import challenges
from app.services.website.challenges import ChallengeRefused, Puzzle, Refusal
from app.store.database import Database
from app.store.models import Count

NOW = datetime(2026, 3, 21, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
SECRET, FORM = "secret", "the form"


def solve(puzzle: Puzzle) -> int:
    return next(number for number in range(puzzle.size) if puzzle_digest(puzzle.salt, number) == puzzle.digest)


def refusal(database: Database, token: str, solution: object, now: datetime, form: str = FORM) -> Refusal | None:
    try:
        challenges.check_puzzle(database, SECRET, form, token, solution, now)
    except ChallengeRefused as refused:
        return refused.reason
    return None


def test_puzzle_is_good_for_one_try(database: Database) -> None:
    puzzle = challenges.make_puzzle(SECRET, FORM, NOW)
    solution = solve(puzzle)
    assert refusal(database, puzzle.token, solution, LATER) is None
    assert refusal(database, puzzle.token, solution, LATER) is Refusal.REPLAYED
    assert refusal(database, puzzle.token, solution, NOW + timedelta(minutes=29)) is Refusal.REPLAYED


def test_puzzle_is_good_for_its_form_and_its_time(database: Database) -> None:
    puzzle = challenges.make_puzzle(SECRET, FORM, NOW)
    solution = solve(puzzle)
    for now, reason in (
        (NOW + timedelta(seconds=1), Refusal.TOO_FAST),
        (NOW + challenges.LASTS, Refusal.EXPIRED),
        (NOW - timedelta(hours=1), Refusal.EXPIRED),
    ):
        assert refusal(database, puzzle.token, solution, now) is reason
    assert refusal(database, puzzle.token, solution, LATER, form="another form") is Refusal.WRONG
    assert refusal(database, puzzle.token, solution, LATER) is None, "what was refused so used nothing up"


@pytest.mark.parametrize("solution", [None, "1", -1, 10**6, 1.0, [], {}, 10**4000])
def test_wrong_solution_is_refused(database: Database, solution: object) -> None:
    puzzle = challenges.make_puzzle(SECRET, FORM, NOW)
    assert refusal(database, puzzle.token, solution, LATER) is Refusal.WRONG


def test_forged_token_is_refused(database: Database) -> None:
    puzzle = challenges.make_puzzle("another secret", FORM, NOW)
    question = challenges.make_question(SECRET, FORM, {"number": "1"}, NOW)
    for token in (puzzle.token, question.token, "", "x", "\0", "a.b.c", puzzle.token[:-1]):
        assert refusal(database, token, solve(puzzle), LATER) is Refusal.WRONG


def test_question_gives_back_what_was_typed_and_is_good_for_one_answer(database: Database) -> None:
    typed = {"number": "09121234567", "name": "<b>"}
    question = challenges.make_question(SECRET, FORM, typed, NOW)
    answer = str(sum(question.numbers))
    assert all(1 <= number <= 9 for number in question.numbers)
    assert challenges.check_question(database, SECRET, FORM, question.token, answer, LATER) == typed
    with pytest.raises(ChallengeRefused) as refused:
        challenges.check_question(database, SECRET, FORM, question.token, answer, LATER)
    assert refused.value.reason is Refusal.REPLAYED


def test_wrong_answer_uses_the_question_up(database: Database) -> None:
    question = challenges.make_question(SECRET, FORM, {"number": "1"}, NOW)
    for answer, reason in (("0", Refusal.WRONG), (str(sum(question.numbers)), Refusal.REPLAYED)):
        with pytest.raises(ChallengeRefused) as refused:
            challenges.check_question(database, SECRET, FORM, question.token, answer, LATER)
        assert refused.value.reason is reason
    assert challenges.read_typed(SECRET, FORM, question.token) == {"number": "1"}


def test_used_challenges_are_forgotten_when_they_have_expired(database: Database) -> None:
    for minutes in (0, 40, 80):
        now = NOW + timedelta(minutes=minutes)
        puzzle = challenges.make_puzzle(SECRET, FORM, now)
        assert refusal(database, puzzle.token, solve(puzzle), now + timedelta(seconds=5)) is None
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Count)) == 1

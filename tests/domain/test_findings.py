"""Findings: words that can be translated, apart from their values."""

import ast
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.findings import Finding, Level, Line, Part, fault, from_json, ok, say, to_json, warning

DOCTOR = Path(__file__).parents[2] / "app/doctor"
RELOAD = say("then %(command)s", command=Line("dialplan reload"))
FOUND = fault(
    "no-dialplan",
    say("No dialplan for %(names)s since %(moment)s.", names=("a", "b"), moment=datetime(2026, 3, 2, 8, tzinfo=UTC))
    + say("%(count)s calls are lost.", count=3),
    say("In %(file)s: %(line)s; %(reload)s.", file="a.conf", line=Line("say `hi` 100%"), reload=RELOAD),
)


def test_as_text_they_are_english_with_lines_between_backticks() -> None:
    assert FOUND.text == "No dialplan for a, b since 2026-03-02 08:00:00 UTC. 3 calls are lost."
    assert FOUND.fix == "In a.conf: `say `hi` 100%`; then `dialplan reload`."


def test_lines_to_paste_are_those_of_the_advice() -> None:
    assert (FOUND.level, FOUND.lines) == (Level.FAULT, ("say `hi` 100%", "dialplan reload"))
    late = warning("late", say("Late."), say("Choose %(lines)s.", lines=(Line("a"), Line("b"))))
    assert (late.level, late.lines) == (Level.WARNING, ("a", "b"))
    assert (ok("fine", say("Fine.")).level, ok("fine", say("Fine.")).fix) == (Level.OK, "")


def test_json_has_the_english_text_and_all_that_it_was_made_of() -> None:
    values = json.loads(json.dumps(to_json(FOUND)))
    assert (values["code"], values["text"], values["fix"]) == ("no-dialplan", FOUND.text, FOUND.fix)
    assert values["lines"] == list(FOUND.lines)
    assert from_json(values) == FOUND
    other = Finding(Level.OK, "x", say("Fine."), part=Part.PBX)
    assert from_json(to_json(other)) == other


def test_json_that_is_no_finding_is_refused() -> None:
    values = to_json(FOUND)
    values["said"][0]["values"]["names"] = None
    with pytest.raises(ValueError, match="no value of a finding: None"):
        from_json(values)


def calls(name: str) -> list[ast.Call]:
    """Return the calls of a function in the doctor."""
    trees = [ast.parse(file.read_text()) for file in sorted(DOCTOR.glob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in nodes if isinstance(node.func, ast.Name) and node.func.id == name]


def test_words_of_the_doctor_are_literals_that_can_be_found_for_translation() -> None:
    assert len(calls("say")) > 100
    for call in calls("say"):
        (words,) = call.args
        assert isinstance(words, ast.Constant) and isinstance(words.value, str), ast.unparse(call)
        values = {keyword.arg: "" for keyword in call.keywords}
        if None not in values:  # None: values that are given as a dictionary
            assert words.value % values is not None
            assert all(f"%({name})s" in words.value for name in values), ast.unparse(call)


def test_each_code_names_one_finding() -> None:
    codes = [ast.unparse(call.args[0]) for name in ("ok", "warning", "fault") for call in calls(name)]
    assert len(codes) > 50 and sorted(codes) == sorted(set(codes))

"""Read the steps of a dialplan: from our file, and from what Asterisk shows of what it runs."""

import re
from dataclasses import dataclass

Steps = dict[tuple[str, str, str], "Step"]  # by context, extension, and priority or "hint"
_STEP = re.compile(
    r"(?:exten => (?P<exten>[^,]+),(?P<first>[0-9]+|hint)| same => n(?:\((?P<label>[a-z]+)\))?),(?P<does>.*)"
)
_SHOWN_CONTEXT = re.compile(r"\[ Context '(?P<context>[^']+)' created by ")
_SHOWN_STEP = re.compile(
    r"  (?:'(?P<exten>[^']+)' =>|   \[(?P<label>[a-z]+)\])? *(?:(?P<priority>[0-9]+)\. |(?P<hint>hint): )(?P<does>.*?)"
    r" +\[[^\]]*\]"
)


@dataclass(frozen=True)
class Step:
    """An application with its data, or the devices of a hint."""

    does: str
    label: str = ""


def read_file(text: str) -> Steps:
    """Return the steps of a dialplan that we have written. Raises AssertionError for a step that is there twice."""
    found: Steps = {}
    context = extension = ""
    priority = 0
    for line in text.splitlines():
        if line.startswith("["):
            context = line.partition("]")[0][1:]
        step = _STEP.fullmatch(line)
        if step is None:
            assert line.lstrip().startswith((";", "[", "include => ")) or not line, line
            continue
        extension = step["exten"] or extension
        if step["first"] != "hint":
            priority = int(step["first"]) if step["first"] else priority + 1
        key = (context, extension, "hint" if step["first"] == "hint" else str(priority))
        assert key not in found, key
        found[key] = Step(step["does"].replace("\\;", ";"), step["label"] or "")
    return found


def read_shown(output: str) -> Steps:
    """Return the steps of our contexts in the output of `dialplan show`."""
    found: Steps = {}
    context = extension = ""
    for line in output.splitlines():
        if heading := _SHOWN_CONTEXT.match(line):
            context = heading["context"]
        elif context.startswith("bazang-") and (step := _SHOWN_STEP.fullmatch(line)):
            extension = step["exten"] or extension
            found[context, extension, step["hint"] or step["priority"]] = Step(step["does"], step["label"] or "")
    return found

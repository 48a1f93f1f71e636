"""Validation of modules: an error code for every invalid field."""

from dataclasses import fields
from typing import Any

import pytest

from app.audio.prompt_texts import PROMPT_KEYS
from app.domain.routing import Destination
from app.services.modules.input import BOUNDS, ModuleInput
from app.services.modules.validation import check_module
from app.services.prompts.input import PromptInput
from app.store.database import Database
from tests.support.factories import create_module, make_module_input
from tests.support.rows import for_each


def module(code: str = "*5001") -> Destination:
    return Destination("module", code)


def errors_of(database: Database, module_id: int | None = None, **fields: Any) -> dict[str, str]:
    with database.read() as session:
        return check_module(session, make_module_input(**fields), module_id)


def test_valid_modules(database: Database) -> None:
    create_module(database, code="*5002")
    assert errors_of(database) == {}
    full: dict[str, Any] = {
        "targets": ("101", "*102", "#3"),
        "next": module("*5002"),
        "error": Destination("custom", "ivr-main,s,1"),
        "language": "en",
        "caller_id": "+982188880000",
        "prompts": {"intro": PromptInput("file", file="1/intro.wav"), "is": PromptInput("none")},
    }
    assert errors_of(database, **full) == {}
    queue: dict[str, Any] = {"target_kind": "queue", "targets": ("sales-1_a.b",), "next": Destination("queue", "صف ۲")}
    assert errors_of(database, **queue) == {}
    assert errors_of(database, prompts={key: PromptInput(text="x" * 1500) for key in PROMPT_KEYS}) == {}


def test_one_module_is_offered_in_a_queue(database: Database) -> None:
    queue: dict[str, Any] = {"target_kind": "queue", "targets": ("800",)}
    create_module(database, code="*5002", **queue, offer_key="1")
    assert errors_of(database, **queue) == errors_of(database, 1, code="*5002", **queue, offer_key="2") == {}
    assert errors_of(database, **queue, offer_key="2") == {"offer_key": "offered"}
    assert errors_of(database, target_kind="queue", targets=("801",), offer_key="1") == {}
    assert errors_of(database, targets=("800",), offer_key="1") == {}, "an extension"
    for key in "0*#":
        assert errors_of(database, target_kind="queue", targets=("801",), offer_key=key) == {}


@pytest.fixture
def one_module(database: Database) -> None:
    create_module(database, code="*5099")


@for_each(
    ("given", "errors"),
    [
        ({"name": ""}, {"name": "required"}),
        ({"name": " " * 81}, {"name": "required"}),
        ({"name": "x" * 81}, {"name": "too_long"}),
        ({"name": "a\u202eb"}, {"name": "characters"}),
        ({"code": ""}, {"code": "code"}),
        ({"code": "5001a"}, {"code": "code"}),
        ({"code": "5001\n"}, {"code": "code"}),
        ({"code": "۵۰۰۱"}, {"code": "code"}),
        ({"code": "1" * 21}, {"code": "code"}),
        ({"code": "*5099"}, {"code": "taken"}),
        ({"language": "de"}, {"language": "choice"}),
        *(({"offer_key": key}, {"offer_key": "choice"}) for key in ("**", "*1", "12", "x", "۱", "A")),
        ({"language": "de", "voice": "de"}, {"language": "choice", "voice": "choice"}),
        ({"language": "fa", "voice": "en-us+f3"}, {"voice": "choice"}),
        ({"voice": "piper:../x"}, {"voice": "choice"}),
        ({"rate": 79}, {"rate": "range"}),
        ({"rate": 451}, {"rate": "range"}),
        ({"pitch": -1}, {"pitch": "range"}),
        ({"pitch": 100}, {"pitch": "range"}),
        ({"retry_pauses": ()}, {"retry_pauses": "pauses"}),
        ({"retry_pauses": (60,) * 11}, {"retry_pauses": "pauses"}),
        ({"retry_pauses": (60, 9)}, {"retry_pauses": "pauses"}),
        ({"retry_pauses": (7 * 24 * 3600 + 1,)}, {"retry_pauses": "pauses"}),
        ({"busy_pause": 9}, {"busy_pause": "range"}),
        ({"busy_pause": -1}, {"busy_pause": "range"}),
        ({"busy_pause": 7 * 24 * 3600 + 1}, {"busy_pause": "range"}),
        ({"caller_id": "Sales"}, {"caller_id": "number"}),
        ({"caller_id": "1"}, {"caller_id": "number"}),
        ({"caller_id": "0" * 21}, {"caller_id": "number"}),
        ({"target_kind": "module"}, {"target_kind": "choice"}),
        ({"targets": ()}, {"targets": "required"}),
        ({"targets": ("101", "10a")}, {"targets": "code"}),
        ({"target_kind": "queue", "targets": ("a", "b")}, {"targets": "one_queue"}),
        ({"target_kind": "queue", "targets": ("a,b",)}, {"targets": "queue_name"}),
        ({"next": Destination()}, {"next_kind": "choice"}),
        ({"next": Destination("ivr")}, {"next_kind": "choice"}),
        ({"next": Destination("extension")}, {"next_code": "required"}),
        ({"next": module("*5098")}, {"next_code": "no_module"}),
        ({"next": module("*5001")}, {"next_code": "no_module"}),
        ({"error": Destination("fax")}, {"error_kind": "choice"}),
        ({"error": Destination("custom", "a,b,c")}, {"error_code": "custom"}),
        ({"agent_order": "by_age"}, {"agent_order": "choice"}),
        ({"fallback": Destination("queue", "800")}, {"fallback_after": "required"}),
        ({"fallback_after": 60}, {"fallback_kind": "choice"}),
        ({"fallback_after": 60, "fallback": Destination("custom", "a,b,1")}, {"fallback_kind": "choice"}),
        ({"fallback_after": 60, "fallback": Destination("queue")}, {"fallback_code": "required"}),
        ({"fallback_after": 60, "fallback": Destination("extension", "a&b")}, {"fallback_code": "code"}),
        ({"prompts": {"outro": PromptInput()}}, {"prompt_outro": "choice"}),
        ({"prompts": {"intro": PromptInput("sing")}}, {"prompt_intro": "choice"}),
        ({"prompts": {"intro": PromptInput("file")}}, {"prompt_intro": "no_file"}),
        ({"prompts": {"intro": PromptInput(text="x" * 1501)}}, {"prompt_intro": "too_long"}),
    ],
)
def test_invalid_fields(database: Database, one_module: None, given: dict[str, Any], errors: dict[str, str]) -> None:
    assert errors_of(database, **given) == errors


@pytest.mark.parametrize("name", BOUNDS)
def test_numbers_have_bounds(database: Database, name: str) -> None:
    least, most = BOUNDS[name]
    for value, errors in ((least - 1, {name: "range"}), (least, {}), (most, {}), (most + 1, {name: "range"})):
        fields: dict[str, Any] = {name: value}
        if name == "fallback_after" and value:
            fields["fallback"] = Destination("queue", "800")
        assert errors_of(database, **fields) == errors


@pytest.mark.parametrize("pause", [10, 7 * 24 * 3600])
def test_pauses_have_bounds(database: Database, pause: int) -> None:
    assert errors_of(database, retry_pauses=(pause,) * 10, busy_pause=pause) == {}


def test_defaults_are_within_the_bounds() -> None:
    defaults: dict[str, Any] = {field.name: field.default for field in fields(ModuleInput) if field.name in BOUNDS}
    assert [name for name, (least, most) in BOUNDS.items() if not least <= defaults[name] <= most] == []


def test_all_errors_are_returned_at_once(database: Database) -> None:
    invalid: dict[str, Any] = {"name": "", "code": "", "targets": (), "rest": -1}
    errors = errors_of(database, **invalid, next=Destination(), error=Destination("custom"))
    assert errors.keys() == {"name", "code", "targets", "next_kind", "error_code", "rest"}


def test_module_keeps_its_own_code(database: Database) -> None:
    stored = create_module(database, code="*5001")
    assert errors_of(database, stored.id) == {}
    assert errors_of(database) == {"code": "taken"}


def test_code_with_references_cannot_change(database: Database) -> None:
    stored = create_module(database, code="*5001")
    assert errors_of(database, stored.id, code="*5009") == {}
    create_module(database, code="*5002", next_kind="module", next_code="*5001")
    assert errors_of(database, stored.id, code="*5009") == {"code": "in_use"}


def test_module_with_a_new_code_cannot_point_to_its_old_code(database: Database) -> None:
    stored = create_module(database, code="*5001")
    assert errors_of(database, stored.id, code="*5002", next=module("*5001")) == {"next_code": "no_module"}


# -- circles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["next", "error"])
def test_module_cannot_point_to_itself(database: Database, field: str) -> None:
    stored = create_module(database, code="*5001")
    assert errors_of(database, stored.id, **{field: module("*5001")}) == {f"{field}_code": "cycle"}


@pytest.mark.parametrize("back", ["next", "error"])
def test_chain_of_modules_cannot_lead_back(database: Database, back: str) -> None:
    first = create_module(database, code="*5001")
    create_module(database, code="*5003", **{f"{back}_kind": "module", f"{back}_code": "*5001"})
    create_module(database, code="*5002", error_kind="module", error_code="*5003")
    assert errors_of(database, first.id, error=module("*5002")) == {"error_code": "cycle"}


def test_two_chains_can_lead_to_the_same_module(database: Database) -> None:
    first = create_module(database, code="*5001")
    create_module(database, code="*5004")
    both = {"next_kind": "module", "next_code": "*5004", "error_kind": "module", "error_code": "*5004"}
    for code in ("*5002", "*5003"):
        create_module(database, code=code, **both)
    assert errors_of(database, first.id, next=module("*5002"), error=module("*5003")) == {}


def test_circle_of_other_modules_ends_the_search(database: Database) -> None:
    """Two forms that are saved at the same time can make such a circle."""
    create_module(database, code="*5002", next_kind="module", next_code="*5003")
    create_module(database, code="*5003", next_kind="module", next_code="*5002")
    assert errors_of(database, next=module("*5002")) == {}


def test_chain_that_ends_in_a_missing_module_is_no_circle(database: Database) -> None:
    create_module(database, code="*5002", next_kind="module", next_code="*5999")
    assert errors_of(database, next=module("*5002")) == {}


def test_extension_with_the_number_of_the_code_is_no_circle(database: Database) -> None:
    stored = create_module(database, code="101")
    assert errors_of(database, stored.id, code="101", next=Destination("extension", "101")) == {}

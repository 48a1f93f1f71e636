"""Form fields with destinations, and the form that shows what the PBX knows about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import flash, request
from flask_babel import gettext as _
from wtforms import Form, FormField, SelectField

from app.domain.routing import Destination, DestinationKind
from app.domain.text import displayable
from app.services.pbx.destinations import SaveResult
from app.services.pbx.directory import Directory
from app.web import wording
from app.web.context import office, pbx
from app.web.fields import DigitsField, Fault, PanelForm, choices, show_errors, typed_text
from app.web.formats import digits, fill_in
from app.web.pbx.findings import Finding, describe_existing, describe_warning

CONFIRMED_FIELD = "accepted"  # the ticks that confirm warnings
_KINDS = {kind: label for kind, label in wording.DESTINATION.items() if kind != DestinationKind.HANGUP}
_TARGETS = {kind: wording.DESTINATION[kind] for kind in (DestinationKind.EXTENSION, DestinationKind.QUEUE)}
_HANG_UP = wording.DESTINATION[DestinationKind.HANGUP]


def confirmed_keys() -> list[str]:
    """Return the keys of the warnings that the user confirmed."""
    return request.values.getlist(CONFIRMED_FIELD)


class _Required(Form):
    kind = SelectField(choices=choices({**_KINDS, DestinationKind.HANGUP: _HANG_UP}), validate_choice=False)
    code = DigitsField()


class _Optional(Form):
    kind = SelectField(choices=choices({DestinationKind.NONE: _HANG_UP, **_KINDS}), validate_choice=False)
    code = DigitsField()


class _Target(Form):
    kind = SelectField(choices=choices({DestinationKind.NONE: wording.NOBODY, **_TARGETS}), validate_choice=False)
    code = DigitsField()


def parse_destination(kind: str, code: str) -> Destination:
    """Return the destination of a field. `kind` is a kind, whose code was typed, or a choice such as "module:*5001"."""
    chosen, is_choice, chosen_code = kind.partition(":")
    return Destination(chosen, typed_text([chosen_code])) if is_choice else Destination(kind, code)


@dataclass(frozen=True)
class ChoiceGroup:
    """Choices of a destination under one heading, "" for none. `choices`: values and labels."""

    title: str
    choices: Sequence[tuple[str, str]]


class DestinationField(FormField):
    """A destination. A field `next` consists of the fields `next_kind` and `next_code`.

    It is chosen from what there is, or its kind is chosen and its code typed; see `parse_destination`.

    `optional`: it offers the kind "" and not "hangup" for ending the call. `target`: it offers extensions, queues, and
    nobody.
    """

    def __init__(
        self, label: object, description: object, *, optional: bool = False, target: bool = False, **options
    ) -> None:
        form_class = _Target if target else _Optional if optional else _Required
        super().__init__(form_class, label, separator="_", description=description, **options)

    @property
    def kind(self) -> SelectField:
        return self.form.kind

    @property
    def code(self) -> DigitsField:
        return self.form.code

    @property
    def destination(self) -> Destination:
        """What was typed. The code of a call that ends is left out."""
        typed = Destination(self.kind.data or "", self.code.data or "")
        return Destination(typed.kind) if typed.ends_call else typed

    def process(self, formdata, *args, **options) -> None:
        super().process(formdata, *args, **options)
        given = parse_destination(self.kind.data or "", self.code.data or "")
        self.kind.data, self.code.data = given.kind, given.code

    def show(self, destination: Destination) -> None:
        self.process(None, destination)

    def groups(self, directory: Directory) -> list[ChoiceGroup]:
        """Return what can be chosen: nothing, what there is of each kind, and the kinds whose code is typed."""
        offered = {str(kind): str(label) for kind, label, *_rest in self.kind.iter_choices()}
        ends = [(kind, label) for kind, label in offered.items() if Destination(kind).ends_call]
        typed = [(kind, f"{label} …") for kind, label in offered.items() if (kind, label) not in ends]
        groups = [ChoiceGroup("", ends)]
        for kind, found in _existing(directory).items():
            if kind in offered and found:
                groups.append(ChoiceGroup(offered[kind], [(f"{kind}:{code}", label) for code, label in found]))
        return [*groups, ChoiceGroup(_("typed by hand"), typed)]

    def chosen(self, directory: Directory) -> str:
        """Return the value of the choice that is shown."""
        value = f"{self.kind.data}:{self.code.data}"
        is_offered = any(value == choice for group in self.groups(directory) for choice, _label in group.choices)
        return value if is_offered else str(self.kind.data or "")


def _existing(directory: Directory) -> dict[str, list[tuple[str, str]]]:
    """Return the codes and labels of what there is, by kind."""
    modules = [(module.code, _label(module.code, module.name, module.active)) for module in directory.modules.values()]
    extensions = [(one.number, _label(one.number, one.name)) for one in directory.extensions.values()]
    return {
        DestinationKind.MODULE: modules,
        DestinationKind.EXTENSION: extensions,
        DestinationKind.QUEUE: [(queue, displayable(digits(queue))) for queue in directory.queues],
        DestinationKind.CUSTOM: [(location, f"\u2066{location}\u2069") for location in directory.locations],
    }


def _label(code: str, name: str, is_active: bool = True) -> str:
    """Return the label of a choice: its code, which keeps its direction, and its name."""
    label = f"\u2066{digits(code)}\u2069 {displayable(name)}".strip()
    return label if is_active else _("%(name)s (inactive)", name=label)


def location_suggestions() -> list[str]:
    """Return where the known contexts of the PBX start, for someone who types a location of the dialplan."""
    contexts = (pbx().extension_context, pbx().queue_context, office().outbound_context)
    return [f"{context},s,1" for context in dict.fromkeys(contexts) if context]


class DestinationsForm(PanelForm):
    """A form with destinations. `findings`: what is shown beside each of its fields, by field."""

    def __init__(self) -> None:
        super().__init__()
        self.findings: dict[str, list[Finding]] = {}

    def show_result(self, result: SaveResult) -> None:
        """Show the errors and warnings beside their fields, and above the form the warnings to be confirmed."""
        show_errors(self, dict(result.errors))
        for field, warnings in result.warnings.items():
            self.findings[field] = [describe_warning(warning) for warning in warnings]
            label = self.label_of(field)
            texts = [finding.text for finding in self.findings[field] if not finding.confirmed]
            self.form_errors += [fill_in("%(label)s: %(text)s", label=label, text=text) for text in texts]

    def other_faults(self) -> list[Fault]:
        """Return the warnings that somebody has to confirm."""
        return [
            Fault(finding.text, self.label_of(field), f"{field}-field")
            for field, findings in self.findings.items()
            for finding in findings
            if finding.confirmation and not finding.confirmed
        ]

    def label_of(self, field: str) -> str:
        return str(self[field].label.text)

    def show_existing(self, directory: Directory) -> None:
        """Show what the directory has, beside fields without errors and warnings."""
        for name, destination in self.single_destinations().items():
            if not self[name].errors and not self.findings.get(name):
                existing = describe_existing(directory, destination)
                self.findings[name] = [existing] if existing else []

    def single_destinations(self) -> Mapping[str, Destination]:
        """Return the destinations of the fields that have just one."""
        return {field.name: field.destination for field in self if isinstance(field, DestinationField)}


def flash_unanswered(result: SaveResult) -> None:
    """Say on the next page that the PBX could not be asked about what was saved."""
    if not result.pbx_answered:
        flash(_("The PBX could not be asked about the destinations; they are saved as typed."), "warning")

"""Add modules by the form."""

from typing import Any

from tests.web.pages import Fields, Page, Visitor

NEW = "/modules/new"
VALID = {"name": "Sales", "code": "*5001", "targets": "101"}
_untouched: dict[str | None, Fields] = {}


def untouched_fields(admin: Visitor) -> Fields:
    """Return what the form for a new module sends if nothing is typed.

    The form is the largest page, and many tests need it only to fill it in. So it is read once in a run, for each
    language. The code is missing, since the one that is suggested depends on the office.
    """
    if admin.locale not in _untouched:
        fields = admin.get(NEW).fields()
        _untouched[admin.locale] = {name: values for name, values in fields.items() if name != "code"}
    return _untouched[admin.locale]


def add_module(admin: Visitor, status: int = 302, /, **changes: Any) -> Page:
    """Fill in and submit the form for a new module."""
    return admin.submit(untouched_fields(admin), NEW, status, **(VALID | changes))

"""Try many rows of a table in one test, where each needs the same office and leaves it as it was."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def for_each(names: str | tuple[str, ...], rows: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test for each row, as `pytest.mark.parametrize` does, but with the same fixtures for all rows.

    A new office costs more than what most rows try. A row that fails is a failed subtest, and the others are tried.
    """

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        one = isinstance(names, str)
        row_names = (names,) if isinstance(names, str) else names

        @functools.wraps(test)
        def run(subtests: pytest.Subtests, **fixtures: Any) -> None:
            given = list(rows)
            assert given, "there are no rows"
            for row in given:
                values = dict(zip(row_names, (row,) if one else row, strict=True))
                with subtests.test(" ".join(f"{name}={value!r:.80}" for name, value in values.items())):
                    test(**fixtures, **values)

        parameters = [value for name, value in inspect.signature(test).parameters.items() if name not in row_names]
        subtests = inspect.Parameter("subtests", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__signature__ = inspect.Signature([subtests, *parameters])  # type: ignore[attr-defined]
        return run

    return decorate

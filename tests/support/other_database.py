"""Collect the tests of a module once more in another one, whose fixtures give another kind of database."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


def taken_over(*modules: ModuleType, fixture: str = "database") -> Mapping[str, Callable[..., Any]]:
    """Return the tests of these modules that take a fixture, by names that say where they are from."""
    return {
        f"{name}__{module.__name__.rpartition('_')[2]}": value
        for module in modules
        for name, value in vars(module).items()
        if name.startswith("test_") and callable(value) and fixture in value.__annotations__
    }

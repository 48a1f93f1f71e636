"""Share caches between the applications of a process, and with the processes that it forks, to save time.

Each test has its own application and database, and each worker its own process. Only results that depend on the code
alone are shared: URL rules and their builders, compiled SQL statements and compiled templates.
"""

from types import CodeType
from typing import Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from app.store.models import Base

_STATEMENTS = 4000  # several times the number of statements in the code


class Templates(BytecodeCache):
    """A memory cache of compiled templates. Without it, the environment of each application compiles them again."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._code[bucket.key, bucket.checksum] = bucket.code


class _Statements(LRUCache[Any, Any]):
    """A cache of compiled SQL statements. SQLAlchemy's keys contain the dialect object, which differs for each engine.

    All engines of the tests have the same options, so the class of the dialect is enough.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), value)


_statements = _Statements(_STATEMENTS)
_builders: dict[tuple[object, ...], Any] = {}
_parsed: dict[str, tuple[list[Any], list[Any], dict[str, Any]]] = {}


def share_caches() -> None:
    """Share the caches in this process. Call it once, before an application is created."""
    compile_builder, parse_rule = Rule._compile_builder, Rule._parse_rule

    def engine_created(_dialect: type[DefaultDialect], engine: Engine) -> None:
        engine._compiled_cache = _statements

    def builder(self: Rule, append_unknown: bool = True) -> Any:
        if self.defaults:  # default values are part of the compiled builder
            return compile_builder(self, append_unknown)
        key = (self.rule, tuple(self._trace), append_unknown)
        if key not in _builders:
            _builders[key] = compile_builder(self, append_unknown)
        return _builders[key]

    def parse(self: Rule, rule: str) -> list[Any]:
        """Parse a rule, which all applications read with the same converters."""
        if rule not in _parsed:
            before = len(self._trace)
            parts = list(parse_rule(self, rule))
            _parsed[rule] = parts, self._trace[before:], dict(self._converters)
            return parts
        parts, trace, converters = _parsed[rule]
        self._trace += trace
        self._converters.update(converters)
        self.arguments.update(converters)
        return parts

    for mapper in Base.registry.mappers:  # a session caches its writes in the mapper, not in the engine
        mapper.__dict__["_compiled_cache"] = _statements
    DefaultDialect.engine_created = classmethod(engine_created)  # type: ignore[method-assign,assignment]
    Rule._compile_builder = builder  # type: ignore[method-assign]
    Rule._parse_rule = parse  # type: ignore[method-assign]

"""What every test's own application would work out anew, done once per process for all of them.

A test still gets an application and a database of its own. Only what follows from the code alone is shared: how
addresses are built, how statements read in SQL, and the compiled templates.
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

_STATEMENTS = 4000  # several times as many as there are in all of the code


class Templates(BytecodeCache):
    """Jinja's compiled templates, kept in memory: each application has an environment, and would compile them anew."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._code[bucket.key, bucket.checksum] = bucket.code


class _Statements(LRUCache[Any, Any]):
    """SQLAlchemy's compiled statements. Its keys name the dialect's object, and every engine has one of its own.

    All engines here are made with the same options, so the kind of dialect says as much.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), value)


_statements = _Statements(_STATEMENTS)
_builders: dict[tuple[object, ...], Any] = {}


def share_caches() -> None:
    """Share from now on, in this process. Called once, before any test."""
    compile_builder = Rule._compile_builder

    def engine_created(_dialect: type[DefaultDialect], engine: Engine) -> None:
        engine._compiled_cache = _statements

    def builder(self: Rule, append_unknown: bool = True) -> Any:
        if self.defaults:  # they are written into the code
            return compile_builder(self, append_unknown)
        key = (self.rule, tuple(self._trace), append_unknown)
        if key not in _builders:
            _builders[key] = compile_builder(self, append_unknown)
        return _builders[key]

    for mapper in Base.registry.mappers:  # what a session writes is kept there, not with the engine
        mapper.__dict__["_compiled_cache"] = _statements
    DefaultDialect.engine_created = classmethod(engine_created)  # type: ignore[method-assign,assignment]
    Rule._compile_builder = builder  # type: ignore[method-assign]

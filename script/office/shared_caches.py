"""Share caches between the applications of a process, and with the processes that it forks, to save time.

Each test has its own application and database, and each worker its own process. Only results that depend on the code
alone are shared: compiled URL rules, SQL statements and templates, and the digests of static files.
"""

from collections.abc import Hashable
from functools import cache
from types import CodeType
from typing import Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Map, Rule, RuleFactory
from werkzeug.routing.matcher import StateMachineMatcher

from app.store.models import Base
from app.web import assets

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
_routes: dict[Hashable, tuple[StateMachineMatcher, dict[Any, list[Rule]]]] = {}


def share_caches() -> None:
    """Share the caches in this process. Call it once, before an application is created."""

    def engine_created(_dialect: type[DefaultDialect], engine: Engine) -> None:
        engine._compiled_cache = _statements

    for mapper in Base.registry.mappers:  # a session caches its writes in the mapper, not in the engine
        mapper.__dict__["_compiled_cache"] = _statements
    DefaultDialect.engine_created = classmethod(engine_created)  # type: ignore[method-assign,assignment]
    assets._current_digest = cache(assets._current_digest.__wrapped__)  # type: ignore[assignment]
    _share_url_maps()


def _share_url_maps() -> None:
    """Compile the URL rules of an application when they are first needed, and those of applications alike once."""
    add, update = Map.add, Map.update

    def add_later(self: Map, rulefactory: RuleFactory) -> None:
        self.__dict__.setdefault("given", []).extend(rulefactory.get_rules(self))
        self._remap = True

    def compile_once(self: Map) -> None:
        if not self._remap:
            return
        given: list[Rule] = self.__dict__.get("given", [])
        key = tuple(self.converters.values()), self.merge_slashes, self.host_matching, *map(_describe, given)
        if key not in _routes:
            alone = Map(
                default_subdomain=self.default_subdomain,
                strict_slashes=self.strict_slashes,
                merge_slashes=self.merge_slashes,
                redirect_defaults=self.redirect_defaults,
                converters=self.converters,
                host_matching=self.host_matching,
            )
            for rule in given:
                rule.map = None  # type: ignore[assignment]  # it may belong to the map of the application before a rule was added
                add(alone, rule)
            update(alone)
            _routes[key] = alone._matcher, alone._rules_by_endpoint
        self._matcher, self._rules_by_endpoint = _routes[key]
        self._remap = False

    Map.add = add_later  # type: ignore[method-assign]
    Map.update = compile_once  # type: ignore[method-assign]


def _describe(rule: Rule) -> Hashable:
    """Return all that distinguishes a rule from others before it is compiled."""
    options = (rule.strict_slashes, rule.merge_slashes, rule.build_only, rule.alias, rule.websocket)
    methods = rule.methods if rule.methods is None else frozenset(rule.methods)
    where = (rule.rule, rule.subdomain, rule.host, rule.endpoint)
    automatic = getattr(rule, "provide_automatic_options", None)
    return *where, methods, repr(rule.defaults), rule.redirect_to, *options, automatic

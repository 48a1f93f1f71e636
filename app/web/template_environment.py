"""The environment of the templates."""

from collections.abc import Callable, MutableMapping
from types import FunctionType
from typing import Any

from flask.templating import Environment
from jinja2.runtime import Context, Macro
from jinja2.utils import internalcode


class TemplateContext(Context):
    """Calls macros and plain functions without asking how they want to be called. A list has thousands of calls."""

    @internalcode
    def call(self, obj: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Return the result of `obj`, which gets context, evaluation context or environment first if it wants one."""
        if type(obj) is Macro:
            kwargs.pop("_block_vars", None)
            kwargs.pop("_loop_vars", None)
            return obj(self.eval_ctx, *args, **kwargs)
        if type(obj) is FunctionType and not hasattr(obj, "jinja_pass_arg"):
            kwargs.pop("_block_vars", None)
            kwargs.pop("_loop_vars", None)
            return obj(*args, **kwargs)
        return super().call(obj, *args, **kwargs)


class TemplateEnvironment(Environment):
    """Gives each template a plain dictionary of its globals.

    A template looks all of them up whenever it imports another one. In Jinja's ChainMap this takes a tenth of the time
    of a page. A global that is added after a template was loaded is unknown to it.
    """

    context_class = TemplateContext

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Return the globals of the environment and those in `d`."""
        return {**self.globals, **(d or {})}

"""How something refers to a module, in words."""

from flask_babel import lazy_gettext as _l

from app.web.wording import SITUATION

# The destination through which something leads to a module.
REFERENCE = {
    **SITUATION,
    "next": _l("next destination"),
    "error": _l("error destination"),
    "failed": _l("failed-call destination"),
}

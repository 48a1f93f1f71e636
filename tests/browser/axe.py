"""What axe-core finds in a page: rules for people who hear it, or use it by the keyboard."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Moderate and minor findings are matters of taste; the page's landmarks and headings are held by tests/web.
SERIOUS = ("serious", "critical")
# Contrast is computed by looks.js, in all colours and more strictly; here it would take as long as all other rules.
OPTIONS = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": False}}}
_axe = Axe()


def find_barriers(page: Page) -> list[str]:
    """Return what is serious or critical, a line each: the rule, and the first places."""
    results = _axe.run(page, options=OPTIONS).response["violations"]
    return [
        f"axe {found['id']}: {'; '.join(node['html'][:120] for node in found['nodes'][:3])}"
        for found in results
        if found["impact"] in SERIOUS
    ]

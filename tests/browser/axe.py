"""Check a page for accessibility problems with axe-core."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Moderate and minor findings are often a matter of taste. tests/web checks landmarks and headings.
SERIOUS = ("serious", "critical")
# looks.js checks the contrast in all colour themes and more strictly. Axe would need most of its time for it.
OPTIONS = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": False}}}
# Axe gives each finding the impact of its rule, so rules of less impact need not run. Only the findings are returned:
# most of the time went into sending all the rest.
RUN = """async ([options, impacts]) => {
  for (const { id, impact } of axe._audit.rules) {
    if (impact && !impacts.includes(impact)) options.rules[id] = { enabled: false };
  }
  return (await axe.run(options)).violations;
}"""
_axe = Axe()


def find_barriers(page: Page) -> list[str]:
    """Return the serious and critical findings. Each is a line with the rule and the first places."""
    page.evaluate(_axe.axe_script)
    results = page.evaluate(RUN, [OPTIONS, SERIOUS])
    return [
        f"axe {found['id']}: {'; '.join(node['html'][:120] for node in found['nodes'][:3])}"
        for found in results
        if found["impact"] in SERIOUS
    ]

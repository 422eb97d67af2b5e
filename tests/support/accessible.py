"""Findings of axe on a page in a browser."""

from importlib import import_module

ALL = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
"""The rules of WCAG 2.2 AA."""

OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""Those whose findings depend on colours: the others have the same in the dark."""

FINDINGS = """async only => {
  const found = await axe.run(document, {runOnly: only, preload: false, resultTypes: ["violations"]});
  const places = each => each.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(" | ");
  return found.violations.map(each => `${each.id}: ${places(each)}`);
}"""


async def findings(page, rules: dict = ALL) -> list[str]:
    """Return the violations of WCAG 2.2 AA that axe finds on the page: each rule with its first places."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(import_module("axe_playwright_python.base").AXE_SCRIPT)
    return await page.evaluate(FINDINGS, rules)

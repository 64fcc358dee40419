"""What is wrong with a page in a real browser: for an accessibility checker, and where columns are cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe

VIEWS = [(width, scheme) for width in (390, 1400) for scheme in ("light", "dark")]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
LEFT_OUT = {"exclude": [["[role=img] > svg"], ["tbody tr:nth-child(n + 6)"]]}
"""Drawings, whose texts the checker does not know, and the rows of a table after its first five."""
CUT = """() => [...document.querySelectorAll('body *')].filter(element => {
    if (getComputedStyle(element).position === 'absolute') return false;  // for screen readers alone
    const box = element.getBoundingClientRect();
    if (box.right <= document.documentElement.clientWidth + 1) return false;
    for (let parent = element.parentElement; parent; parent = parent.parentElement)
        if (['auto', 'scroll'].includes(getComputedStyle(parent).overflowX))
            return !(parent.tabIndex === 0 && parent.getAttribute('aria-label'));
    return true;
}).map(element => element.outerHTML.slice(0, 120))"""
"""Elements that reach beyond the window, unless a labelled container that takes the focus scrolls them."""


def problems(browser: Any, *paths: Path) -> list[str]:
    """Return what is wrong with pages on a phone and on a desk, in light and in dark."""
    page = browser.new_page(bypass_csp=True)  # the checker is a script, which our pages forbid
    try:
        return [problem for path in paths for view in VIEWS for problem in _problems(page, path, *view)]
    finally:
        page.close()


def _problems(page: Any, path: Path, width: int, scheme: str) -> Iterator[str]:
    where = f"{path.name} at {width} px, {scheme}:"
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(path.as_uri())
    found = Axe().run(page, context=LEFT_OUT, options=RULES).response
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}, f"{where} nothing was checked"
    for rule in found["violations"]:
        yield from (f"{where} {rule['id']}: {node['html'][:200]}" for node in rule["nodes"])
    if page.evaluate("document.documentElement.scrollWidth") > width:
        yield f"{where} the page scrolls sideways"
    yield from (f"{where} cut: {element}" for element in page.evaluate(CUT))

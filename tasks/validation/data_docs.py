"""The pages about a run of the gate: Great Expectations' pages, and an index of all checks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from tasks.runtime.markup import Piece, elements, pieces_of, without_elements

if TYPE_CHECKING:
    from tasks.validation.checks import Check

REMOTE = frozenset({"script", "link", "img", "footer", "button"})
"""Elements of Great Expectations' pages that fetch from other hosts, or depend on such elements."""
ADDRESS = re.compile(r"url\(\s*(?:\"[^\"]*\"|'[^']*'|[^)]*)\s*\)")
"""A URL that a style fetches."""

HEAD = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222 }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .7rem; text-align: left; vertical-align: top }
h5 { font-size: 1.1rem; margin: 1.5rem 0 0 }
nav { height: auto !important }
.sticky, .container { position: static; padding: 0 }
.nav { list-style: none; padding: 0 }
.fa-times::before, .no::before { content: "\\2717 failed"; color: #b00020 }
.fa-check-circle::before, .yes::before { content: "\\2713 passed"; color: #1b6e3c }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } a { color: #8ab4f8 } }
</style>
"""

INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="UTF-8"><title>The gate on {{ as_of }}</title>
{{ head | safe }}</head><body>
<h1>The gate on {{ as_of }}: {{ failed or "none" }} of {{ checks | length }} checks failed</h1>
<table><thead>
<tr><th>check</th><th>column</th><th>result</th><th>observed</th><th>threshold</th><th>rows</th></tr>
</thead><tbody>
{% for check in checks %}
<tr><td>{{ check.check }}</td><td>{{ check.column }}</td>
<td class="{{ 'yes' if check.passed else 'no' }}"></td>
<td>{{ check.observed }}</td><td>{{ check.threshold }}</td>
<td>{{ "{:,}".format(check.rows_failed) }}</td></tr>
{% endfor %}
</tbody></table>
<h2>Great Expectations' pages</h2>
<ul>
{% for page in pages %}
<li><a href="{{ page }}">{{ page }}</a></li>
{% endfor %}
</ul>
</body></html>
"""


def finish_data_docs(site: Path, checks: Sequence[Check], as_of: date) -> Path:
    """Make the pages in `site` self-contained and write index.html; return its path.

    Great Expectations' pages fetch styles, scripts and pictures from other hosts. Offline they
    would be incomplete, and online those hosts would learn of each view, so these parts are
    removed.
    """
    shutil.rmtree(site / "static", ignore_errors=True)
    index = site / "index.html"
    pages = sorted(page for page in site.rglob("*.html") if page != index)
    for page in pages:
        page.write_text(self_contained(page.read_text(encoding="utf-8")), encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    html = environment.from_string(INDEX).render(
        head=HEAD,
        as_of=as_of,
        checks=checks,
        failed=sum(not check.passed for check in checks),
        pages=[page.relative_to(site).as_posix() for page in pages],
    )
    index.write_text(html, encoding="utf-8")
    return index


def self_contained(page: str) -> str:
    """Return a page that fetches nothing, with our own styles; everything else stays unchanged.

    Cards with buttons are removed too, because the buttons need a script.
    """
    pieces, texts = pieces_of(page), list[str]()
    for piece in without_elements(
        pieces, [element for element in elements(pieces) if _is_remote(pieces, element)]
    ):
        if (piece.kind, piece.tag) == ("end", "head"):
            texts.append(HEAD)
        texts.append(ADDRESS.sub("none", piece.raw) if piece.kind == "other" else piece.raw)
    return "".join(texts)


def _is_remote(pieces: Sequence[Piece], element: range) -> bool:
    tag = pieces[element.start]
    return tag.tag in REMOTE or ("card" in tag.classes and any("btn" in pieces[at].classes for at in element))

"""The pages about a run of the gate: Great Expectations' pages, and an index of all checks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from html import escape, unescape
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import jinja2

from tasks.runtime.markup import Piece, as_html, elements, pieces_of, without_elements
from tasks.store.files import write_text_atomically

if TYPE_CHECKING:
    from tasks.validation.checks import Check

INDEX_PAGE: Final = "index.html"
REMOVED: Final = frozenset({"script", "style", "link", "img", "footer", "button", "title"})
"""Elements of Great Expectations' pages that fetch from other hosts, depend on such elements, or have
one of ours in their place."""
HEADINGS: Final = ("h4", "h5", "h6")
LOCK: Final = """<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
"""

INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{ head | safe }}</head><body>
{{ navigation | safe }}<main>
<h1>The gate on {{ as_of }}: {{ failed or "none" }} of {{ checks | length }} checks failed</h1>
<div class="scroll" role="region" tabindex="0" aria-label="Checks"><table><thead>
<tr><th scope="col">check</th><th scope="col">column</th><th scope="col">result</th>
<th scope="col">observed</th><th scope="col">threshold</th><th scope="col" class="n">rows</th></tr>
</thead><tbody>
{% for check in checks %}
<tr><th scope="row">{{ check.check }}</th><td>{{ check.column }}</td>
<td class="{{ 'yes' if check.passed else 'no' }}"></td>
<td>{{ check.observed }}</td><td>{{ check.threshold }}</td>
<td class="n">{{ "{:,}".format(check.rows_failed) }}</td></tr>
{% endfor %}
</tbody></table></div>
<h2>Great Expectations' pages</h2>
<ul>
{% for page, name in pages.items() %}
<li><a href="{{ page }}">{{ name }}</a></li>
{% endfor %}
</ul>
</main></body></html>
"""


def finish_data_docs(site: Path, checks: Sequence[Check], as_of: date) -> Path:
    """Make the pages in `site` self-contained and accessible, and write index.html; return its path.

    Great Expectations' pages fetch styles, scripts and pictures from other hosts. Offline they
    would be incomplete, and online those hosts would learn of each view, so these parts are
    removed.
    """
    shutil.rmtree(site / "static", ignore_errors=True)
    index = site / INDEX_PAGE
    pages = sorted(page.relative_to(site) for page in site.rglob("*.html") if page != index)
    names = {page.as_posix(): page_name(PurePosixPath(page.as_posix())) for page in pages}
    for page, name in names.items():
        text = (site / page).read_text(encoding="utf-8")
        home = f"{_upwards(Path(page))}{INDEX_PAGE}"
        (site / page).write_text(self_contained(text, f"{name}, {as_of}", home), encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    html = environment.from_string(INDEX).render(
        head=head(f"The gate on {as_of}"),
        navigation=_navigation(),
        as_of=as_of,
        checks=sorted(checks, key=lambda check: check.passed),  # stable: failed ones first
        failed=sum(not check.passed for check in checks),
        pages=names,
    )
    index.write_text(html, encoding="utf-8")
    return index


def page_name(page: PurePosixPath) -> str:
    """Return what one of Great Expectations' pages is about: `Row rules: results`."""
    kind, suite = page.parts[0], PurePosixPath(page.parts[1]).stem
    about = suite.removeprefix("nightshelf_").replace("_", " ").capitalize()
    return f"{about}: {'results' if kind == 'validations' else kind}"


def head(title: str) -> str:
    """Return the head's elements that all pages share: a title, our styles, and a lock on fetching."""
    return f"{LOCK}<title>{escape(title)} – Nightshelf</title>\n<style>\n{_css()}</style>\n"


def self_contained(page: str, title: str = "Data Docs", home: str = INDEX_PAGE) -> str:
    """Return a page that fetches nothing, with our own styles, title and navigation.

    Cards with buttons are removed too, because the buttons need a script. What an accessibility
    checker misses in Great Expectations' pages is added: the language, a heading of the whole page,
    and around each table a labelled region that scrolls and takes the focus.
    """
    pieces = pieces_of(page)
    removed = [element for element in elements(pieces) if _is_removed(pieces, element)]
    return "".join(_finished(without_elements(pieces, removed), title, home))


def link_report(site: Path, report: str) -> None:
    """Link all pages of `site` to a report, whose address is relative to `site`; again if asked again."""
    for path in sorted(site.rglob("*.html")):
        page = path.read_text(encoding="utf-8")
        linked = _linked(page, f"{_upwards(path.relative_to(site))}{report}")
        if linked != page:
            write_text_atomically(path, linked)


def _is_removed(pieces: Sequence[Piece], element: range) -> bool:
    tag = pieces[element.start]
    if tag.tag in REMOVED or (tag.tag == "nav" and "sticky-top" in tag.classes):
        return True
    return "card" in tag.classes and any("btn" in pieces[at].classes for at in element)


def _finished(pieces: Sequence[Piece], title: str, home: str) -> Iterator[str]:
    """Yield the texts of a page with what is added to it."""
    for piece, heading in zip(pieces, _headings(pieces), strict=True):
        match piece.kind, piece.tag:
            case "start", "html":
                yield piece.raw if "lang" in piece.attributes else _with(piece, 'lang="en"')
            case "end", "head":
                yield head(title) + piece.raw
            case "start", "body":
                yield f"{piece.raw}\n{_navigation(home)}<main>\n<h1>{escape(title)}</h1>\n"
            case "end", "body":
                yield f"</main>{piece.raw}"
            case "start", "nav":
                yield _with(piece, 'aria-label="Parts of this page"')
            case "start", "table":
                label = f'aria-label="{escape(unescape(heading)) or "Table"}"'
                yield f'<div class="scroll" role="region" tabindex="0" {label}>{piece.raw}'
            case "end", "table":
                yield f"{piece.raw}</div>"
            case _:
                yield piece.raw


def _headings(pieces: Sequence[Piece]) -> Iterator[str]:
    """Yield for each piece the heading that it stands under, as written in the page."""
    heading, inside = "", False
    for piece in pieces:
        if piece.tag in HEADINGS:
            inside = piece.kind == "start"
            heading = "" if inside else heading
        elif inside and piece.kind == "text":
            heading = " ".join([*heading.split(), *piece.raw.split()])
        yield heading


def _with(piece: Piece, attribute: str) -> str:
    """Return a start tag with one more attribute."""
    name = 1 + len(piece.tag)
    return f"{piece.raw[:name]} {attribute}{piece.raw[name:]}"


def _navigation(home: str = "") -> str:
    """Return the links to other pages; `link_report` adds one to the report."""
    link = f'<a href="{escape(home)}">All checks</a>' if home else ""
    return f'<nav class="pages" aria-label="Other pages">{link}</nav>\n'


def _linked(page: str, report: str) -> str:
    """Return a page whose navigation has one link to the report."""
    pieces = pieces_of(page)
    ours = [element for element in elements(pieces) if {"report", "pages"} & pieces[element.start].classes]
    kept = without_elements(pieces, [element for element in ours if pieces[element.start].tag == "a"])
    link = f'<a class="report" href="{escape(report)}">The report of the run</a>'
    at = next((at for at, piece in enumerate(kept) if piece.tag == "nav" and "pages" in piece.classes), None)
    return page if at is None else as_html(kept[: at + 1]) + link + as_html(kept[at + 1 :])


def _upwards(page: Path) -> str:
    """Return the way from a page's folder up to that of the site."""
    return "../" * (len(page.parts) - 1)


@cache
def _css() -> str:
    return files("tasks.validation").joinpath("data_docs.css").read_text(encoding="utf-8")

"""Users removed from the pages about runs: samples and ids go, tags and styles stay."""

from __future__ import annotations

from pathlib import Path

from sql.interactions.forgotten import KeyedList
from tasks.erasure.runs import erase_pages
from tasks.erasure.subjects import MARK, Subjects
from tasks.store.layout import Store

PAGE = """<style>.ann { color: red }</style>
<article class="user" id="a"><h3><bdi>ann</bdi> <span>2 events</span></h3><p>ann's list</p></article>
<article class="user" id="b"><h3><bdi>annabel</bdi> <span>1 event</span></h3></article>
<p title="a > ann">ann &gt; annabel</p>
"""
LEFT = f"""<style>.ann {{ color: red }}</style>

<article class="user" id="b"><h3><bdi>annabel</bdi> <span>1 event</span></h3></article>
<p title="a > ann">{MARK} &gt; annabel</p>
"""


def test_a_page_loses_their_samples_and_their_names_but_no_tags(tmp_path: Path) -> None:
    """A quoted > once counted as the end of a tag, and the rest of the tag as text."""
    store, subjects = Store(tmp_path), Subjects(("ann", "17"), KeyedList(b"key", frozenset()))
    store.reports.mkdir()
    page, harmless = store.reports / "one.html", store.reports / "two.html"
    page.write_text(PAGE, encoding="utf-8")
    harmless.write_text("<p>17 users, none of them named</p>", encoding="utf-8")
    for dry_run in (True, False):
        (change,) = erase_pages(store, subjects, dry_run=dry_run)
        assert (change.rows, change.files) == (1, 1)
        assert (page.read_text(encoding="utf-8") == PAGE) == dry_run
    assert page.read_text(encoding="utf-8") == LEFT
    assert erase_pages(store, subjects, dry_run=False) == []

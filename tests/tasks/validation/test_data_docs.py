"""The pages of the gate show every suite and need no network."""

from __future__ import annotations

from worlds.accessible_pages import problems
from worlds.gate_world import SECRET, configuration, refused

from tasks.validation.data_docs import self_contained


def test_the_pages_show_the_suites_and_need_no_network(gate, tmp_path):
    checks = gate()
    site = tmp_path / "docs"
    index = (site / "index.html").read_text()
    assert f"none of {len(checks)} checks failed" in index
    pages = {page.relative_to(site).as_posix(): page.read_text() for page in site.rglob("*.html")}
    for asset in ("profile", "row_rules", "days", "event_types"):
        assert f"nightshelf_{asset}" in pages[f"expectations/nightshelf_{asset}.html"]
        assert any(name.startswith(f"validations/nightshelf_{asset}/2026-03-09/") for name in pages)
    for name, page in pages.items():
        assert name == "index.html" or f'href="{name}"' in index
        assert "default-src 'none'" in page
        assert not {"<script", "<link", "<img", "url("} & set(page.split()), name
        assert "https://" not in page.replace('href="https://greatexpectations.io"', ""), name
        assert SECRET not in page
        assert page.count("<div") == page.count("</div>"), name
    profile = next(page for name, page in pages.items() if name.startswith("validations/nightshelf_profile"))
    assert "min_events: at least 1 events up to 2026-03-09" in profile


def test_the_pages_pass_an_accessibility_checker_on_a_phone_and_a_desk(gate, tmp_path, browser):
    refused(gate, settings=configuration(min_events=1000))
    site = tmp_path / "docs"
    kinds = ("index.html", "expectations/*_profile.html", "validations/*/*/*/*-profile.html")
    pages = [page for kind in kinds for page in site.glob(kind)]  # one of each of its templates
    assert len(pages) == len(kinds)
    assert problems(browser, *pages) == []


def test_a_self_contained_page_fetches_nothing_and_is_well_formed():
    """A regular expression once left end tags of a card, and took a quoted > for a tag's end."""
    page = """<html><head><link href="https://a.example/x.css"><title>A &amp; B</title>
<style>p { background: url('https://a.example/)x.png') }</style><script>"</script>"</script></head>
<body><div class="card"><strong>Actions</strong><div><label class="btn btn-primary">All</label></div></div>
<div class="card"><p>Kept: 1 &lt; 2</p></div><img alt="a > b" src="https://a.example/x.png"><footer>x</footer>
</body></html>"""
    shown = self_contained(page)
    assert "a.example" not in shown
    assert '"\n' not in shown.partition("<body>")[2]
    assert "Actions" not in shown
    assert '<div class="card"><p>Kept: 1 &lt; 2</p></div>' in shown
    assert shown.count("<div") == shown.count("</div>") == 1
    assert "background" not in shown.replace("var(--paper)", "").partition("<title>Data Docs")[0]
    assert shown.count("<style>") == 1
    assert shown.index("<title>Data Docs") < shown.index("</head>")
    assert '<html lang="en">' in shown


def test_a_resumed_gate_writes_the_same_pages(gate, tmp_path):
    gate()
    before = {page.relative_to(tmp_path) for page in (tmp_path / "docs").rglob("*")}
    gate()
    assert {page.relative_to(tmp_path) for page in (tmp_path / "docs").rglob("*")} == before

"""The pages of the gate show every suite and need no network."""

from __future__ import annotations

from worlds.gate_world import SECRET


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
    profile = next(page for name, page in pages.items() if name.startswith("validations/nightshelf_profile"))
    assert "min_events: at least 1 events up to 2026-03-09" in profile


def test_a_resumed_gate_writes_the_same_pages_again(gate, tmp_path):
    gate()
    before = {page.relative_to(tmp_path) for page in (tmp_path / "docs").rglob("*")}
    gate()
    assert {page.relative_to(tmp_path) for page in (tmp_path / "docs").rglob("*")} == before

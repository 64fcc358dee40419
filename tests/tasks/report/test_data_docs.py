"""Reports and Data Docs lead to each other, also from file:// and after the run's folder is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from worlds.release_world import World
from worlds.report_world import SECOND, Page, configuration, publish_second, the_run

from tasks.release.retention import clean, retain
from tasks.report.data_docs import data_docs_of
from tasks.report.page import write_report
from tasks.report.releases_page import write_releases_page
from tasks.store.run_folder import RunFolder
from tasks.validation.data_docs import finish_data_docs

PAGES = (
    "expectations/nightshelf_days.html",
    "validations/nightshelf_days/2026-01-03/x/interactions-days.html",
)
PLAIN = "<html><head><title>x</title></head><body><table><tr><td>1</td></tr></table></body></html>"


def write_docs(world: World) -> Path:
    """Write Data Docs into the run of the second date, with a page at each depth."""
    site = RunFolder(world.store, SECOND, "r2").data_docs
    for name in PAGES:
        (site / name).parent.mkdir(parents=True)
        (site / name).write_text(PLAIN, encoding="utf-8")
    finish_data_docs(site, [], the_run().as_of)
    return site


def links(page: Path) -> Iterator[Path]:
    """Yield the files that a page links to."""
    for name, value in Page(page.read_text(encoding="utf-8")).attributes:
        if name == "href" and value and not value.startswith("#"):
            assert "://" not in value
            yield Path(f"{page.parent}/{value}").resolve()


def reachable(page: Path) -> set[Path]:
    """Return the pages that can be reached from one; each link leads to a file."""
    found, todo = set[Path](), [page.resolve()]
    while todo:
        path = todo.pop()
        assert path.is_file(), path
        if path not in found:
            found.add(path)
            todo += links(path)
    return found


def test_pages_lead_to_each_other_as_long_as_they_last(world: World) -> None:
    site = write_docs(world)
    record = the_run(release_id=publish_second(world))
    record.save(world.store)
    kept = write_report(world.store, record, configuration(world))
    write_report(world.store, record, configuration(world))  # a resumed run writes its page again
    write_releases_page(world.store)
    index = world.store.releases_page
    own = RunFolder(world.store, SECOND, "r2").report
    copies = {world.store.report_docs(str(record.release_id)) / name for name in ("index.html", *PAGES)}
    assert reachable(kept) == {kept, index, *copies}
    assert reachable(own) == {kept, index, own, *copies, *(site / name for name in ("index.html", *PAGES))}
    for page in (kept, own):
        docs = next(path for path in links(page) if path.name == "index.html" and path != index)
        assert page in links(docs)
        assert all(page in links(docs.parent / name) for name in PAGES)
    shutil.rmtree(world.store.runs)
    write_releases_page(world.store)
    assert reachable(kept) == {kept, index, *copies}
    assert data_docs_of(world.store, record) in copies


def test_without_data_docs_there_is_no_link_to_them(world: World) -> None:
    record = the_run(release_id=publish_second(world))
    page = write_report(world.store, record, configuration(world))
    assert "Data Docs" not in page.read_text(encoding="utf-8")
    assert data_docs_of(world.store, record) is None


def test_the_data_docs_of_a_refused_night_stay_in_its_run(world: World) -> None:
    site = write_docs(world)
    page = write_report(world.store, the_run(state="failed", message="refused"), configuration(world))
    assert site / "index.html" in links(page)
    assert page in links(site / "index.html")
    assert not world.store.reports.exists()


def test_kept_data_docs_go_with_their_release(world: World) -> None:
    write_docs(world)
    record = the_run(release_id=publish_second(world))
    write_report(world.store, record, configuration(world))
    kept = world.store.report_docs(str(record.release_id))
    (world.store.reports / ".trash-half").mkdir()  # of a removal that was killed
    for day in ("2026-01-04", "2026-01-05"):
        world.publish(day, "r1")
    retain(world.store, 3)
    assert kept.is_dir()
    retain(world.store, 2)
    clean(world.store)
    assert [*world.store.reports.iterdir()] == []

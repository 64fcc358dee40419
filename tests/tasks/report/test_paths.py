"""The paths of reports, and how long reports are kept."""

from __future__ import annotations

from pathlib import Path

from worlds.release_world import World
from worlds.report_world import (
    FIRST,
    SECOND,
    configuration,
    publish_second,
    the_run,
)

from tasks.release.retention import retain
from tasks.report.page import write_report
from tasks.report.paths import find_report
from tasks.store.run_folder import RunFolder


def test_a_run_without_any_station_has_a_report(tmp_path: Path) -> None:
    world = World(tmp_path)
    record = the_run(stations=[], state="failed", message="no files in https://user:hunter2@host/logs")
    record.save(world.store)
    path = write_report(world.store, record, configuration(world))
    html = path.read_text(encoding="utf-8")
    assert path == RunFolder(world.store, SECOND, "r2").report
    assert "hunter2" not in html
    assert "no files in" in html
    assert "<table" not in html
    assert find_report(world.store) == path


def test_a_report_lasts_as_long_as_its_release(world: World) -> None:
    record = the_run(release_id=publish_second(world))
    kept = write_report(world.store, record, configuration(world))
    old = world.store.report(f"{FIRST}-r1")
    old.write_text("<!DOCTYPE html>", encoding="utf-8")
    for day in ("2026-01-04", "2026-01-05"):
        world.publish(day, "r1")
    assert retain(world.store, 3) == [f"{FIRST}-r1"]
    assert not old.exists()
    assert kept.exists()
    assert retain(world.store, 2) == [record.release_id]
    assert not kept.exists()

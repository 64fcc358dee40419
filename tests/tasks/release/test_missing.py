"""Which past dates have no release: not those before the first, nor those that retention removed."""

from __future__ import annotations

import shutil
from datetime import date

from worlds.release_world import World

from tasks.release.missing import missing_dates, missing_text
from tasks.store.runs import new_run


def days(*numbers: int) -> tuple[date, ...]:
    return tuple(date(2026, 1, number) for number in numbers)


def test_dates_after_the_release_that_was_published_first_are_missing_if_they_have_none(fresh: World) -> None:
    (today,) = days(10)
    assert missing_dates(fresh.store, today, 30) == ()  # nothing was ever to run
    fresh.publish("2026-01-05", "r1")
    fresh.publish("2026-01-07", "r2")
    assert missing_dates(fresh.store, today, 30) == days(6, 8, 9, 10)
    fresh.publish("2026-01-02", "r3")  # an old date, made later: no night was meant to run before the fifth
    assert missing_dates(fresh.store, today, 30) == days(6, 8, 9, 10)
    assert missing_dates(fresh.store, today, 3) == days(8, 9, 10)  # older ones would be removed again
    assert missing_dates(fresh.store, today, 30, days(1, 3, 6, 9)) == days(6, 9)  # the others have no logs
    assert missing_dates(fresh.store, *days(4), 30) == ()


def test_a_damaged_release_is_missing_and_a_removed_one_is_not(fresh: World) -> None:
    fresh.publish("2026-01-05", "r1")
    damaged, removed = fresh.publish("2026-01-06", "r2"), fresh.publish("2026-01-07", "r3")
    (damaged.folder / "manifest.json").write_text("{")
    shutil.rmtree(removed.folder)
    for release in (damaged, removed):
        run = new_run(fresh.store, release.as_of, state="published", release_id=release.release_id)
        run.save(fresh.store)
    assert missing_dates(fresh.store, *days(8), 30) == days(6, 8)


def test_the_dates_are_one_line() -> None:
    assert missing_text(()) == ""
    assert missing_text(days(6)) == "1 past date has no release: 2026-01-06"
    assert missing_text(days(6, 8)) == "2 past dates have no release: 2026-01-06, 2026-01-08"

"""Logs of other shapes: what is said of each is true of its events."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tasks.configuration.configuration import load
from tasks.demo.events import DAY_MS
from tasks.demo.shapes import SHAPES, shape_events, write_shape
from tasks.runtime.errors import ConfigurationError

START = date(2026, 3, 2)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_events_are_within_the_span_sorted_and_of_known_users_and_items(name: str) -> None:
    shape = SHAPES[name]
    users, items, times = shape_events(shape, seed=1, scale=0.02)
    assert len(users) == len(items) == len(times) == round(0.02 * shape.events)
    assert (np.diff(times) >= 0).all()
    assert 0 <= times[0] <= times[-1] < shape.days * DAY_MS
    assert users.min() >= 0
    assert users.max() < max(2, round(0.02 * shape.users))
    assert items.min() >= 0
    assert items.max() < max(2, round(0.02 * shape.items))


def test_news_live_for_hours() -> None:
    users, items, times = shape_events(SHAPES["news"], seed=1, scale=0.1)
    first = np.full(items.max() + 1, times[-1])
    np.minimum.at(first, items, times)
    old = first > 2 * DAY_MS  # older ones may have been born before the log
    ages = (times - first[items])[old[items]]
    assert np.median(ages) < DAY_MS / 2
    assert len(users)


def test_grocery_customers_repeat_and_others_seldom_do() -> None:
    def repeats(name: str) -> float:
        users, items, _ = shape_events(SHAPES[name], seed=1, scale=0.1)
        return 1 - len(np.unique(users * 10**7 + items)) / len(users)

    assert repeats("groceries") > 0.55
    assert repeats("news") < 0.25


def test_one_item_has_a_third_of_the_events() -> None:
    _, items, _ = shape_events(SHAPES["head"], seed=1, scale=0.1)
    assert 0.33 < (items == 0).mean() < 0.4


def test_after_a_change_of_taste_users_have_other_items() -> None:
    def kept(change: float | None) -> float:
        shape = replace(SHAPES["tiny"], users=20, events=4_000, niches=25, change=change)
        users, items, times = shape_events(shape, seed=1)
        pairs, later = users * shape.items + items, times >= times[-1] / 2
        return float(np.isin(pairs[later], pairs[~later]).mean())

    assert kept(None) > kept(0.5) + 0.2


def test_files_are_by_day_byte_identical_and_mapped_by_the_configuration(tmp_path: Path) -> None:
    last = write_shape(tmp_path / "one", "two_days", start=START, scale=0.1)
    write_shape(tmp_path / "two", "two_days", start=START, scale=0.1)
    files = sorted((tmp_path / "one" / "logs").iterdir())
    assert [file.name for file in files] == ["2026-03-02.csv", "2026-03-03.csv", "2026-03-04.csv"]
    assert last == date(2026, 3, 3)
    for file in files:
        assert file.read_bytes() == (tmp_path / "two" / "logs" / file.name).read_bytes()
        header, first, *_ = file.read_text(encoding="utf-8").splitlines()
        assert header.replace('"', "") == "user_id,item_id,event_time"
        assert file.stem in first
    assert load(tmp_path / "one" / "nightshelf.toml").sources[0].columns.user == "user_id"


def test_an_unknown_shape_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown shape 'nwes'; known: groceries, head"):
        write_shape(tmp_path, "nwes", start=START)

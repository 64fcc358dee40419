"""A window is a number of days or hours, and one window has one name."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.release.tables import popular_source
from tasks.release.windows import canonical, hours_of, name_of, text_of


@pytest.mark.parametrize(
    ("window", "hours", "written", "source"),
    [
        (0, 0, 0, "popular_all_time"),
        ("0", 0, 0, "popular_all_time"),
        ("1h", 1, "1h", "popular_1_hours"),
        ("6h", 6, "6h", "popular_6_hours"),
        ("006h", 6, "6h", "popular_6_hours"),
        ("24h", 24, 1, "popular_1_days"),
        (1, 24, 1, "popular_1_days"),
        (1.0, 24, 1, "popular_1_days"),
        ("36h", 36, "36h", "popular_36_hours"),
        ("30", 720, 30, "popular_30_days"),
        (36_500, 876_000, 36_500, "popular_36500_days"),
    ],
)
def test_a_window_is_days_or_hours(window: Any, hours: int, written: int | str, source: str) -> None:
    assert hours_of(window) == hours
    assert canonical(window) == written
    assert text_of(hours / 24) == str(written)
    assert popular_source(hours / 24) == source


@pytest.mark.parametrize(
    "window",
    ["0h", "h", "", "-6h", -1, 2.5, "2.5", "6 h", "6H", "6h\n", "1d", True, None, [6], "٦h", "9" * 99],
)
def test_anything_else_is_no_window(window: Any) -> None:
    with pytest.raises(ValueError, match="expected a number of days, 0 for all time, or hours from '1h' on"):
        hours_of(window)


def test_the_hours_of_every_window_survive_the_table() -> None:
    for hours in range(1, 2000):
        assert hours_of(text_of(hours / 24)) == hours, name_of(hours / 24)


def test_a_window_of_more_than_a_century_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 36,500 days, got '876001h'"):
        canonical("876001h")

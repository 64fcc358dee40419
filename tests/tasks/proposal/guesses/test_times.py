"""Formats of timestamps from their texts."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.proposal.guesses.times import YEARS, guess_time, patterns, read_iso, time_reader

FIRST, LAST = datetime(1995, 1, 1), datetime(2050, 12, 31)  # noqa: DTZ001 - hypothesis wants them naive


@pytest.mark.parametrize(
    ("texts", "formats"),
    [
        (["2026-11-30T10:00:00Z"], "iso"),
        (["2026-11-30 10:00:00.123456789 UTC"], "iso"),
        (["2026-11-30 10:00:00 +0100", "2026-11-30 11:00:00 +0100"], "iso"),
        (["20261130", "20261129"], "iso"),
        (["2026-11-30"], "iso"),
        (["1796036400"], "epoch_s"),
        (["1796036400.5"], "epoch_s"),
        (["1.7960364E9"], "epoch_s"),
        (["1796036400123"], "epoch_ms"),
        (["1796036400123456"], "epoch_us"),
        (["1796036400123456789"], "epoch_ns"),
        (["20261130101500"], "%Y%m%d%H%M%S"),
        (["30/11/2026 10:15"], "%d/%m/%Y %H:%M"),
        (["11/30/2026 10:15:00"], "%m/%d/%Y %H:%M:%S"),
        (["11/30/2026 3:15 PM"], "%m/%d/%Y %I:%M %p"),
        (["30.11.26"], "%d.%m.%y"),
        (["30 Nov 2026 10:15:00"], "%d %b %Y %H:%M:%S"),
        (["Nov 30, 2026"], "%b %d, %Y"),
        (["Mon, 30 Nov 2026 10:00:00 GMT"], "%a, %d %b %Y %H:%M:%S %Z"),
        (["30/Nov/2026:10:00:00 +0000"], "%d/%b/%Y:%H:%M:%S %z"),
    ],
)
def test_a_format_is_recognised(texts: list[str], formats: str) -> None:
    guess = guess_time(texts)
    assert guess is not None
    assert guess.formats == (formats,)
    assert guess.other is None
    assert (guess.first.year, guess.first.month) == (2026, 11)


@pytest.mark.parametrize(
    "texts", [["u1"], ["17850", "13047"], ["85123A"], ["3.5"], [""], [], ["10:15"], ["1e400"]]
)
def test_other_texts_are_no_times(texts: list[str]) -> None:
    assert guess_time(texts) is None


def test_a_day_above_12_decides_the_order_of_day_and_month() -> None:
    first, second = guess_time(["03/04/2026", "13/04/2026"]), guess_time(["03/04/2026", "04/13/2026"])
    assert first is not None
    assert second is not None
    assert (first.formats, first.other) == (("%d/%m/%Y",), None)
    assert (second.formats, second.other) == (("%m/%d/%Y",), None)


def test_without_one_the_shorter_span_is_taken_and_the_other_order_is_named() -> None:
    days_first = guess_time(["01/11/2026 8:00", "02/11/2026 8:00", "03/11/2026 8:00"])
    months_first = guess_time(["11/01/2026 8:00", "11/02/2026 8:00", "11/03/2026 8:00"])
    assert days_first is not None
    assert months_first is not None
    assert (days_first.formats, days_first.other) == (("%d/%m/%Y %H:%M",), "%m/%d/%Y %H:%M")
    assert (months_first.formats, months_first.other) == (("%m/%d/%Y %H:%M",), "%d/%m/%Y %H:%M")


def test_times_of_several_formats_are_listed_but_never_both_orders() -> None:
    mixed = guess_time(["2026-11-30", "2026-11-29", "29.11.2026"])
    assert mixed is not None
    assert mixed.formats == ("iso", "%d.%m.%Y")
    assert guess_time(["13/04/2026", "04/13/2026"]) is None


def test_some_texts_that_are_no_times_do_not_hide_the_others() -> None:
    guess = guess_time(["2026-11-30"] * 19 + ["unknown"])
    assert guess is not None
    assert guess.share == 0.95
    most = ["2026-11-30"] * 6 + ["unknown"] * 4
    assert guess_time(most) is not None
    assert guess_time(most, named=False) is guess_time([*most, "unknown"]) is None


@given(st.sampled_from(patterns()), st.datetimes(FIRST, LAST))
def test_what_a_pattern_writes_is_read_by_the_guess(pattern: str, when: datetime) -> None:
    text = when.replace(tzinfo=UTC).strftime(pattern)
    guess = guess_time([text])
    assert guess is not None
    assert time_reader(guess.formats)(text) is not None


@given(st.text(string.printable, max_size=40))
def test_any_text_is_a_time_or_none(text: str) -> None:
    guess, time = guess_time([text]), read_iso(text)
    assert guess is None or time_reader(guess.formats)(text) is not None
    assert time is None or YEARS[0] <= time.year < YEARS[1]

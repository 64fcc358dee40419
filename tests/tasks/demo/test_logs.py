"""The demo logs: counted dirt, determinism, and the same events in every format."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.demo.catalogue import AWKWARD_QUERIES, build_texts
from tasks.demo.dirt import BAD_TIMES
from tasks.demo.events import EVENTS
from tasks.demo.logs import DemoDay, write_demo_day, write_demo_logs
from tasks.demo.render import COLUMNS
from tasks.demo.world import build_world
from tasks.runtime.errors import ConfigurationError

START = date(2026, 1, 5)  # a Monday
VALID = ("clean", "bot", "late", "quoted", "offset")  # flaws whose rows are valid
SMALL = {"start": START, "users": 300, "items": 120, "events_per_day": 1200}
Record = dict[str, str]


def records(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def bytes_by_name(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def count_flaws(path: Path, day: date) -> Counter[str]:
    """Return the number of each flaw in a file, from its records alone."""
    seen: set[tuple[str, ...]] = set()
    counts: Counter[str] = Counter()
    for row in records(path):
        counts["duplicate" if tuple(row) in seen else flaw(row, day)] += 1
        seen.add(tuple(row))
    return counts


def flaw(row: list[str], day: date) -> str:
    if len(row) != len(COLUMNS):
        return "ragged"
    time, user, item, event, *_, query = row
    signs = {
        "missing_user": not user,
        "missing_item": not item,
        "bad_timestamp": time in BAD_TIMES,
        "epoch_timestamp": time.isdigit(),
        "future_timestamp": time[:2] == "20" and time[:4] > "2070",
        "unknown_event": event not in EVENTS,
        "quoted": query in AWKWARD_QUERIES,
        "offset": time.endswith("+02:00"),
        "bot": user == "u000000",
        "late": time.startswith((day - timedelta(days=1)).isoformat()) and time.endswith("Z"),
    }
    return next((name for name, sign in signs.items() if sign), "clean")


def assert_counted(day: DemoDay, today: date) -> None:
    planted = {name: count for name, count in day.planted.items() if count}
    assert dict(count_flaws(day.path, today)) == planted
    assert day.rows == sum(planted.values()) == len(records(day.path))


def test_every_planted_flaw_is_counted(tmp_path: Path) -> None:
    summary = write_demo_logs(tmp_path, days=4, dirty_share=0.2, **SMALL)
    for number, day in enumerate(summary.days):
        assert_counted(day, START + timedelta(days=number))
    assert all(summary.planted.values())
    assert summary.days[0].planted["late"] == 0
    dirty = summary.rows - summary.planted["clean"] - summary.planted["bot"]
    assert dirty == pytest.approx(0.2 * summary.rows, rel=0.2)


def test_flaws_of_a_day_made_in_chunks_are_counted(tmp_path: Path) -> None:
    world = replace(build_world(seed=7, **SMALL), chunk_rows=300)
    assert world.chunks == 4
    day = write_demo_day(tmp_path, world, build_texts(world), 1, dirty_share=0.2, format="csv")
    assert_counted(day, START + timedelta(days=1))
    assert day.rows == pytest.approx(0.9 * 1200, rel=0.2)  # a Tuesday
    clean = replace(world, start=START + timedelta(days=7))
    day = write_demo_day(tmp_path, clean, build_texts(clean), 0, dirty_share=0, format="csv")
    hours = [row[0][11:13] for row in records(day.path)]
    quarters = [hours[len(hours) * part // 4 + len(hours) // 8] for part in range(4)]
    assert quarters == sorted(quarters)


def test_equal_arguments_give_equal_bytes_and_another_seed_different_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_demo_logs(tmp_path / name, days=2, seed=seed, dirty_share=0.1, format="csv.gz", **SMALL)
    a, b, c = (bytes_by_name(tmp_path / name) for name in "abc")
    assert a == b
    assert all(a[name] != c[name] for name in a)


def test_another_night_does_not_change_earlier_files(tmp_path: Path) -> None:
    write_demo_logs(tmp_path / "short", days=3, dirty_share=0.1, **SMALL)
    write_demo_logs(tmp_path / "long", days=30, dirty_share=0.1, **SMALL)
    short, long = bytes_by_name(tmp_path / "short"), bytes_by_name(tmp_path / "long")
    for name in sorted(short):
        assert (
            long[name].startswith(short[name])
            if name in {"users.csv", "items.csv"}
            else long[name] == short[name]
        )
    assert len(long["items.csv"]) > len(short["items.csv"])


def test_a_day_made_by_itself_equals_the_day_in_a_series(tmp_path: Path) -> None:
    series = write_demo_logs(tmp_path / "series", days=3, **SMALL)
    world = build_world(seed=7, **SMALL)
    (tmp_path / "alone").mkdir()
    day = write_demo_day(tmp_path / "alone", world, build_texts(world), 2, dirty_share=0.01, format="csv")
    assert day.path.read_bytes() == series.files[2].read_bytes()
    assert (day.rows, day.planted) == (series.days[2].rows, series.days[2].planted)


def normal(row: Record) -> tuple[str, ...]:
    """Return a record in the same form for all formats."""
    values = ["" if row[name] is None else str(row[name]) for name in COLUMNS]
    values[5] = str(float(values[5])) if values[5] else ""
    return tuple(values)


def test_all_formats_hold_the_same_events(tmp_path: Path) -> None:
    days = {
        form: write_demo_logs(tmp_path / form, days=2, dirty_share=0.1, format=form, **SMALL).days[1]
        for form in ("csv", "csv.gz", "jsonl", "parquet")
    }
    assert gzip.decompress(days["csv.gz"].path.read_bytes()) == days["csv"].path.read_bytes()
    whole = [row for row in records(days["csv"].path) if len(row) == len(COLUMNS)]
    expected = [normal(dict(zip(COLUMNS, row, strict=True))) for row in whole]
    assert [normal(row) for row in pq.read_table(days["parquet"].path).to_pylist()] == expected
    read = list(json_objects(days["jsonl"].path))
    assert [normal(row) for row in read if row] == expected
    ragged = days["csv"].planted["ragged"]
    assert ragged == days["jsonl"].planted["ragged"] == read.count({}) > 0
    assert days["parquet"].planted == {**days["csv"].planted, "ragged": 0}


def json_objects(path: Path) -> Iterator[Record]:
    """Yield the object of each line, {} for a line that is not JSON."""
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            yield {}


def test_late_rows_fit_the_day_on_which_they_happened(tmp_path: Path) -> None:
    summary = write_demo_logs(tmp_path, days=15, dirty_share=0.3, **SMALL)
    world = build_world(seed=7, **SMALL)
    late = 0
    for number, path in enumerate(summary.files):
        yesterday = (START + timedelta(days=number - 1)).isoformat()
        for row in records(path):
            if row[0].startswith(yesterday) and len(row) == len(COLUMNS):
                late += 1
                assert world.users.joined[int(row[1][1:])] < number
                assert world.items.released[int(row[2][1:])] < number
    assert late >= summary.planted["late"] > 0


def test_progress_is_reported_after_each_day(tmp_path: Path) -> None:
    reported: list[tuple[int, int]] = []
    write_demo_logs(tmp_path, days=3, progress=lambda done, days: reported.append((done, days)), **SMALL)
    assert reported == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"days": 0}, "expected days of at least 1, got 0"),
        ({"users": 1}, "expected users of at least 2, got 1"),
        ({"items": 0}, "expected items of at least 1, got 0"),
        ({"events_per_day": 0}, "expected events_per_day of at least 1, got 0"),
        ({"seed": -1}, "expected seed of at least 0, got -1"),
        ({"dirty_share": 0.6}, r"expected dirty_share in \[0, 0.5\], got 0.6"),
        ({"format": "xml"}, "unknown format 'xml'; known: csv, csv.gz, jsonl, parquet"),
    ],
)
def test_an_impossible_argument_is_rejected(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        write_demo_logs(tmp_path, **{"days": 1, **SMALL, **change})
    assert not list(tmp_path.iterdir())


@settings(max_examples=25)
@given(
    users=st.integers(2, 40),
    items=st.integers(1, 40),
    events=st.integers(1, 300),
    share=st.sampled_from([0.0, 0.01, 0.5]),
    seed=st.integers(0, 2**63),
)
def test_any_size_gives_unique_valid_rows(
    tmp_path_factory: pytest.TempPathFactory, *, users: int, items: int, events: int, share: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    summary = write_demo_logs(
        folder,
        start=START,
        days=2,
        users=users,
        items=items,
        events_per_day=events,
        seed=seed,
        dirty_share=share,
    )
    for number, day in enumerate(summary.days):
        assert valid(day, START + timedelta(days=number)) == sum(day.planted[name] for name in VALID)


def valid(day: DemoDay, today: date) -> int:
    """Return the number of distinct valid records, whose times are of today or yesterday."""
    good = {tuple(row) for row in records(day.path) if flaw(row, today) in VALID}
    for row in good:
        moment = datetime.fromisoformat(row[0]).astimezone(UTC).date()
        assert 0 <= (today - moment).days <= 1
    return len(good)

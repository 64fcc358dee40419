"""The scores of earlier nights that a table takes over."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.release_world import good_tables

from tasks.release.releases import Release
from tasks.release.tables import RELEASE_SCORES, IdTypes
from tasks.release_scores.history import NIGHTS, earlier_nights
from tasks.runtime.errors import StoreError

IDS = IdTypes()
SCHEMA = RELEASE_SCORES.schema(IDS)
LAST = date(2026, 7, 1)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """Return a release with the scores of more nights than are kept."""
    (one,) = pa.table(good_tables()["release_scores"], SCHEMA).slice(0, 1).to_pylist()
    rows = [one | {"as_of": LAST - timedelta(days=7 * number)} for number in reversed(range(NIGHTS + 3))]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), tmp_path / "release_scores.parquet")
    return Release(f"{LAST}-r1", LAST, tmp_path, active=True)


def test_the_last_nights_are_taken_over_and_leave_room_for_tonight(release: Release) -> None:
    rows = earlier_nights(release, LAST + timedelta(days=1), IDS)
    assert rows["as_of"].to_pylist() == [LAST - timedelta(days=7 * n) for n in reversed(range(NIGHTS - 1))]
    assert rows.schema == SCHEMA


def test_a_night_takes_over_no_row_of_its_own_date_or_later(release: Release) -> None:
    rows = earlier_nights(release, LAST, IDS)
    assert max(rows["as_of"].to_pylist()) == LAST - timedelta(days=7)


def test_a_release_without_the_table_or_with_other_columns_begins_a_new_history(release: Release) -> None:
    path = release.table("release_scores")
    full = pq.read_table(path)
    pq.write_table(full.append_column("later", pa.array([0] * len(full))), path)
    assert earlier_nights(release, LAST, IDS).schema == SCHEMA
    pq.write_table(full.drop_columns("recall"), path)
    assert earlier_nights(release, LAST, IDS).num_rows == 0
    path.unlink()
    assert earlier_nights(release, LAST, IDS).num_rows == 0


def test_a_damaged_table_is_named(release: Release) -> None:
    path = release.table("release_scores")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match=f"cannot read {path}"):
        earlier_nights(release, LAST, IDS)

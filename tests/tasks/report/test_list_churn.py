"""The churn of lists since the night before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.report.list_churn import Churn, list_churn


def lists(path: Path, rows: dict[int, list[int]], kind: Any = None) -> Path:
    columns = list(
        zip(*[(u, r, i) for u, items in rows.items() for r, i in enumerate(items, 1)], strict=True)
    )
    types = (pa.int64(), pa.int32(), kind or pa.int64())
    arrays = [pa.array(c, pa.int64()).cast(t) for c, t in zip(columns, types, strict=True)]
    pq.write_table(pa.table(dict(zip(("user_id", "rank", "item_id"), arrays, strict=True))), path)
    return path


def test_churn_counts_users_by_the_items_they_keep(tmp_path: Path) -> None:
    before = lists(tmp_path / "a", {1: [1, 2, 3], 2: [1, 2, 3], 3: [1, 2, 3], 4: [1, 2, 3], 6: [1, 2, 3]})
    after = lists(tmp_path / "b", {1: [1, 2, 3], 2: [3, 2, 1], 3: [1, 5, 6], 4: [7, 8, 9], 5: [1, 2, 3]})
    with duckdb.connect() as con:
        churn = list_churn(con, before, after)
        assert churn == Churn(3, (1, 1, 0, 2), 1)
        assert churn.users == 4
        assert churn.changed == 0.5
        assert churn.overlap == pytest.approx((1 + 1 + 1 / 3 + 0) / 4)
        assert list_churn(con, before, after, depth=1) == Churn(1, (2, 2), 2)
        assert list_churn(con, before, lists(tmp_path / "c", {9: [1, 2, 3]})) is None
        assert list_churn(con, before, lists(tmp_path / "d", {1: [1, 2]}, pa.string())) is None
        assert list_churn(con, after, after) == Churn(3, (0, 0, 0, 5), 5)


def test_a_sample_of_about_the_requested_size_is_compared(tmp_path: Path) -> None:
    path = lists(tmp_path / "a", {user: [1, 2] for user in range(3000)})
    with duckdb.connect() as con:
        churn = list_churn(con, path, path, users=1000)
        assert churn is not None
        assert churn.share == pytest.approx(1 / 3)
        assert 800 < churn.users < 1200
        assert churn == list_churn(con, path, path, users=1000)

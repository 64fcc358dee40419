"""The readers of published protocols and of ratings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import ModelError
from tasks.evaluation.protocol_files import latest_ratings, read_ncf, read_ratings
from tasks.runtime.errors import InputError

TRAIN = "0\t0\t5\t30\n0\t2\t3\t10\n1\t1\t4\t20\n"
TEST = "0\t1\t5\t40\n1\t3\t4\t50\n"
NEGATIVE = "(0,1)\t3\t4\n(1,3)\t0\t5\n"


def ncf_folder(folder: Path, train: str = TRAIN, test: str = TEST, negative: str = NEGATIVE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "x.train.rating").write_text(train)
    (folder / "x.test.rating").write_text(test)
    (folder / "x.test.negative").write_text(negative)
    return folder


def test_ncf_files_are_read(tmp_path: Path) -> None:
    files = read_ncf(ncf_folder(tmp_path))
    assert files.train.toarray().tolist() == [[1, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert files.positives.tolist() == [1, 3]
    assert files.negatives.tolist() == [[3, 4], [0, 5]]
    assert files.sequences.items.tolist() == [2, 0, 1]  # in time order
    assert files.sequences.timestamps.tolist() == [10 * 10**6, 30 * 10**6, 20 * 10**6]
    without = read_ncf(ncf_folder(tmp_path, train="0\t0\t5\n0\t2\t3\n1\t1\t4\n"))
    assert without.sequences is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"negative": "(0,2)\t3\t4\n(1,3)\t0\t5\n"}, "the items of x.test.rating"),
        ({"test": "1\t1\t5\t40\n0\t3\t4\t50\n", "negative": "(1,1)\t3\t4\n(0,3)\t0\t5\n"}, "the users 0, 1"),
        ({"train": TRAIN + "2\t1\t4\t1\n"}, "a test item for each of 3 users, got 2"),
        ({"train": "0\ta\t5\n"}, "whole numbers"),
        ({"train": "0\t1\t5\n0\t1\n"}, "Expected 3 columns"),
    ],
)
def test_inconsistent_ncf_files_are_refused(tmp_path: Path, change, message) -> None:
    with pytest.raises(InputError, match=message):
        read_ncf(ncf_folder(tmp_path, **change))


def test_a_folder_without_ncf_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one file \*\.train\.rating\* in .*, got 0"):
        read_ncf(tmp_path)


CSV = "userId,movieId,rating,timestamp\n7,30,2.5,1000\n3,10,4.0,1000\n3,20,3.0,999\n"


def test_csv_dat_and_parquet_give_the_same_ratings(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(CSV)
    (tmp_path / "r.dat").write_text("7::30::2.5::1000\n3::10::4.0::1000\n3::20::3.0::999\n")
    times = [datetime.fromtimestamp(second, UTC) for second in (1000, 1000, 999)]
    table = {"user_id": [7, 3, 3], "item_id": [30, 10, 20], "rating": [2.5, 4.0, 3.0]}
    pq.write_table(
        pa.table(table | {"timestamp": pa.array(times, pa.timestamp("ms", "UTC"))}), tmp_path / "r.parquet"
    )
    for name in ("r.csv", "r.dat", "r.parquet"):
        ratings = read_ratings(tmp_path / name)
        assert ratings.user_ids.take(np.arange(2)).to_pylist() == [3, 7]
        assert ratings.item_ids.take(np.arange(3)).to_pylist() == [10, 20, 30]
        assert (ratings.users.tolist(), ratings.items.tolist()) == ([1, 0, 0], [2, 0, 1])
        assert ratings.values.tolist() == [2.5, 4.0, 3.0]
        assert ratings.timestamps.tolist() == [10**9, 10**9, 999 * 10**6]
        assert ratings.positions is None
        assert ratings.sequences.items.tolist() == [1, 0, 2]
        assert ratings.seen.toarray().tolist() == [[1, 1, 0], [0, 0, 1]]


def test_the_position_orders_ratings_of_one_timestamp(tmp_path: Path) -> None:
    table = {"user_id": [1, 1, 1], "item_id": [5, 6, 7], "rating": [1, 5, 4], "timestamp": [9, 9, 9]}
    pq.write_table(pa.table(table | {"position": [2, 0, 1]}), tmp_path / "r.parquet")
    ratings = read_ratings(tmp_path / "r.parquet")
    assert ratings.item_ids.take(ratings.sequences.items).to_pylist() == [6, 7, 5]
    liked = ratings.at_least(4)
    assert liked.shape == (1, 2)
    assert liked.item_ids.take(liked.sequences.items).to_pylist() == [6, 7]
    np.testing.assert_array_equal(liked.positions, [0, 1])
    with pytest.raises(ModelError, match="a value of 6 or more, got none"):
        ratings.at_least(6)


def test_a_rating_without_a_position_comes_last_of_its_timestamp(tmp_path: Path) -> None:
    """A null once made all positions float64, which rounds large ones."""
    table = {"user_id": [1, 1, 1], "item_id": [5, 6, 7], "rating": [1, 5, 4], "timestamp": [9, 9, 9]}
    positions = pa.array([2**53 + 1, None, 2**53], pa.int64())
    pq.write_table(pa.table(table | {"position": positions}), tmp_path / "r.parquet")
    ratings = read_ratings(tmp_path / "r.parquet")
    assert ratings.item_ids.take(ratings.sequences.items).to_pylist() == [7, 5, 6]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (pa.array([1.5]), "expected whole numbers as times in 'timestamp', got others"),
        (pa.array(["yesterday"]), "expected times in ISO 8601 in 'timestamp', .* got 'yesterday'"),
        (pa.array([10**13]), "int64 holds, got 10000000000000 s since 1970 in row 0"),
        (
            pa.array([1], pa.timestamp("ns")),
            "expected timestamps of whole microseconds .*got 1 ns since 1970",
        ),
    ],
)
def test_other_timestamps_are_refused(tmp_path: Path, times: pa.Array, message: str) -> None:
    table = {"user_id": [1], "item_id": [5], "rating": [1], "timestamp": times}
    pq.write_table(pa.table(table), tmp_path / "r.parquet")
    with pytest.raises(InputError, match=message):
        read_ratings(tmp_path / "r.parquet")


def test_missing_files_columns_and_ids_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_ratings(tmp_path / "r.csv")
    (tmp_path / "r.csv").write_text("userId,film,rating,timestamp\n7,30,2.5,1000\n")
    with pytest.raises(InputError, match="expected a column item_id, got userId, film"):
        read_ratings(tmp_path / "r.csv")
    (tmp_path / "r.csv").write_text("userId,movieId,rating,timestamp\n7,,2.5,1000\n7,2,2.5,1000\n")
    with pytest.raises(InputError, match="an id in every row of 'movieId', got 1 null, the first in row 0"):
        read_ratings(tmp_path / "r.csv")


def test_of_several_ratings_of_a_pair_the_last_counts(tmp_path: Path) -> None:
    rows = ["7,30,2,1000", "7,30,5,900", "8,30,1,50", "7,31,3,1000", "8,30,4,60"]
    (tmp_path / "r.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]) + "\n")
    ratings = latest_ratings(read_ratings(tmp_path / "r.csv"))
    assert ratings.shape == (2, 2)
    found = zip(ratings.users, ratings.items, ratings.values, ratings.timestamps, strict=True)
    assert sorted(found) == [(0, 0, 2, 1000 * 10**6), (0, 1, 3, 1000 * 10**6), (1, 0, 4, 60 * 10**6)]


def test_a_rating_of_0_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("userId,movieId,rating,timestamp\n7,30,0,1000\n7,31,2,1000\n")
    with pytest.raises(InputError, match=r"expected ratings above 0 .*, got 0"):
        latest_ratings(read_ratings(tmp_path / "r.csv"))

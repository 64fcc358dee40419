"""Interactions from frames of every kind and type, and a one-sentence error for each mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.interactions import Interactions

DAY = 86_400 * 10**6  # microseconds
EVENTS = {
    "user_id": ["ben", "ann", "ben", "ann", "ben"],
    "item_id": [30, 10, 10, 10, 30],
    "timestamp": ["1970-01-03", "1970-01-02", "1970-01-01", "1970-01-04", "1970-01-02"],
}


def frame() -> pd.DataFrame:
    return pd.DataFrame(EVENTS)


def indexed(data: pd.DataFrame) -> pd.DataFrame:
    return data.set_index(pd.Index([7, 7, 3, -1, 0], name="line"))


def strided(data: pd.DataFrame) -> pd.DataFrame:
    return data.loc[data.index.repeat(2)].iloc[::2]


def backed(data: pd.DataFrame) -> pd.DataFrame:
    return data.convert_dtypes(dtype_backend="pyarrow")


KINDS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda data: data,
    "nullable": lambda data: data.convert_dtypes(),
    "pyarrow": backed,
    "object": lambda data: data.astype(object),
    "categories": lambda data: data.astype("category"),
    "datetime64[ms]": lambda data: data.assign(timestamp=data["timestamp"].astype("datetime64[ms]")),
    "datetime64[ns]": lambda data: data.assign(timestamp=data["timestamp"].astype("datetime64[ns]")),
    "Tokyo": lambda data: data.assign(
        timestamp=pd.to_datetime(data["timestamp"], utc=True).dt.tz_convert("Asia/Tokyo")
    ),
    "indexed": indexed,
    "strided": strided,
    "more columns": lambda data: data.assign(price=np.nan, things=[{}, [], None, "x", 1]),
    "polars": pl.DataFrame,
    "polars categories": lambda data: pl.DataFrame(data).cast({"user_id": pl.Categorical}),
    "arrow": pa.Table.from_pandas,
    "chunks": lambda data: pa.concat_tables([pa.table(data.iloc[:2]), pa.table(data.iloc[2:])]),
    "mapping": lambda data: {name: data[name].to_numpy() for name in data},
    "lists": lambda data: data.to_dict("list"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_every_kind_are_the_same_interactions(kind: str) -> None:
    data = Interactions.of(KINDS[kind](frame()))
    assert data.user_ids.take(np.arange(2)).to_pylist() == ["ann", "ben"]
    assert data.item_ids.take(np.arange(2)).to_pylist() == [10, 30]
    assert data.users.tolist() == [1, 0, 1, 0, 1]
    assert data.items.tolist() == [1, 0, 0, 0, 1]
    assert data.timestamps.tolist() == [2 * DAY, DAY, 0, 3 * DAY, DAY]
    assert repr(data) == "Interactions(events=5, users=2, items=2, times='1970-01-01 to 1970-01-04')"


def test_the_weight_of_a_pair_is_that_of_a_night() -> None:
    data = Interactions.of(frame())
    twice, once = 1 + np.log(3), 1 + np.log(2)
    expected = np.round([[twice, 0], [once, twice]], 6).astype(np.float32)
    np.testing.assert_array_equal(data.dataset.matrix.toarray(), expected)
    np.testing.assert_array_equal(data.histories.matrix.toarray(), expected)
    assert data.seen.toarray().tolist() == [[1, 0], [1, 1]]


def test_events_are_sorted_by_time_then_position_then_row() -> None:
    sequences = Interactions.of(frame()).sequences
    assert sequences.indptr.tolist() == [0, 2, 5]
    assert sequences.items.tolist() == [0, 0, 0, 1, 1]
    assert sequences.timestamps.tolist() == [DAY, 3 * DAY, 0, DAY, 2 * DAY]
    at_once = {"user": [1, 1, 1], "item": [5, 6, 7], "time": [0, 0, 0], "order": [2, 1, 2]}
    assert Interactions.of(at_once, unit="s").sequences.items.tolist() == [0, 1, 2]
    assert Interactions.of(at_once, unit="s", position="order").sequences.items.tolist() == [1, 0, 2]


def test_weights_are_summed_and_events_without_weight_only_count_as_seen() -> None:
    events = {"user": [1, 1, 1, 2], "item": [5, 5, 6, 6], "w": [0.5, 1.25, 0.0, 3], "time": range(4)}
    data = Interactions.of(events, weight="w", unit="s")
    expected = np.round([[1 + np.log(2.75), 0], [0, 1 + np.log(4)]], 6).astype(np.float32)
    np.testing.assert_array_equal(data.dataset.matrix.toarray(), expected)
    assert data.seen.toarray().tolist() == [[1, 1], [0, 1]]
    assert data.sequences.items.tolist() == [0, 0, 1]


@given(st.permutations(range(6)), st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=6, max_size=6))
def test_the_order_of_the_rows_changes_no_weight(order: list[int], weights: list[float]) -> None:
    events = {"user": [1, 1, 1, 2, 2, 2], "item": [5, 5, 5, 6, 6, 5], "w": weights}
    shuffled = {name: [values[row] for row in order] for name, values in events.items()}
    first, second = (Interactions.of(rows, weight="w").dataset.matrix for rows in (events, shuffled))
    np.testing.assert_array_equal(first.toarray(), second.toarray())


def test_at_least_keeps_events_of_a_value_or_more_and_renumbers_them() -> None:
    ratings = {"user": ["a", "b", "c", "a"], "item": [1, 2, 3, 3], "stars": [5, 1, 4, 3], "time": range(4)}
    liked = Interactions.of(ratings, value="stars", unit="s").at_least(4)
    assert liked.shape == (2, 2)
    assert liked.user_ids.take(liked.users).to_pylist() == ["a", "c"]
    assert liked.item_ids.take(liked.items).to_pylist() == [1, 3]
    assert liked.values.tolist() == [5, 4]
    assert liked.timestamps.tolist() == [0, 2_000_000]
    with pytest.raises(ModelError, match="expected a value of 6 or more, got none"):
        liked.at_least(6)
    with pytest.raises(ModelError, match="expected interactions with values, got none"):
        Interactions.of(frame()).at_least(4)


def test_with_items_numbers_items_like_a_model() -> None:
    known = Interactions.of({"user": [1, 1], "item": pa.array([10, 20], pa.int32())}).item_ids
    data = Interactions.of(frame()).with_items(known)
    assert data.shape == (2, 2)
    assert data.users.tolist() == [0, 1, 0]
    assert data.items.tolist() == [0, 0, 0]
    with pytest.raises(
        ModelError, match="expected item ids, as the model was trained on, as whole numbers, got text"
    ):
        Interactions.of({"user": [1], "item": ["10"]}).with_items(known)


def test_columns_have_usual_names_or_are_named() -> None:
    assert Interactions.of({"userId": [1], "movieId": [2]}).timestamps is None
    both = {"user": ["x"], "user_id": [7], "item": [1]}
    assert Interactions.of(both).user_ids.values.to_pylist() == [7]
    assert Interactions.of(both, user="user").user_ids.values.to_pylist() == ["x"]
    numbered = pd.DataFrame([[1, 2, 3]])
    data = Interactions.of(numbered, user=0, item=1, timestamp=2, unit="s")
    assert data.timestamps.tolist() == [3 * 10**6]
    plain = Interactions.of({"user": [1], "item": [2], "rating": [None], "weight": [-1], "position": ["x"]})
    assert (plain.values, plain.weights, plain.positions) == (None, None, None)


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no user": (
        {"item": [1]},
        {},
        "expected a column user_id, userId, user, or user= its name, got the columns",
    ),
    "no item": ({"user": [1]}, {}, "expected a column item_id, itemId, movieId, item, or item= its name"),
    "no such": (
        {"user": [1], "item": [1]},
        {"user": "who"},
        "expected a column 'who', got the columns user, item",
    ),
    "no such time": ({"user": [1], "item": [1]}, {"timestamp": "at"}, "expected a column 'at'"),
    "same": (
        {"user": [1], "item": [1]},
        {"item": "user"},
        "expected different columns for user and item, got 'user'",
    ),
    "null": ({"user": [1, None], "item": [1, 2]}, {}, "every row of 'user', got 1 null, the first in row 1"),
    "empty": ({"user": [], "item": []}, {}, "expected at least one event, got none"),
    "lengths": ({"user": [1, 2], "item": [1]}, {}, "expected 2 rows in 'item', as in 'user', got 1"),
    "mixed": ({"user": [1, "a"], "item": [1, 2]}, {}, "expected values of one type in 'user'"),
    "halves": (
        {"user": [1.5], "item": [1]},
        {},
        r"expected whole numbers as ids in 'user', got 1\.5 in row 0",
    ),
    "unit": ({"user": [1], "item": [1], "time": [5]}, {}, "expected unit= one of s, ms, us, ns"),
    "time": ({"user": [1], "item": [1], "time": ["now"]}, {}, "expected times in ISO 8601 in 'time'"),
    "value": (
        {"user": [1], "item": [1], "v": ["good"]},
        {"value": "v"},
        "expected numbers in 'v', got .*string",
    ),
    "inf": (
        {"user": [1], "item": [1], "v": [np.inf]},
        {"value": "v"},
        "expected finite numbers in 'v', got inf",
    ),
    "weight": (
        {"user": [1], "item": [1], "w": [-1]},
        {"weight": "w"},
        r"weights of 0 or more in 'w', got -1\.0",
    ),
    "heavy": (
        {"user": [1], "item": [1], "w": [1e13]},
        {"weight": "w"},
        r"expected weights of at most 9e\+12 together",
    ),
    "position": (
        {"user": [1], "item": [1], "time": ["2026-01-01"], "p": [0.5]},
        {"position": "p"},
        "expected whole numbers in 'p'",
    ),
    "position without times": (
        {"user": [1], "item": [1], "p": [1]},
        {"position": "p"},
        "expected times beside the positions in 'p'",
    ),
    "unknown unit": (
        {"user": [1], "item": [1], "time": ["2026-01-01"]},
        {"unit": "fortnights"},
        "expected unit= one of s, ms, us, ns, got 'fortnights'",
    ),
    "a column": (
        {"user": [1], "item": [1]},
        {"user": pd.Series([1])},
        "expected the name of a column as user=, got a Series",
    ),
    "an array": (
        {"user": [1], "item": [1]},
        {"item": pa.array([1])},
        "expected the name of a column as item=, got a Int64Array",
    ),
    "a truth": (
        {"user": [1], "item": [1]},
        {"user": True},
        "expected the name of a column as user=, got a bool",
    ),
    "a list": (
        {"user": [1], "item": [1]},
        {"user": ["user"]},
        "expected the name of a column as user=, got a list",
    ),
    "a junk time": (
        {"user": [1], "item": [1], "date": ["yesterday"]},
        {},
        "got 'yesterday' in row 0 .*; timestamp=False reads no times",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_mistake_is_reported_in_one_sentence(name: str) -> None:
    columns, arguments, message = WRONG[name]
    for frame in (columns, pd.DataFrame({key: pd.Series(values) for key, values in columns.items()})):
        if name == "lengths" and frame is not columns:
            continue  # columns of a pandas frame have equal length
        with pytest.raises(ModelError, match=message) as error:
            Interactions.of(frame, **arguments)
        assert "\n" not in str(error.value)


def test_a_repeated_column_is_refused_only_if_it_is_needed() -> None:
    twice = pd.DataFrame([[1, 2, 3, 4]], columns=["user", "item", "price", "price"])
    assert len(Interactions.of(twice)) == 1
    with pytest.raises(ModelError, match="expected one column 'item', got 2 of that name"):
        Interactions.of(twice.set_axis(["user", "item", "item", "price"], axis=1))


def test_arrays_that_do_not_match_are_refused() -> None:
    data = Interactions.of(frame())
    with pytest.raises(ModelError, match=r"expected 5 items, one per event, got \(4,\)"):
        Interactions(data.user_ids, data.item_ids, data.users, data.items[1:])
    with pytest.raises(ModelError, match=r"expected users below 2, got 1\.\.2"):
        Interactions(data.user_ids, data.item_ids, data.items + 1, data.items)


def test_times_can_be_left_out() -> None:
    data = Interactions.of({"user": [1], "item": [2], "date": ["yesterday"]}, timestamp=False)
    assert data.timestamps is None


def test_arrays_are_read_only_and_apart_from_the_source() -> None:
    values = np.array([1.0, 2.0])
    data = Interactions.of({"user": [1, 2], "item": [3, 4], "v": values}, value="v")
    values[0] = 9
    assert data.values.tolist() == [1, 2]
    for array in (data.users, data.items, data.values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("value", ["2", None, True, np.array([1, 2]), [2]])
def test_at_least_asks_for_a_number(value: Any) -> None:
    data = Interactions.of({"user": [1], "item": [2], "v": [1]}, value="v")
    with pytest.raises(ModelError, match=r"^expected a number, at_least\(4\), got "):
        data.at_least(value)

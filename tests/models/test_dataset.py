"""Data sets are validated on construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories, Sequences
from models.errors import ModelError


def sequences(*users: list[tuple[int, int]]) -> Sequences:
    """Return the sequences of users given as (item, timestamp) lists."""
    events = [event for user in users for event in user]
    return Sequences(
        np.cumsum([0, *map(len, users)], dtype=np.int64),
        np.array([item for item, _ in events], dtype=np.int32),
        np.array([time for _, time in events], dtype=np.int64),
    )


GOOD = sequences([(1, 5), (0, 5), (1, 9)], [], [(2, 1)])


def test_rows_of_sequences_are_in_the_requested_order() -> None:
    some = GOOD.rows(np.array([2, 0, 1, 2]))
    assert some.indptr.tolist() == [0, 1, 4, 4, 5]
    assert some.items.tolist() == [2, 1, 0, 1, 2]
    assert some.timestamps.tolist() == [1, 5, 5, 9, 1]
    assert GOOD.rows(slice(1, 3)).items.tolist() == [2]
    assert GOOD.lengths.tolist() == [3, 0, 1]


@given(st.lists(st.integers(0, 119), max_size=20))
def test_rows_of_histories_keep_matrix_and_sequences_together(users: list[int]) -> None:
    histories = random_world().histories
    some = histories.rows(np.array(users, dtype=np.int64))
    assert len(some) == len(users)
    for row, user in enumerate(users):
        single = histories.rows(slice(user, user + 1))
        assert some.matrix[[row]].toarray().tolist() == single.matrix.toarray().tolist()
        assert some.sequences is not None
        assert single.sequences is not None
        assert some.sequences.rows(slice(row, row + 1)).items.tolist() == single.sequences.items.tolist()


def test_padding_adds_empty_users_at_the_end() -> None:
    histories = random_world().histories.rows(slice(0, 3))
    padded = histories.padded(5)
    assert len(padded) == 5
    assert padded.empty.tolist() == [False, False, False, True, True]
    assert padded.sequences is not None
    assert padded.sequences.lengths[3:].tolist() == [0, 0]
    assert histories.padded(2) is histories


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"items": np.array([0, 1], dtype=np.int64)},
            "sequences.items as a one-dimensional array of int32, got int64",
        ),
        ({"indptr": np.array([0, 3])}, "from 0 to 2 events"),
        ({"indptr": np.zeros(0, dtype=np.int64)}, "from 0 to 2 events"),
        ({"indptr": np.array([0, 2, 1, 2])}, "not to decrease"),
        ({"items": np.array([0, -1], dtype=np.int32)}, "item indices >= 0 in the sequences, got -1"),
        ({"timestamps": np.array([1])}, "expected 2 timestamps"),
        ({"timestamps": np.array([2, 1])}, "got event 1 of user 0 earlier"),
        ({"timestamps": [1, 2]}, "got list"),
    ],
)
def test_invalid_sequences_are_refused(arguments: dict[str, Any], message: str) -> None:
    good = {
        "indptr": np.array([0, 2]),
        "items": np.array([0, 1], dtype=np.int32),
        "timestamps": np.array([1, 2]),
    }
    with pytest.raises(ModelError, match=message):
        Sequences(**(good | arguments))


def test_users_can_start_earlier_than_the_user_before_them() -> None:
    assert len(sequences([(0, 9)], [], [(0, 1)])) == 3


def unsorted() -> sparse.csr_array:
    return sparse.csr_array((np.ones(2, np.float32), np.array([1, 0]), np.array([0, 2])), shape=(1, 2))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.eye(2), "scipy csr matrix, got ndarray"),
        (matrix(np.eye(2)).tocoo(), "scipy csr matrix, got coo_array"),
        (matrix(np.eye(2)).astype(np.float64), "of float32, got float64"),
        (unsorted(), "sorted, distinct column indices"),
        (matrix([[np.nan, 1]]), "finite values in matrix, got nan"),
        (matrix([[1, -1]]), r"weights > 0 in matrix \(leave others out\), got -1"),
    ],
)
@pytest.mark.parametrize("kind", [Dataset, Histories])
def test_an_invalid_matrix_is_refused(kind: type, weights: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        kind(weights)


def test_parts_of_a_data_set_must_agree() -> None:
    with pytest.raises(ModelError, match="sequences of 2 users as in the matrix, got 3"):
        Dataset(matrix(np.eye(2)), GOOD)
    with pytest.raises(ModelError, match="items below 2 in the sequences, got 2"):
        Dataset(matrix(np.ones((3, 2))), GOOD)
    with pytest.raises(ModelError, match="item_features of 3 items, got 2"):
        Dataset(matrix(np.ones((3, 3))), GOOD, matrix(np.ones((2, 7))))
    assert Dataset(matrix(np.ones((3, 3))), GOOD, matrix(-np.ones((3, 7)))).n_items == 3

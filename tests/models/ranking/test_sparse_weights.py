"""Sparse weights, against dense ones; what a damaged file holds is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from models.contract.worlds import random_world
from models.errors import ModelError
from models.ranking.sparse_weights import SparseWeights

# item 0 is predicted from items 1 and 2, item 1 from 0 and 3, item 2 from 3, item 3 from nothing
NEAR = np.array([[2, 1], [0, 3], [3, -1], [-1, -1]], dtype=np.int32)
WEIGHTS = np.array([[0.5, 2.0], [-1.0, 0.25], [3.0, 9.0], [9.0, 9.0]], dtype=np.float32)
DENSE = np.array([[0, -1, 0, 0], [2, 0, 0, 0], [0.5, 0, 0, 0], [0, 0.25, 3, 0]], dtype=np.float32)
EVERYTHING = np.ones(4, dtype=np.bool_)


def weights() -> SparseWeights:
    return SparseWeights.of(NEAR, WEIGHTS)


def test_rows_are_items_of_the_history_and_columns_those_that_are_scored() -> None:
    np.testing.assert_array_equal(weights().matrix.toarray(), DENSE)
    without = SparseWeights.of(NEAR, np.where(WEIGHTS == 3, 0, WEIGHTS).astype(np.float32))
    assert without.matrix.nnz == 4  # a weight of 0 takes no room


@pytest.mark.parametrize("threads", [1, 3])
def test_scores_sum_the_weights_over_the_history(threads: int) -> None:
    rng = np.random.default_rng(4)
    histories = random_world().matrix
    near = np.stack([rng.permutation(60)[:7] for _ in range(60)]).astype(np.int32)
    values = rng.normal(size=near.shape).astype(np.float32)
    dense = np.zeros((60, 60), np.float32)
    dense[near.ravel(), np.repeat(np.arange(60), 7)] = values.ravel()
    scores = SparseWeights.of(near, values).scores(histories, threads)
    np.testing.assert_allclose(scores, histories @ dense, rtol=1e-4, atol=1e-5)


def test_similar_are_the_allowed_items_with_the_largest_weights_above_0() -> None:
    top = weights().similar(np.array([1, 0, 3, 2]), 3, EVERYTHING)
    assert top.items.tolist() == [[3, -1, -1], [1, 2, -1], [-1, -1, -1], [3, -1, -1]]
    assert top.scores[1].tolist() == [2.0, 0.5, -np.inf]
    assert weights().similar(np.array([0]), 1, np.arange(4) != 1).items.tolist() == [[2]]


def test_equal_weights_are_in_the_order_of_the_items() -> None:
    near = np.array([[3, 1, 2], [-1] * 3, [-1] * 3, [-1] * 3], dtype=np.int32)
    equal = SparseWeights.of(near, np.ones((4, 3), np.float32))
    assert equal.similar(np.array([0]), 2, EVERYTHING).items.tolist() == [[1, 2]]


def test_a_reason_is_the_item_that_adds_most() -> None:
    histories = random_world(5, 4).matrix[:0]
    assert weights().reasons(np.zeros((0, 2), np.int32), histories).shape == (0, 2)


def test_the_arrays_restore_the_same_weights() -> None:
    restored = SparseWeights.restored(weights().arrays(), 4)
    np.testing.assert_array_equal(restored.matrix.toarray(), DENSE)


def changed(**arrays: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    return weights().arrays() | arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed(ends=np.array([0, 1, 2, 3, 5], np.int32)), "expected ends int64, .* got int32"),
        (changed(weights=np.ones(5)), "weights float32, got .* float64"),
        (changed(ends=np.array([0, 1, 3, 5])), r"ends of 4 items .*got \(4,\)"),
        (changed(weights=np.ones(4, np.float32)), r"as many items as weights, got .* \(5,\) and \(4,\)"),
        (changed(ends=np.array([0, 2, 1, 3, 5])), "from 0 to 5 that do not decrease"),
        (changed(ends=np.array([0, 1, 2, 3, 4])), "from 0 to 5 that do not decrease"),
        (changed(ends=np.array([1, 1, 2, 3, 5])), "from 0 to 5 that do not decrease"),
        (changed(items=np.array([0, 1, 2, 3, 4], np.int32)), r"items from 0 to 3, got 0\.\.4"),
        (changed(items=np.array([0, 1, 2, 3, -1], np.int32)), r"items from 0 to 3, got -1\.\.3"),
    ],
)
def test_arrays_of_another_form_are_refused(arrays: dict[str, npt.NDArray[Any]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SparseWeights.restored(arrays, 4)

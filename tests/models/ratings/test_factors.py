"""Users who are folded in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from models.contract.worlds import rated_world
from models.ratings.factors import ItemSide, fold_in, predicted


@pytest.fixture
def items() -> ItemSide:
    rng = np.random.default_rng(2)
    draw = [rng.standard_normal(shape).astype(np.float32) for shape in ((60, 5), (60,), (60, 5))]
    return ItemSide(draw[0], draw[1], draw[2])


def test_what_implicit_vectors_add_is_their_sum_over_the_root_of_their_number(items: ItemSide) -> None:
    ratings = rated_world().matrix
    shown = items.shown(ratings, threads=1)
    row = ratings.indices[ratings.indptr[7] : ratings.indptr[8]]
    np.testing.assert_allclose(shown[7], items.implicit[row].sum(axis=0) / len(row) ** 0.5, rtol=1e-4)
    assert (shown[np.diff(ratings.indptr) == 0] == 0).all()
    assert items.shown(ratings * 2, threads=1).tobytes() == shown.tobytes()  # whatever the ratings


def test_a_user_does_not_depend_on_others_or_threads(items: ItemSide) -> None:
    ratings = rated_world().matrix
    whole = fold_in(ratings, items, 0.1, threads=1)
    three = fold_in(ratings, items, 0.1, threads=3)
    some = fold_in(sparse.csr_array(ratings[[50, 3]]), items, 0.1, threads=1)
    assert whole.factors.tobytes() == three.factors.tobytes()
    assert whole.biases.tobytes() == three.biases.tobytes()
    np.testing.assert_array_equal(some.factors, whole.factors[[50, 3]])
    np.testing.assert_array_equal(some.biases, whole.biases[[50, 3]])


def test_ratings_that_the_items_explain_are_predicted(items: ItemSide) -> None:
    plain = ItemSide(items.factors, items.biases, np.zeros((0, 5), np.float32))
    taste, level = np.array([1, -2, 0.5, 0, 3], np.float32), np.float32(0.7)
    ratings = (plain.factors @ taste + level + plain.biases).astype(np.float32)
    shown = np.arange(60) % 2 == 0
    history = sparse.csr_array(np.where(shown, ratings, 0)[None].astype(np.float32))
    folded = fold_in(history, plain, 1e-6, threads=1)
    others = np.flatnonzero(~shown)
    predictions = predicted(folded, plain, np.zeros(30, np.int64), others)
    np.testing.assert_allclose(predictions, ratings[others], atol=1e-2)

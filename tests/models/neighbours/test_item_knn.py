"""Item neighbours, against values worked by hand and a dense computation."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.neighbours.item_knn import ItemKNN, ItemKNNConfig, nearest_neighbours
from models.neighbours.weighting import K1, B, weighted
from models.options import TrainingOptions
from models.ranking.topn import top_n

# items 0 and 1 share both users, item 2 shares one user with each, item 3 shares none
WORLD = Dataset(matrix([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))


def knn(**settings: object) -> ItemKNN:
    return ItemKNN(
        ItemKNNConfig(**{"weighting": "none", "shrink": 0, "neighbours": 2, "normalisation": 0} | settings)
    ).fit(WORLD)


def test_cosines_worked_by_hand() -> None:
    top = knn().similar_items(np.arange(4), 3)
    assert top.items.tolist() == [[1, 2, -1], [0, 2, -1], [0, 1, -1], [-1, -1, -1]]
    np.testing.assert_allclose(top.scores[:3, :2], [[1, 0.5], [1, 0.5], [0.5, 0.5]], rtol=1e-6)


def test_shrink_is_added_to_the_denominator() -> None:
    top = knn(shrink=3).similar_items(np.array([0]), 2)
    np.testing.assert_allclose(top.scores, [[2 / (2 + 3), 1 / (2 + 3)]], rtol=1e-6)


def test_scores_are_divided_by_a_power_of_the_sum_of_similarities() -> None:
    model = knn(normalisation=0.5)  # item 0 has neighbours at 1 and 0.5, item 2 at 0.5 and 0.5
    history = Histories(matrix([[0, 2, 0, 0]]))
    expected = [[2 / 1.5**0.5, 0, 1 / 1**0.5, 0]]
    np.testing.assert_allclose(model.scores(history), expected, rtol=1e-6)
    np.testing.assert_allclose(model.similar_items(np.array([0]), 2).scores, [[1, 0.5]], rtol=1e-6)


def test_only_the_nearest_neighbours_are_kept_with_ties_by_item() -> None:
    top = knn(neighbours=1).similar_items(np.arange(4), 2)
    assert top.items.tolist() == [[1, -1], [0, -1], [0, -1], [-1, -1]]


def test_a_score_sums_the_history_over_the_neighbours_of_the_item() -> None:
    histories = Histories(matrix([[0, 2, 0, 3], [0, 0, 0, 1]]))
    model = knn()
    np.testing.assert_allclose(model.scores(histories), [[2, 0, 1, 0], [0, 0, 0, 0]], rtol=1e-6)
    top = model.recommend(histories, 3)
    assert top.items.tolist() == [[0, 2, -1], [-1, -1, -1]]  # no neighbour, no recommendation


@pytest.mark.parametrize("weighting", ["none", "tfidf", "bm25"])
@pytest.mark.parametrize(("threads", "power"), [(1, 0.0), (3, 0.4)])
def test_scores_equal_a_dense_computation(
    weighting: str, threads: int, power: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.ranking.nearest.ROWS", 16)  # several calls
    world = random_world()
    config = ItemKNNConfig(neighbours=7, weighting=weighting, shrink=2.5, normalisation=power)
    model = ItemKNN(config).fit(world, TrainingOptions(threads=threads))
    columns = weighted(world.matrix, weighting).toarray().astype(np.float64)
    norms = np.sqrt((columns**2).sum(axis=0))
    similar = columns.T @ columns / (np.outer(norms, norms) + 2.5)
    np.fill_diagonal(similar, 0)
    near = np.where(similar >= -np.sort(-similar, axis=1)[:, [6]], similar, 0)
    near /= np.maximum(near.sum(axis=1, keepdims=True), 1e-9) ** power
    np.testing.assert_allclose(model.scores(world.histories), world.matrix @ near.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_the_nearest_of_many_are_those_of_a_sort(n: int) -> None:
    """More items are near than are kept at a time, with many ties."""
    random = np.random.default_rng(n)
    columns = matrix((random.random((60, 400)) < 0.3).astype(float).tolist())
    similar = columns.T.toarray() @ columns.toarray()
    norms = np.sqrt(np.diag(similar)).astype(np.float32)
    similar = (similar / (norms[:, None] * norms + np.float32(3))).astype(np.float32)
    np.fill_diagonal(similar, 0)
    expected = np.argsort(-similar, axis=1, kind="stable")[:, :n]
    top = nearest_neighbours(columns, n, 3.0, threads=2)
    assert np.array_equal(top.items, expected)
    np.testing.assert_allclose(top.scores, np.take_along_axis(similar, expected, axis=1), rtol=1e-6)


def test_weights_worked_by_hand() -> None:
    weights = matrix([[4, 1, 0], [0, 1, 0]])
    idf = np.array([log(1 + 2 / 2), log(1 + 2 / 1)])  # user 0 has 2 of 2 items, user 1 has 1
    np.testing.assert_allclose(
        weighted(weights, "tfidf").toarray(), [[sqrt(4) * idf[0], idf[0], 0], [0, idf[1], 0]], rtol=1e-6
    )
    lengths = [1 - B + B * 4 / 3, 1 - B + B * 2 / 3]  # sums 4 and 2, mean 3
    bm25 = [4 * (K1 + 1) / (K1 * lengths[0] + 4), (K1 + 1) / (K1 * lengths[1] + 1)]
    np.testing.assert_allclose(
        weighted(weights, "bm25").toarray(),
        [[bm25[0] * idf[0], bm25[1] * idf[0], 0], [0, bm25[1] * idf[1], 0]],
        rtol=1e-6,
    )


def test_neighbours_outside_the_catalogue_are_refused() -> None:
    arrays = knn()._arrays()
    with pytest.raises(ModelError, match=r"neighbours from -1 to 3, got -1\.\.4"):
        knn()._restore(arrays | {"neighbours": np.where(arrays["neighbours"] == 2, 4, arrays["neighbours"])})


@settings(max_examples=80)
@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 2.0]), min_size=7, max_size=7), max_size=9),
    st.integers(1, 9),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([0, 30]),  # further items, which make the products of an item few beside all
    st.integers(1, 3),
)
def test_neighbours_are_the_largest_similarities_with_ties_by_item(
    rows: list[list[float]], n: int, shrink: float, others: int, threads: int
) -> None:
    dense = np.pad(np.array(rows, np.float32).reshape(len(rows), 7), ((0, 0), (0, others)))
    norms = np.sqrt(np.square(dense).sum(axis=0))
    with np.errstate(invalid="ignore"):
        similar = np.nan_to_num((dense.T @ dense) / (np.outer(norms, norms) + np.float32(shrink)))
    np.fill_diagonal(similar, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.ranking.nearest.ROWS", 4)
        top = nearest_neighbours(matrix(dense), n, shrink, threads)
    expected = top_n(similar, n, above=0.0)  # small numbers: the products are exact in any order
    np.testing.assert_array_equal(top.items, expected.items)
    np.testing.assert_array_equal(top.scores, expected.scores)


def test_products_too_small_for_float32_are_no_neighbours() -> None:
    tiny = matrix([[1e-30, 1e-30, 1], [0, 0, 1]])
    for columns in (tiny, matrix([[1e-30, 1e-30, 1, 0, 0, 0, 0, 0, 0, 0, 0]])):
        top = nearest_neighbours(columns, 2, 1.0, 1)
        assert top.items[:3].tolist() == [[2, -1], [2, -1], [0, 1]]

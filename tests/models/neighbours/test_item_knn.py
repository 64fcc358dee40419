"""Item neighbours, against values worked by hand and a dense computation."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.neighbours.item_knn import ItemKNN, ItemKNNConfig
from models.neighbours.weighting import Weighting, Weights
from models.options import TrainingOptions

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
    weighting: Weighting, threads: int, power: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.ranking.nearest.ROWS", 16)  # several calls
    world = random_world()
    config = ItemKNNConfig(neighbours=7, weighting=weighting, shrink=2.5, normalisation=power)
    model = ItemKNN(config).fit(world, TrainingOptions(threads=threads))
    by_item = world.matrix.T.tocsr()
    columns = Weights.of(by_item, weighting).apply(by_item).toarray().T.astype(np.float64)
    norms = np.sqrt((columns**2).sum(axis=0))
    similar = columns.T @ columns / (np.outer(norms, norms) + 2.5)
    np.fill_diagonal(similar, 0)
    near = np.where(similar >= -np.sort(-similar, axis=1)[:, [6]], similar, 0)
    near /= np.maximum(near.sum(axis=1, keepdims=True), 1e-9) ** power
    np.testing.assert_allclose(model.scores(world.histories), world.matrix @ near.T, rtol=1e-4, atol=1e-5)


def test_neighbours_outside_the_catalogue_are_refused() -> None:
    arrays = knn()._arrays()
    with pytest.raises(ModelError, match=r"neighbours from -1 to 3, got -1\.\.4"):
        knn()._restore(arrays | {"neighbours": np.where(arrays["neighbours"] == 2, 4, arrays["neighbours"])})

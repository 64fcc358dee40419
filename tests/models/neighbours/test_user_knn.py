"""User neighbours, against values worked by hand and a dense computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.artefact import load, save
from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.neighbours.user_knn import UserKNN, UserKNNConfig
from models.neighbours.weighting import Weighting, Weights
from models.options import TrainingOptions

# the history {1} shares half with each of the first two users, and nothing with the third
WORLD = Dataset(matrix([[1, 3, 0, 0], [0, 3, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]))
HISTORY = Histories(matrix([[0, 1, 0, 0]]))
SHARED = 3 / 10**0.5


def knn(**settings: object) -> UserKNN:
    plain = {"similarity": "cosine", "neighbourhood": "nearest", "neighbours": 2, "half_life_days": None}
    return UserKNN(UserKNNConfig(**plain | settings)).fit(WORLD)  # type: ignore[arg-type]


def test_scores_worked_by_hand() -> None:
    np.testing.assert_allclose(knn().scores(HISTORY), [[SHARED, 6 * SHARED, SHARED, 0]], rtol=1e-6)
    assert knn().recommend(HISTORY, 4, exclude=HISTORY.matrix).items.tolist() == [[0, 2, -1, -1]]


def test_an_inverted_neighbourhood_has_those_to_whom_the_user_is_near_enough() -> None:
    """Of the first two users, each is the other's nearest at 9 / 10; the history is nearer to both."""
    for neighbours in (1, 2):
        model = knn(neighbourhood="inverted", neighbours=neighbours)
        np.testing.assert_allclose(model.scores(HISTORY), [[SHARED, 6 * SHARED, SHARED, 0]], rtol=1e-6)
    far = Histories(matrix([[0, 1, 0, 5]]))  # 3 / (10 * 26)^0.5 is less than 9 / 10
    alone = [[0, 0, 0, 5 / 26**0.5]]
    np.testing.assert_allclose(knn(neighbourhood="inverted", neighbours=1).scores(far), alone, rtol=1e-6)
    near = 3 / 260**0.5
    every = [[near, 6 * near, near, 5 / 26**0.5]]
    np.testing.assert_allclose(knn(neighbourhood="inverted", neighbours=2).scores(far), every, rtol=1e-6)


def test_an_asymmetric_similarity_of_an_inverted_neighbourhood_is_measured_from_the_neighbour() -> None:
    model = knn(neighbourhood="inverted", similarity="asymmetric", asymmetry=0.2)
    history = Histories(matrix([[0, 2, 0, 0]]))
    expected = 6 / (10**0.2 * 4**0.8)  # the neighbour's squared length is 10, the history's 4
    np.testing.assert_allclose(model.scores(history)[0, [0, 2]], expected, rtol=1e-6)


def test_of_equal_neighbours_the_first_users_count() -> None:
    np.testing.assert_allclose(knn(neighbours=1).scores(HISTORY), [[SHARED, 3 * SHARED, 0, 0]], rtol=1e-6)


def test_shrink_is_added_to_the_denominator() -> None:
    shrunk = 3 / (10**0.5 + 2)
    np.testing.assert_allclose(knn(shrink=2).scores(HISTORY)[0, 0], shrunk, rtol=1e-6)


def test_a_normalised_score_is_the_mean_of_the_neighbours_who_have_the_item() -> None:
    np.testing.assert_allclose(knn(normalisation=1).scores(HISTORY), [[1, 3, 1, 0]], rtol=1e-6)
    half = SHARED**0.5
    expected = [[half, 6 * SHARED / (2 * SHARED) ** 0.5, half, 0]]
    np.testing.assert_allclose(knn(normalisation=0.5).scores(HISTORY), expected, rtol=1e-6)


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])  # without, many neighbours are equal
@pytest.mark.parametrize("neighbourhood", ["nearest", "inverted"])
@pytest.mark.parametrize(("threads", "power"), [(1, 0.0), (3, 0.4)])
def test_scores_equal_a_dense_computation(
    weighting: Weighting, neighbourhood: str, threads: int, power: float
) -> None:
    world = random_world()
    settings = {"neighbours": 9, "weighting": weighting, "shrink": 2.5, "normalisation": power}
    settings |= {"similarity": "cosine", "neighbourhood": neighbourhood, "half_life_days": None}
    model = UserKNN(UserKNNConfig(**settings)).fit(world, TrainingOptions(threads=threads))  # type: ignore[arg-type]
    users = Weights.of(world.matrix, weighting).apply(world.matrix).toarray().astype(np.float64)
    norms = np.sqrt((users**2).sum(axis=1))
    similar = users @ users.T / (np.outer(norms, norms) + 2.5)
    others = similar - np.diag(np.diag(similar))
    if neighbourhood == "inverted":  # those to whom the user is among their 9 nearest others
        near = np.where(-np.sort(-others, axis=1)[:, 8] <= similar.T, similar, 0)
    else:  # the user is among their own 9
        near = np.where(similar >= -np.sort(-similar, axis=1)[:, [8]], similar, 0)
    have = world.matrix.toarray()
    expected = near @ have / np.maximum(near @ (have > 0), 1e-9) ** power
    np.testing.assert_allclose(model.scores(world.histories), expected, rtol=1e-3, atol=1e-5)


def test_a_history_counts_by_its_age_and_on_the_scale_of_the_training_weights() -> None:
    """A training user's own history, given again, is as similar to theirs as can be."""
    world = random_world()
    model = UserKNN(UserKNNConfig(neighbourhood="nearest", neighbours=1, half_life_days=20.0)).fit(world)
    weights = model._decay.scaled_dataset(world).matrix
    assert not np.allclose(weights.data, world.matrix.data)
    np.testing.assert_allclose(model.scores(world.histories), weights.toarray(), rtol=1e-4)


def test_a_saved_model_gives_the_same_scores(tmp_path: Path) -> None:
    world = random_world()
    model = UserKNN(UserKNNConfig(similarity="jaccard", half_life_days=9.0)).fit(world)
    save(model, tmp_path / "user_knn")
    restored = load(tmp_path / "user_knn")
    assert np.array_equal(restored.scores(world.histories), model.scores(world.histories))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("items", np.array([0, 1, 1, 2, 4], np.int32), r"items from 0 to 3, got 0\.\.4"),
        ("ends", np.array([0, 3, 2, 5], np.int64), "ends of rows from 0 to 5"),
        ("ends", np.array([0, 2, 4, 4], np.int64), "ends of rows from 0 to 5"),
        ("count", np.array([0]), r"count of neighbours int64 \(1,\) above 0"),
        ("least", np.ones(2, np.float32), r"least float32 \(0,\) above 0"),
        ("scale", np.array([np.inf], np.float32), r"scale float32 \(1,\)"),
        ("weights", np.ones(4, np.float32), "as many items as weights"),
        ("weights", np.ones(5), "weights float32, got int64, int32 and float64"),
    ],
)
def test_a_damaged_matrix_is_refused(name: str, value: object, message: str) -> None:
    arrays = knn()._arrays()
    with pytest.raises(ModelError, match=message):
        knn()._restore(arrays | {name: value})  # type: ignore[dict-item]

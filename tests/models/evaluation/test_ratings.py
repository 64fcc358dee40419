"""The protocol of ratings: its figures by hand, its parts, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.evaluation.ratings import Ratings, cross_validated, latest_hidden, measure_ratings
from models.ratings.global_effects import GlobalEffects
from models.registry import create


class Seeing(GlobalEffects):
    """Global effects that keep what they were trained on and asked for."""

    matrices: list[Any]
    asked: list[set[tuple[int, int]]]

    def _fit(self, dataset: Dataset, options: Any) -> None:
        self.matrices.append(dataset.matrix)
        super()._fit(dataset, options)

    def predict(self, histories: Histories, users: Any, items: Any) -> npt.NDArray[np.float32]:
        self.asked.append(set(zip(users.tolist(), items.tolist(), strict=True)))
        return super().predict(histories, users, items)


@pytest.fixture
def seeing() -> type[Seeing]:
    return type("Fresh", (Seeing,), {"matrices": [], "asked": []})


def some_ratings(n_users: int = 40, n_items: int = 30) -> Ratings:
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.4)
    times = rng.permutation(len(users)).astype(np.int64)
    return Ratings(users, items, rng.integers(1, 6, len(users)).astype(np.float64), times, (n_users, n_items))


def trained_on(matrix: Any) -> set[tuple[int, int]]:
    coo = matrix.tocoo()
    return set(zip(coo.row.tolist(), coo.col.tolist(), strict=True))


def test_the_errors_are_those_of_all_hidden_ratings() -> None:
    """Without biases, everybody is predicted the mean of 1, 2, 3 and 6: 3. Errors: 1, 1, -2 and 1."""
    users, items = np.array([0, 0, 1, 1, 0, 0, 0, 1]), np.array([0, 1, 0, 1, 2, 3, 4, 2])
    values = np.array([1, 2, 3, 6, 2, 2, 5, 2], np.float64)
    ratings = Ratings(users, items, values, None, (2, 5))
    known = np.arange(8) < 4
    settings = {"user_damping": 1e12, "item_damping": 1e12}
    measured = measure_ratings(ratings, known, ~known, lambda: create("global_effects", settings), None)
    assert measured.overall["rmse", 0] == pytest.approx((7 / 4) ** 0.5)
    np.testing.assert_allclose(measured.values["mse", 0], [6 * 2 / 4, 1 * 2 / 4])
    np.testing.assert_allclose(measured.values["mae", 0], [4 * 2 / 4, 1 * 2 / 4])
    assert measured.counts == {
        "train_ratings": 4, "hidden_ratings": 4, "of_unknown_users": 0, "of_unknown_items": 4
    }  # fmt: skip


def test_five_folds_hide_every_rating_once(seeing: type[Seeing]) -> None:
    ratings = some_ratings()
    pairs = set(zip(ratings.users.tolist(), ratings.items.tolist(), strict=True))
    for fold in range(5):
        cross_validated(ratings, seeing, 1, fold)
    assert sum(len(asked) for asked in seeing.asked) == len(pairs)
    assert set.union(*seeing.asked) == pairs
    for matrix, asked in zip(seeing.matrices, seeing.asked, strict=True):
        assert trained_on(matrix) == pairs - asked
        assert abs(len(asked) - len(pairs) / 5) <= 1
    cross_validated(ratings, seeing, 2, 0)
    assert seeing.asked[-1] != seeing.asked[0]


@pytest.mark.parametrize("form", ["folds", "time"])
def test_validation_never_reads_the_test(seeing: type[Seeing], form: str) -> None:
    ratings = some_ratings()
    for part in ("test", "validation"):
        if form == "folds":
            cross_validated(ratings, seeing, 1, 3, part=part)
        else:
            latest_hidden(ratings, seeing, part=part)
    test, validation = seeing.asked
    assert validation
    assert not validation & test
    assert not trained_on(seeing.matrices[1]) & (test | validation)
    assert trained_on(seeing.matrices[1]) | validation == trained_on(seeing.matrices[0])


def test_the_last_fifth_is_hidden_with_all_ratings_of_its_first_time(seeing: type[Seeing]) -> None:
    ratings = some_ratings()
    latest_hidden(ratings, seeing)
    hidden = ratings.timestamps >= np.sort(ratings.timestamps)[int(0.8 * len(ratings.timestamps))]
    expected = set(zip(ratings.users[hidden].tolist(), ratings.items[hidden].tolist(), strict=True))
    assert seeing.asked == [expected]


def test_what_cannot_be_measured_is_refused() -> None:
    ratings = some_ratings()
    none = np.zeros(len(ratings.values), dtype=np.bool_)
    with pytest.raises(ModelError, match="expected a model that predicts ratings, got popularity"):
        cross_validated(ratings, lambda: create("popularity"), 1, 0)
    with pytest.raises(ModelError, match="expected ratings to train on and to hide"):
        measure_ratings(ratings, ~none, none, lambda: create("global_effects"), None)
    timeless = Ratings(ratings.users, ratings.items, ratings.values, None, ratings.shape)
    with pytest.raises(ModelError, match="expected ratings with timestamps"):
        latest_hidden(timeless, lambda: create("global_effects"))

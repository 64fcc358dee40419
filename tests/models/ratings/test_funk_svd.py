"""Funk SVD: what it says of users, items and itself."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix, rated_world
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import Progress, Size, TrainingOptions
from models.ratings.funk_svd import FunkSVD, FunkSVDConfig


@pytest.fixture(scope="module")
def trained() -> FunkSVD:
    return FunkSVD(FunkSVDConfig(factors=6)).fit(rated_world())


def test_predictions_follow_the_scale_of_the_ratings(trained: FunkSVD) -> None:
    """Ratings of 10 to 50 give the same model as those of 1 to 5, ten times as large."""
    world = rated_world()
    tens = FunkSVD(trained.config).fit(Dataset(world.matrix * np.float32(10)))
    users, items = np.arange(120), np.arange(120) % 58
    expected = 10 * trained.predict(world.histories, users, items)
    np.testing.assert_allclose(
        tens.predict(Histories(world.matrix * np.float32(10)), users, items), expected, rtol=1e-3
    )
    assert tens.report["held_out_rmse"] == pytest.approx(10 * trained.report["held_out_rmse"], rel=1e-3)


def test_a_user_without_a_history_gets_the_mean_and_the_bias_of_the_item(trained: FunkSVD) -> None:
    nobody = Histories(matrix(np.zeros((1, 60))))
    world = rated_world()
    unknown_item = trained.predict(nobody, np.array([0]), np.array([59]))
    assert unknown_item[0] == pytest.approx(world.matrix.data.mean(), abs=1e-3)


def test_an_item_that_the_user_disliked_is_no_reason(trained: FunkSVD) -> None:
    world = rated_world()
    items = trained.recommend(world.histories, 5, exclude=world.matrix).items
    reasons = trained.reasons(items, world.histories)
    users, ranks = np.nonzero(reasons >= 0)
    given = world.matrix.toarray()[users, reasons[users, ranks]]
    assert len(users) > 400
    assert given.min() >= 2  # means lie above 2; dislikes are 1 or 2
    assert (given >= 4).mean() > 0.97


def test_epochs_can_be_set_and_are_reported() -> None:
    steps: list[Progress] = []
    model = FunkSVD(FunkSVDConfig(factors=3, epochs=4)).fit(
        rated_world(), TrainingOptions(progress=steps.append)
    )
    assert [step.epoch for step in steps] == [1, 2, 3, 4]
    assert model.report["epochs"] == 4
    assert "held_out_rmse" not in model.report


def test_a_changed_penalty_is_refused(trained: FunkSVD) -> None:
    arrays = trained._arrays()
    for penalty in (np.array([0.0]), np.array([np.inf]), np.array([1.0, 1.0]), np.array([1], np.int64)):
        with pytest.raises(ModelError, match="expected a penalty"):
            trained._restore(arrays | {"penalty": penalty})


def test_the_expected_cost_grows_with_factors_epochs_and_pairs() -> None:
    size = Size(users=1000, items=500, pairs=100_000)
    costs = [
        FunkSVD.cost(FunkSVDConfig(**config), size).seconds
        for config in ({"factors": 8, "epochs": 10}, {"factors": 64, "epochs": 10}, {"factors": 64})
    ]
    assert costs == sorted(costs)
    assert len(set(costs)) == 3

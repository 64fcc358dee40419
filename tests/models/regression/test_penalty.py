"""The penalty's unit is the mean squared length of a history; regressions learn it alike."""

from __future__ import annotations

import numpy as np
import pytest

from models import registry
from models.contract.worlds import matrix, random_world
from models.dataset import Dataset
from models.regression.penalty import PENALTIES, mean_squares

ALL = pytest.mark.parametrize("name", ["ease", "slim", "sparse_ease"])


def test_the_mean_is_over_users_with_a_history() -> None:
    assert mean_squares(matrix([[1, 2, 0], [0, 0, 0], [0, 0, 3]])) == pytest.approx((1 + 4 + 9) / 2)


@ALL
def test_what_is_learned_can_be_set(name: str) -> None:
    world = random_world(200, 40)
    learned = registry.create(name).fit(world)
    assert learned.report["penalty"] in PENALTIES
    known = type(learned).learned_settings(learned.config, learned.report)
    assert set(known) == {"penalty", "half_life_days"}
    again = registry.create(name, known).fit(world)
    np.testing.assert_array_equal(again.scores(world.histories), learned.scores(world.histories))


@ALL
def test_without_times_the_usual_penalty_counts(name: str) -> None:
    model = registry.create(name).fit(Dataset(random_world().matrix))
    assert (model.report["penalty"], model.report["half_life_days"]) == (PENALTIES[0], None)


@ALL
@pytest.mark.parametrize("penalty", [0, 1e-4, 1e7, 1e39])
def test_a_penalty_that_cannot_be_held_beside_the_weights_is_refused(name: str, penalty: float) -> None:
    with pytest.raises(ValueError, match="penalty"):
        registry.model_class(name).Config(penalty=penalty)

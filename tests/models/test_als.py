"""Alternating least squares against the equations of the paper."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import matrix, random_world

from models.base import Progress, TrainingOptions
from models.dataset import Histories
from models.errors import ModelError
from models.factors.als import ALS, ALSConfig

CONFIG = ALSConfig(factors=6, regularization=0.5, alpha=2.0, iterations=4)


def objective(model: ALS, histories: Histories) -> float:
    """Return eq. 3 of Hu, Koren, Volinsky (2008) in float64, over every pair of user and item."""
    weights = histories.matrix.toarray().astype(np.float64)
    users, items = model.vectors(histories).astype(np.float64), model.item_vectors().astype(np.float64)
    loss = ((1 + model.config.alpha * weights) * ((weights > 0) - users @ items.T) ** 2).sum()
    return float(loss + model.config.regularization * ((users**2).sum() + (items**2).sum()))


def test_a_history_is_folded_in_by_equation_4() -> None:
    model = ALS(CONFIG).fit(random_world())
    new = np.zeros((3, 60))
    new[0, [1, 5, 58]] = [1, 2, 3]
    new[2] = 1
    found = model.vectors(Histories(matrix(new)))
    y = model.item_vectors().astype(np.float64)
    for history, vector in zip(new, found, strict=True):
        confidence = np.diag(1 + CONFIG.alpha * history)
        left = y.T @ confidence @ y + CONFIG.regularization * np.eye(6)
        np.testing.assert_allclose(vector, np.linalg.solve(left, y.T @ confidence @ (history > 0)), atol=1e-4)
    assert (found[1] == 0).all()


def test_the_objective_decreases_from_round_to_round() -> None:
    world = random_world()
    rounds = [ALSConfig(**CONFIG.model_dump() | {"iterations": i}) for i in (1, 2, 4, 8, 16)]
    losses = [
        objective(ALS(config).fit(world, TrainingOptions(seed=1)), world.histories) for config in rounds
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.98 * losses[0]


def test_a_larger_weight_gives_a_larger_score() -> None:
    world = random_world()
    model = ALS(CONFIG).fit(world)
    once, often = np.zeros((2, 60)), np.zeros((2, 60))
    once[:, 4], often[:, 4] = 1, 20
    assert (model.scores(Histories(matrix(often)))[:, 4] > model.scores(Histories(matrix(once)))[:, 4]).all()


def test_progress_is_told_after_every_round() -> None:
    told: list[Progress] = []
    ALS(CONFIG).fit(random_world(), TrainingOptions(progress=told.append))
    assert [(step.model, step.epoch, step.epochs) for step in told] == [("als", i, 4) for i in (1, 2, 3, 4)]


def test_another_seed_gives_another_model() -> None:
    first, second = (ALS(CONFIG).fit(random_world(), TrainingOptions(seed=s)).item_vectors() for s in (1, 2))
    assert not np.array_equal(first, second)


def test_items_nobody_took_have_a_zero_vector_and_are_like_nothing() -> None:
    model = ALS(CONFIG).fit(random_world())
    assert (model.item_vectors()[-2:] == 0).all()
    assert (model.similar_items(np.array([0]), 59).items[0] < 58).all()


def test_a_gpu_asked_for_in_vain_is_an_error() -> None:
    from implicit import gpu

    if gpu.HAS_CUDA:
        pytest.skip("implicit found a GPU")
    with pytest.raises(ModelError, match="device 'cuda'"):
        ALS(CONFIG).fit(random_world(), TrainingOptions(device="cuda"))


def test_long_training_ends_where_the_equations_of_the_paper_do() -> None:
    """Item vectors solve eq. 5 given the user vectors, so implicit was given the confidence meant."""
    world = random_world(seed=5)
    model = ALS(ALSConfig(**CONFIG.model_dump() | {"iterations": 60})).fit(world)
    users = model.vectors(world.histories).astype(np.float64)
    weights = world.matrix.toarray()
    solved = [
        np.linalg.solve(
            (users.T * (1 + 2.0 * column)) @ users + 0.5 * np.eye(6),
            users.T @ ((1 + 2.0 * column) * (column > 0)),
        )
        for column in weights.T
    ]
    np.testing.assert_allclose(model.item_vectors(), solved, atol=5e-3)

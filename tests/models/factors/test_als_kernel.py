"""The steps of conjugate gradients that training takes where an exact solution is dear."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.contract.worlds import matrix, random_world
from models.errors import ModelError
from models.factors import als, least_squares
from models.factors.als import ALS, ALSConfig
from models.factors.als_kernel import EXACT
from models.factors.least_squares import Rows, Solution, cpu_solver, row_problems, solve_rotated, solving
from models.options import TrainingOptions

Doubles = npt.NDArray[np.float64]
LARGE = ALSConfig(factors=3 * EXACT, iterations=3, init_scale=1.0)  # rows of the world take steps


def problems(weights: Doubles, *, unobserved: float, penalty: float) -> Rows:
    known = np.ones(weights.shape[1], np.bool_)
    rows = matrix(weights)
    return row_problems(
        rows, alpha=1.0, unobserved=unobserved, penalty=lambda _: np.full(len(weights), penalty), known=known
    )


def gain(weights: Doubles, rows: Rows, fixed: Doubles, solved: Doubles) -> float:
    """Return the sum of 2b'x - x'Ax, which the solution of Ax = b maximises."""
    total = 0.0
    for row, x, penalty in zip(weights, solved, rows.penalties, strict=True):
        c = rows.unobserved + row
        total += 2 * (c * (row > 0)) @ (fixed @ x) - c @ (fixed @ x) ** 2 - penalty * x @ x
    return float(total)


def terms(weights: Doubles, rows: Rows, exact: Solution, step: Solution) -> float:
    """Return the sum of what ``gain`` adds and takes away: its error in float32 grows with that."""
    scores = step.solved.astype(np.float64) @ exact.fixed.T.astype(np.float64)
    c = rows.unobserved + weights
    sizes = 2 * c * (weights > 0) * np.abs(scores) + c * scores**2
    penalties = np.asarray(rows.penalties) * np.square(step.solved, dtype=np.float64).sum(axis=1)
    return float(sizes.sum() + penalties.sum())


def test_one_step_solves_a_row_of_orthogonal_items() -> None:
    """Y = I, so (0.5 + 2 + 1.5) x = 0.5 + 1.5 for each factor: x = 0.5, b'x = 9 * 2 * 0.5."""
    rows = problems(np.full((1, 9), 1.5), unobserved=0.5, penalty=2.0)
    for start in (0.0, 3.0):
        solution = solve_rotated(
            rows, np.eye(9, dtype=np.float32), np.ones(9), 1, np.full((1, 9), start, np.float32), 1
        )
        np.testing.assert_allclose(solution.solved, 0.5, rtol=1e-6)
        assert solution.explained == pytest.approx(9.0, rel=1e-6)


@example(seed=0, factors=9, items=14, unobserved=0.3, penalty=1.0)  # its residual underflows
@example(seed=1090, factors=28, items=13, unobserved=0.3, penalty=30.0)  # its last steps once diverged
@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    factors=st.integers(EXACT + 1, 60),
    items=st.integers(EXACT + 1, 80),
    unobserved=st.sampled_from([0.02, 0.3, 5.0]),
    penalty=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_steps_never_lose_and_reach_the_minimum(
    seed: int, factors: int, items: int, unobserved: float, penalty: float
) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(1, 4, (5, items)) * (
        random.random((5, items)) < [[1], [0.9], [0.6], [0.3], [0]]
    )
    rows = problems(weights.astype(np.float64), unobserved=unobserved, penalty=penalty)
    fixed = random.standard_normal((items, factors), dtype=np.float32)
    with solving():
        exact = cpu_solver(1, steps=0)(rows, fixed, np.zeros((5, factors), np.float32))
        squares = np.square(exact.fixed, dtype=np.float64).sum(axis=0)
        start = random.standard_normal((5, factors), dtype=np.float32)
        before = gain(weights, rows, exact.fixed.astype(np.float64), start.astype(np.float64))
        for steps in (*[2] * 5, 200):
            step = solve_rotated(rows, exact.fixed, squares, 1, start, steps)
            after = gain(weights, rows, exact.fixed.astype(np.float64), step.solved.astype(np.float64))
            assert step.explained == pytest.approx(after, abs=1e-5 * terms(weights, rows, exact, step))
            assert after >= before - 1e-5 * abs(before)
            start, before = step.solved, after
    assert step.explained == pytest.approx(exact.explained, rel=1e-5)
    np.testing.assert_allclose(step.solved @ exact.fixed.T, exact.solved @ exact.fixed.T, atol=1e-3)
    assert (step.solved[-1] == 0).all()  # no entries


def trained(config: ALSConfig, threads: int = 1, seed: int = 1) -> ALS:
    world = random_world(n_users=400, n_items=90, seed=4)
    return ALS(config).fit(world, TrainingOptions(device="cpu", threads=threads, seed=seed))


def test_training_by_steps_reaches_the_loss_of_exact_training(monkeypatch: pytest.MonkeyPatch) -> None:
    config = LARGE.model_copy(update={"iterations": 12})
    quick = trained(config)
    monkeypatch.setattr(als, "cpu_solver", lambda threads: cpu_solver(threads, steps=0))
    exact = trained(config)
    assert not np.array_equal(quick.item_vectors(), exact.item_vectors())
    assert quick.report["loss"] == pytest.approx(exact.report["loss"], rel=1e-3)


def test_training_by_steps_gives_the_same_bytes_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(least_squares, "BLOCK", 64)  # so that the large products have several blocks
    first, *others = (trained(LARGE, threads).item_vectors() for threads in (1, 2, 5))
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_row_beyond_float32_is_an_error(steps: int) -> None:
    rows = problems(np.full((1, 20), np.inf), unobserved=1.0, penalty=1.0)
    fixed = np.random.default_rng(0).standard_normal((20, 20), dtype=np.float32)
    with pytest.raises(ModelError, match="float32"), solving():
        cpu_solver(1, steps)(rows, fixed, np.zeros((1, 20), np.float32))

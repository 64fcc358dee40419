"""The compiled steps, against the equations written out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models.ratings.sgd_kernel import epoch, fold_in_rows, implicit_epoch, predict_pairs

INDPTR = np.array([0, 2, 2, 5], np.int64)
ITEMS = np.array([2, 0, 1, 2, 0], np.int32)
RATINGS = np.array([0.5, -1, 1.5, 0.25, -0.75], np.float32)
ORDER = np.array([2, 1, 0], np.int64)
RATE, PENALTY = np.float32(0.1), np.float32(0.05)
Floats = npt.NDArray[np.float32]


def start() -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return user factors (3, 3), item factors (4, 3), biases of both, and implicit vectors (4, 3)."""
    rng = np.random.default_rng(5)
    shapes = ((3, 3), (4, 3), (3,), (4,), (4, 3))
    users, items, own, other, implicit = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return users, items, own, other, implicit


@pytest.mark.parametrize("with_implicit", [False, True])
def test_an_epoch_takes_the_steps_of_the_equations_in_order(with_implicit: bool) -> None:
    users, items, own, other, implicit = start()
    p, q, b, c, y = (array.astype(np.float64) for array in start())
    if with_implicit:
        loss = implicit_epoch(
            ORDER, INDPTR, ITEMS, RATINGS, users, items, own, other, implicit, RATE, PENALTY
        )
    else:
        loss = epoch(ORDER, INDPTR, ITEMS, RATINGS, users, items, own, other, RATE, PENALTY)
    expected, rate, penalty = 0.0, float(RATE), float(PENALTY)
    for u in ORDER:
        entries = range(INDPTR[u], INDPTR[u + 1])
        chosen = ITEMS[entries.start : entries.stop]
        root = max(len(chosen), 1) ** -0.5 * with_implicit
        shown, steps = root * y[chosen].sum(axis=0), np.zeros(3)
        for k in entries:
            i = ITEMS[k]
            e = RATINGS[k] - b[u] - c[i] - (p[u] + shown) @ q[i]
            expected += e**2
            steps += e * q[i]
            b[u] += rate * (e - penalty * b[u])
            c[i] += rate * (e - penalty * c[i])
            p[u], q[i] = (
                p[u] + rate * (e * q[i] - penalty * p[u]),
                q[i] + rate * (e * (p[u] + shown) - penalty * q[i]),
            )
        if with_implicit:
            y[chosen] += rate * (root * steps - penalty * y[chosen])
    assert loss == pytest.approx(expected, rel=1e-5)
    for array, wanted in zip((users, items, own, other, implicit), (p, q, b, c, y), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(items[3], start()[1][3])  # nobody rated it


@pytest.mark.parametrize("with_shown", [False, True])
def test_users_are_folded_in_by_ridge_regression(with_shown: bool) -> None:
    _, items, _, other, _ = start()
    shown = start()[0] if with_shown else np.zeros((0, 3), np.float32)
    solved = np.full((3, 4), 9, np.float32)
    fold_in_rows(0, 3, INDPTR, ITEMS, RATINGS, shown, items, other, 0.3, solved)
    for u in (0, 2):
        entries = slice(INDPTR[u], INDPTR[u + 1])
        chosen = ITEMS[entries]
        known = np.column_stack((items[chosen], np.ones(len(chosen))))
        rest = RATINGS[entries] - other[chosen]
        if with_shown:
            rest = rest - items[chosen] @ shown[u]
        ridge = 0.3 * len(chosen) * np.eye(4)
        expected = np.linalg.solve(known.T @ known + ridge, known.T @ rest)
        np.testing.assert_allclose(solved[u], expected, rtol=1e-4, atol=1e-5)
    assert (solved[1] == 0).all()


def test_a_prediction_is_both_biases_and_the_product() -> None:
    users, items, own, other, _ = start()
    predictions = np.empty(2, np.float32)
    predict_pairs(np.array([2, 0]), np.array([3, 1]), users, own, items, other, predictions)
    np.testing.assert_allclose(
        predictions,
        [own[2] + other[3] + users[2] @ items[3], own[0] + other[1] + users[0] @ items[1]],
        rtol=1e-5,
    )

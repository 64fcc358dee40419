"""Gradient descent: what it recovers, when it ends, and ratings on which it diverges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from models.ratings.descent import Descent, learn, train
from models.ratings.factors import fold_in, predicted

DESCENT = Descent(factors=4, rate=0.02, penalty=0.02, seed=1, threads=1, implicit=False)


def ignored(number: int, most: int, error: float) -> None:
    """Report nothing."""


def of_rank(rank: int, noise: float, scale: float = 1.0) -> tuple[sparse.csr_array, npt.NDArray[np.float64]]:
    """Return half of the ratings of 80 users by 60 items with variance 1, and all of them."""
    rng = np.random.default_rng(3)
    whole = rng.standard_normal((80, rank)) @ rng.standard_normal((rank, 60))
    whole += noise * rng.standard_normal(whole.shape)
    whole = scale * (whole - whole.mean()) / whole.std()
    return sparse.csr_array((whole * (rng.random(whole.shape) < 0.5)).astype(np.float32)), whole


def test_two_factors_are_recovered() -> None:
    ratings, whole = of_rank(2, noise=0.1)
    learned = learn(ratings, DESCENT, ignored)
    items = train(ratings, DESCENT, learned.epochs, ignored)
    users = fold_in(ratings, items, learned.fold_in, threads=1)
    hidden = np.nonzero(ratings.toarray() == 0)
    errors = predicted(users, items, *hidden) - whole[hidden]
    assert np.sqrt(np.mean(errors**2)) < 0.35  # they have variance 1
    assert learned.error < 0.35


def test_noise_ends_the_training_early() -> None:
    signal, noise = (learn(of_rank(2, noise=level)[0], DESCENT, ignored) for level in (0.1, 100.0))
    assert noise.epochs < signal.epochs
    assert noise.error > 0.9


def test_the_items_do_not_depend_on_threads_and_do_on_the_seed() -> None:
    ratings, _ = of_rank(2, noise=0.1)
    first, threads, seed = (
        train(ratings, replace(DESCENT, **change), 3, ignored) for change in ({}, {"threads": 3}, {"seed": 2})
    )
    assert first.factors.tobytes() == threads.factors.tobytes()
    assert first.factors.tobytes() != seed.factors.tobytes()


def test_a_rate_that_diverges_is_halved() -> None:
    """A few ratings a thousand times as large as the others: at this rate, they blow up."""
    ratings, _ = of_rank(2, noise=0.1)
    ratings.data[::50] *= 1000
    ratings.data /= ratings.data.std()
    learned = learn(ratings, replace(DESCENT, rate=1.0), ignored)
    assert 0 < learned.rate < 1
    items = train(ratings, replace(DESCENT, rate=1.0), 5, ignored)
    assert np.isfinite(items.factors).all()


def test_every_epoch_is_reported() -> None:
    reports: list[tuple[int, int, float]] = []
    train(of_rank(2, noise=0.1)[0], DESCENT, 3, lambda *report: reports.append(report))
    assert [report[:2] for report in reports] == [(1, 3), (2, 3), (3, 3)]
    assert reports[0][2] == pytest.approx(1, abs=0.2)

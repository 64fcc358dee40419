"""Intervals and comparisons by resampling users: known answers, coverage, and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from models.errors import ModelError
from models.evaluation.bootstrap import Bootstrap, Comparison, Interval

RNG = np.random.default_rng(8)
SKEWED = RNG.lognormal(0, 1, 120)


def test_two_users_by_hand() -> None:
    """The mean of two draws is one, the other or halfway: the ends are the two values."""
    found = Bootstrap().intervals({"a": np.array([0.2, 0.6, np.nan]), "b": np.array([0.5, 0.5, 0.5])})
    assert found["a"] == Interval(pytest.approx(0.4), pytest.approx(0.2), pytest.approx(0.6), 2)
    assert found["b"] == Interval(0.5, 0.5, 0.5, 3)


def test_one_user_has_no_interval_and_nobody_no_row() -> None:
    for method in ("percentile", "bca"):
        boot = Bootstrap(method=method)
        found = boot.intervals({"a": np.array([0.2, np.nan]), "b": np.array([np.nan, np.nan])})
        assert found == {"a": Interval(0.2, None, None, 1)}
    one, other = {"a": np.array([0.2, np.nan])}, {"a": np.array([0.1, 0.3])}
    assert Bootstrap().compare(one, other) == {"a": Comparison(0.1, None, None, 1.0, 1)}


def test_every_user_is_drawn_alike_and_as_multinomial_weights_are() -> None:
    """A column that is 1 for one user only counts how often that user was drawn: mean 1, variance 1 - 1/n."""
    n, resamples = 7, 40_000
    _, means = Bootstrap(resamples=resamples, seed=3)._resampled(np.eye(n), None)
    counts = means * n
    np.testing.assert_array_equal(counts.sum(axis=1).round(9), n)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=5 * ((1 - 1 / n) / resamples) ** 0.5)
    covariance = np.cov(counts.T)
    np.testing.assert_allclose(np.diag(covariance), 1 - 1 / n, atol=0.05)
    np.testing.assert_allclose(covariance[~np.eye(n, dtype=bool)], -1 / n, atol=0.05)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_agree_with_scipy(method: str) -> None:
    ours = Bootstrap(resamples=20_000, method=method).intervals({"a": SKEWED})["a"]
    theirs = stats.bootstrap(
        (SKEWED,), np.mean, n_resamples=20_000, method=method, random_state=np.random.default_rng(1)
    )
    expected, error = theirs.confidence_interval, theirs.standard_error
    assert ours.value == pytest.approx(SKEWED.mean())
    assert ours.low == pytest.approx(expected.low, abs=0.05 * error)
    assert ours.high == pytest.approx(expected.high, abs=0.08 * error)


@pytest.mark.parametrize(
    ("method", "draw", "mean", "lowest"),
    [
        ("percentile", lambda rng: rng.normal(1, 2, 80), 1.0, 0.92),
        ("bca", lambda rng: rng.normal(1, 2, 80), 1.0, 0.92),
        ("percentile", lambda rng: (rng.random(200) < 0.3) * 1.0, 0.3, 0.92),  # a hit rate
        ("bca", lambda rng: rng.exponential(1, 80), 1.0, 0.91),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_promise(method, draw, mean, lowest) -> None:
    rng, held, times = np.random.default_rng(17), 0, 600
    for seed in range(times):
        found = Bootstrap(resamples=400, seed=seed, method=method, threads=1).intervals({"a": draw(rng)})["a"]
        held += found.low <= mean <= found.high
    assert lowest <= held / times <= 0.98


def test_p_is_even_where_nothing_differs_and_small_where_something_does() -> None:
    rng, times = np.random.default_rng(5), 400
    boot = Bootstrap(resamples=400, threads=1)
    same, other = [], []
    for _ in range(times):
        users = rng.random(60)  # what the users have in common does not blur a paired comparison
        one = {"a": users + rng.normal(0, 0.1, 60)}
        same.append(boot.compare(one, {"a": users + rng.normal(0, 0.1, 60)})["a"].p)
        other.append(boot.compare(one, {"a": users - 0.08 + rng.normal(0, 0.1, 60)})["a"].p)
    assert 0.02 <= np.mean(np.array(same) <= 0.05) <= 0.09
    assert 0.4 <= np.mean(np.array(same) <= 0.5) <= 0.6
    assert np.mean(np.array(other) <= 0.05) > 0.95


def test_a_comparison_by_hand() -> None:
    one = {"a": np.array([0.5, 0.9, np.nan, 0.2]), "only": np.ones(4)}
    found = Bootstrap().compare(one, {"a": np.array([0.3, 0.3, 0.1, 0.2])})
    assert set(found) == {"a"}
    assert found["a"].difference == pytest.approx(0.8 / 3)
    assert found["a"].users == 3
    assert (found["a"].low, found["a"].high) == (pytest.approx(0), pytest.approx(0.6))
    nothing = Bootstrap().compare({"a": SKEWED}, {"a": SKEWED})["a"]
    assert (nothing.difference, nothing.low, nothing.high, nothing.p) == (0, 0, 0, 1)
    turned = Bootstrap().compare({"a": one["a"] * 0}, {"a": one["a"]})["a"]
    assert turned.difference < 0


def test_neither_threads_nor_other_metrics_change_a_figure() -> None:
    values = {"a": SKEWED, "b": np.where(SKEWED > 1, np.nan, SKEWED)}
    alone = Bootstrap(threads=1).intervals({"b": values["b"]})["b"]
    assert Bootstrap(threads=3).intervals(values)["b"] == alone
    assert Bootstrap(threads=2, seed=1).intervals(values)["b"] != alone
    assert list(Bootstrap().intervals({"b": values["b"], "a": SKEWED})) == ["b", "a"]


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_a_weighted_mean_resamples_its_denominator_too(method: str) -> None:
    weights = RNG.integers(1, 30, 120).astype(float)
    found = Bootstrap(resamples=20_000, method=method).intervals({"a": SKEWED}, weights)["a"]
    pairs = (np.arange(120),)
    theirs = stats.bootstrap(
        pairs,
        lambda users: np.average(SKEWED[users], weights=weights[users]),
        n_resamples=8_000,
        method=method,
        vectorized=False,
        random_state=np.random.default_rng(1),
    )
    assert found.value == pytest.approx(np.average(SKEWED, weights=weights))
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.1 * theirs.standard_error)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.15 * theirs.standard_error)


def test_nonsense_is_refused() -> None:
    for change in ({"resamples": 0}, {"confidence": 1.0}, {"seed": -1}):
        with pytest.raises(ModelError, match="expected resamples >= 1"):
            Bootstrap(**change)
    with pytest.raises(ModelError, match="the same users"):
        Bootstrap().compare({"a": SKEWED}, {"a": SKEWED[:3]})
    with pytest.raises(ModelError, match="one value"):
        Bootstrap().intervals({"a": SKEWED}, np.ones(3))
    with pytest.raises(ModelError, match="weights > 0"):
        Bootstrap().intervals({"a": SKEWED}, np.zeros(120))

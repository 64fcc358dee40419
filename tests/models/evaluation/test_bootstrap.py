"""Intervals and comparisons by resampling users: known values, coverage, and scipy's results."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import ModelError
from models.evaluation.bootstrap import Bootstrap, Comparison, Interval

RNG = np.random.default_rng(8)
SKEWED = RNG.lognormal(0, 1, 120)


def test_two_users_by_hand() -> None:
    """The mean of two draws is either value or halfway, so the ends are the two values."""
    intervals = Bootstrap().intervals({"a": np.array([0.2, 0.6, np.nan]), "b": np.array([0.5, 0.5, 0.5])})
    assert intervals["a"] == Interval(pytest.approx(0.4), pytest.approx(0.2), pytest.approx(0.6), 2)
    assert intervals["b"] == Interval(0.5, 0.5, 0.5, 3)


def test_a_single_user_has_no_interval_and_unmeasured_metrics_no_row() -> None:
    for method in ("percentile", "bca"):
        boot = Bootstrap(method=method)
        intervals = boot.intervals({"a": np.array([0.2, np.nan]), "b": np.array([np.nan, np.nan])})
        assert intervals == {"a": Interval(0.2, None, None, 1)}
    first, second = {"a": np.array([0.2, np.nan])}, {"a": np.array([0.1, 0.3])}
    assert Bootstrap().compare(first, second) == {"a": Comparison(0.1, None, None, 1.0, 1)}


def test_draws_have_the_moments_of_multinomial_weights() -> None:
    """A column that is 1 for a single user counts their draws: mean 1, variance 1 - 1/n."""
    n, resamples = 7, 40_000
    _, means = Bootstrap(resamples=resamples, seed=3)._resampled(np.eye(n))
    counts = means * n
    np.testing.assert_array_equal(counts.sum(axis=1).round(9), n)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=5 * ((1 - 1 / n) / resamples) ** 0.5)
    covariance = np.cov(counts.T)
    np.testing.assert_allclose(np.diag(covariance), 1 - 1 / n, atol=0.05)
    np.testing.assert_allclose(covariance[~np.eye(n, dtype=bool)], -1 / n, atol=0.05)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_agree_with_scipy(method: str) -> None:
    from scipy import stats

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
def test_intervals_cover_the_true_mean_as_often_as_stated(method, draw, mean, lowest) -> None:
    rng, covered, times = np.random.default_rng(17), 0, 600
    for seed in range(times):
        boot = Bootstrap(resamples=400, seed=seed, method=method, threads=1)
        interval = boot.intervals({"a": draw(rng)})["a"]
        covered += interval.low <= mean <= interval.high
    assert lowest <= covered / times <= 0.98


def test_p_is_uniform_without_a_difference_and_small_with_one() -> None:
    rng, times = np.random.default_rng(5), 400
    boot = Bootstrap(resamples=400, threads=1)
    same, different = [], []
    for _ in range(times):
        users = rng.random(60)  # differences between users cancel in a paired comparison
        base = {"a": users + rng.normal(0, 0.1, 60)}
        same.append(boot.compare(base, {"a": users + rng.normal(0, 0.1, 60)})["a"].p)
        different.append(boot.compare(base, {"a": users - 0.08 + rng.normal(0, 0.1, 60)})["a"].p)
    assert 0.02 <= np.mean(np.array(same) <= 0.05) <= 0.09
    assert 0.4 <= np.mean(np.array(same) <= 0.5) <= 0.6
    assert np.mean(np.array(different) <= 0.05) > 0.95


def test_a_comparison_by_hand() -> None:
    first = {"a": np.array([0.5, 0.9, np.nan, 0.2]), "only": np.ones(4)}
    comparisons = Bootstrap().compare(first, {"a": np.array([0.3, 0.3, 0.1, 0.2])})
    assert set(comparisons) == {"a"}
    assert comparisons["a"].difference == pytest.approx(0.8 / 3)
    assert comparisons["a"].users == 3
    assert (comparisons["a"].low, comparisons["a"].high) == (pytest.approx(0), pytest.approx(0.6))
    equal = Bootstrap().compare({"a": SKEWED}, {"a": SKEWED})["a"]
    assert (equal.difference, equal.low, equal.high, equal.p) == (0, 0, 0, 1)
    reversed_ = Bootstrap().compare({"a": first["a"] * 0}, {"a": first["a"]})["a"]
    assert reversed_.difference < 0


def test_neither_threads_nor_other_metrics_change_a_figure() -> None:
    values = {"a": SKEWED, "b": np.where(SKEWED > 1, np.nan, SKEWED)}
    alone = Bootstrap(threads=1).intervals({"b": values["b"]})["b"]
    assert Bootstrap(threads=3).intervals(values)["b"] == alone
    assert Bootstrap(threads=2, seed=1).intervals(values)["b"] != alone
    assert list(Bootstrap().intervals({"b": values["b"], "a": SKEWED})) == ["b", "a"]


def test_invalid_arguments_are_refused() -> None:
    for change in ({"resamples": 0}, {"confidence": 1.0}, {"seed": -1}):
        with pytest.raises(ModelError, match="expected resamples >= 1"):
            Bootstrap(**change)
    with pytest.raises(ModelError, match="the same users"):
        Bootstrap().compare({"a": SKEWED}, {"a": SKEWED[:3]})
    with pytest.raises(ModelError, match="one value"):
        Bootstrap().intervals({"a": SKEWED[:, None]})

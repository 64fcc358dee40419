"""The sequential test: values by hand, its error over all nights, and a challenger that turns better."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.integrate import quad

from tasks.incumbents.document import Trial
from tasks.incumbents.evidence import evidence, log_mixture, needed, trial

DAY = date(2026, 3, 2)


def trials(*gains: float, users: int = 1_000, error: float = 0.01) -> list[Trial]:
    """Return a night for each gain."""
    nights = [DAY + timedelta(days=number) for number in range(len(gains))]
    facts = {"users": users, "incumbent": 0.2, "error": error}
    return [Trial(as_of=night, gain=gain, **facts) for night, gain in zip(nights, gains, strict=True)]


def test_a_night_counts_one_more_user_who_differs_by_1() -> None:
    night = trial(DAY, np.array([1.0, 0.5, 0.0, 0.0]), np.array([0.0, 0.5, 0.0, 0.0]))
    assert (night.users, night.incumbent, night.gain) == (4, 0.125, 0.25)
    squares = 0.75**2 + 3 * 0.25**2 + 1
    assert night.error == pytest.approx(math.sqrt(squares / 3 / 4), abs=1e-9)


@pytest.mark.parametrize(("total", "variance", "precision"), [(3, 2, 0.5), (-1, 2, 0.5), (10, 9, 2)])
def test_the_ratio_is_the_integral_over_the_prior(total: float, variance: float, precision: float) -> None:
    def integrand(effect: float) -> float:
        prior = 2 * math.sqrt(precision / (2 * math.pi)) * math.exp(-precision * effect**2 / 2)
        return float(math.exp(effect * total - effect**2 * variance / 2) * prior)

    integral = quad(integrand, 0, 60)[0]
    assert log_mixture(total, variance, precision) == pytest.approx(math.log(integral))


def test_one_night_gives_half_its_ratio() -> None:
    (night,) = trials(0.05)
    variance = (night.users * night.error) ** 2
    ratio = math.exp(log_mixture(night.users * night.gain, variance, variance / 4))
    found = evidence([night])
    assert found.log_evidence == pytest.approx(math.log(ratio / 2))
    assert (found.low, found.high) == pytest.approx((0.05 - 0.0196, 0.05 + 0.0196), abs=1e-5)
    assert found.share == pytest.approx(0.25)


def test_what_is_not_better_seldom_looks_better_on_any_night() -> None:
    """At most 1 in 10 of equal challengers may ever reach an evidence of 10."""
    gains = np.random.default_rng(3).normal(0, 0.01, (400, 8))
    reached = sum(
        any(evidence(trials(*row[:night])).log_evidence >= math.log(10) for night in range(1, 9))
        for row in gains
    )
    assert reached <= 0.1 * 400


def test_nights_before_a_turn_do_not_hold_back_what_is_better_since() -> None:
    worse = [-0.02] * 3
    found = evidence(trials(*worse, 0.05, 0.06))
    assert found.nights == 2
    assert found.gain == pytest.approx(0.055)
    assert found.log_evidence >= needed(20)


def test_nights_that_disagree_prove_little() -> None:
    agreeing, disagreeing = evidence(trials(0.02, 0.04)), evidence(trials(-0.01, 0.07))
    assert agreeing.gain == disagreeing.gain
    assert agreeing.log_evidence > disagreeing.log_evidence
    assert disagreeing.error > 2 * agreeing.error


def test_the_levels_of_all_challengers_add_up_to_one_in_twenty() -> None:
    levels = sum(math.exp(-needed(number)) for number in range(1, 100_000))
    assert levels == pytest.approx(0.05, rel=1e-4)

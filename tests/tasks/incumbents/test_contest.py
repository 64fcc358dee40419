"""Nights in a row: an incumbent follows a change of taste, and stays where it is without one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from tasks.incumbents.contest import Measured, Outcome, contest
from tasks.incumbents.document import Challenger, Incumbent, Settings, Trial
from tasks.incumbents.draws import Ground

FIRST, USERS = date(2026, 3, 2), 600
Quality = Callable[[int, Settings], float]


def play(quality: Quality, nights: int, state: Incumbent | None = None, seed: int = 1, slots: int = 4) -> Any:
    """Return the incumbent after nights of item_knn whose mean metric is `quality`, and the changes."""
    state, changes = state or Incumbent(), []
    for night in range(nights):
        ground = Ground("item_knn", {}, state.settings, None, 30.0, seed, FIRST + timedelta(days=night))
        users = np.random.default_rng([seed, night]).normal(0.2, 0.1, USERS)

        def measure(
            number: int, settings: Settings, night: int = night, users: Any = users
        ) -> Measured | None:
            noise = np.random.default_rng([seed, night, number]).normal(0, 0.1, USERS)
            found = quality(night, settings)
            return None if np.isnan(found) else Measured(users + found + noise * bool(number), None)

        outcome = contest(state, ground, slots, lambda _: True, measure)
        if outcome.change is not None:
            changes.append((night, outcome.change))
        state = outcome.incumbent
    return state, changes


def taste(change: int | None) -> Quality:
    """Return the quality of settings when a short half-life is better by .03 from a night on, else worse."""

    def quality(night: int, settings: Settings) -> float:
        short = (settings.get("half_life_days") or 30.0) < 15
        return short * (0.03 if change is not None and night >= change else -0.02)

    return quality


@pytest.mark.parametrize("seed", range(4))
def test_the_incumbent_follows_a_change_of_taste_within_five_nights(seed: int) -> None:
    state, changes = play(taste(15), 30, seed=seed)
    (night, change), *more = changes
    assert 15 < night <= 15 + 5
    assert len(more) <= 1
    assert state.settings["half_life_days"] < 15
    assert (change.before, change.nights >= 2, change.low > 0) == ({}, True, True)
    assert change.gain == pytest.approx(0.03, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_without_a_change_the_incumbent_stays(seed: int) -> None:
    state, changes = play(taste(None), 30, seed=seed)
    assert (state.settings, changes) == ({}, [])
    assert state.tried > 30


def test_equal_nights_give_equal_states() -> None:
    assert play(taste(3), 8) == play(taste(3), 8)


def test_what_won_by_a_passing_state_is_put_back() -> None:
    """Short half-lives are better for five nights only: the former settings are the first challenger."""

    def passing(night: int, settings: Settings) -> float:
        return taste(0)(night, settings) if night < 5 else taste(None)(night, settings)

    state, changes = play(passing, 12)
    assert changes[0][1].before == {}
    assert changes[-1][1].after == state.settings == {}


def test_nobody_wins_in_one_night() -> None:
    state, changes = play(lambda _, settings: 0.2 * bool(settings), 1)
    assert changes == []
    assert all(len(challenger.trials) == 1 for challenger in state.challengers)


def test_a_gain_of_less_than_a_hundredth_changes_nothing() -> None:
    state, changes = play(lambda _, settings: 0.001 * bool(settings), 8)
    assert (state.settings, changes) == ({}, [])


def test_a_challenger_that_cannot_be_trained_is_dropped() -> None:
    failing: Quality = lambda _, settings: np.nan if settings else 0.0  # noqa: E731
    state, changes = play(failing, 2)
    assert (changes, state.challengers, state.tried) == ([], (), 8)


def test_an_incumbent_that_cannot_be_trained_gives_way_to_what_is_configured() -> None:
    failing: Quality = lambda _, settings: np.nan if settings else 0.0  # noqa: E731
    state, changes = play(failing, 1, Incumbent(settings={"shrink": 5.0}, tried=3))
    assert [(change.before, change.after, change.nights) for _, change in changes] == [
        ({"shrink": 5.0}, {}, 0)
    ]
    assert state == Incumbent(since=FIRST)


def test_the_budget_decides_how_many_are_tried() -> None:
    waiting = tuple(Challenger(number=n, role="near", settings={"shrink": float(n)}) for n in (1, 2, 3))
    ground = Ground("item_knn", {}, {}, None, 30.0, 7, FIRST)
    rooms = iter([True, False])
    state = Incumbent(tried=3, challengers=waiting)
    values = np.random.default_rng(1).random(USERS)
    outcome: Outcome = contest(state, ground, 4, lambda _: next(rooms), lambda *_: Measured(values, None))
    assert [one.challenger.number for one in outcome.judged] == [1]
    assert [challenger.number for challenger in outcome.incumbent.challengers] == [1, 2, 3]
    assert outcome.incumbent.tried == 3


def test_a_trial_ends_after_eight_nights() -> None:
    nights = [FIRST + timedelta(days=night) for night in range(7)]
    trials = tuple(Trial(as_of=day, users=USERS, incumbent=0.2, gain=0.004, error=0.01) for day in nights)
    waiting = Challenger(number=1, role="near", settings={"shrink": 5.0}, trials=trials)
    ground = Ground("item_knn", {}, {}, None, 30.0, 7, FIRST + timedelta(days=7))
    means = 0.2 + (0.004 + 0.25 * (-1.0) ** np.arange(USERS)) * np.array([[0.0], [1.0]])

    def measure(number: int, _: Settings) -> Measured:
        return Measured(means[number], None)

    outcome = contest(Incumbent(tried=1, challengers=(waiting,)), ground, 1, lambda _: True, measure)
    assert [one.verdict for one in outcome.judged] == ["not surely better in time"]
    assert outcome.incumbent.challengers == ()

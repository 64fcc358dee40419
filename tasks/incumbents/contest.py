"""One night of a model's incumbent and its challengers: drawn, measured, judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.incumbents.document import Challenger, Change, Incumbent, Settings
from tasks.incumbents.draws import FORMER, Ground, draw
from tasks.incumbents.evidence import DIGITS, Evidence, evidence, needed, trial

NIGHTS: Final = 2  # at least, before a challenger may win
MOST_NIGHTS: Final = 8  # on trial
LEAST_GAIN: Final = 0.01  # of the incumbent's mean
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """The metric of a contender for every user, float64 (n_users,), and its half-life in days."""

    values: Values
    half_life: float | None


Measure = Callable[[int, Settings], Measured | None]
"""Trains and measures settings by the number of their contender, 0 for the incumbent; None if the
model cannot be trained with them."""


@dataclass(frozen=True)
class Judged:
    """A challenger after a night: its evidence (None if it failed), and what becomes of it."""

    challenger: Challenger
    evidence: Evidence | None
    verdict: str

    @property
    def stays(self) -> bool:
        """Whether it stays on trial."""
        return self.verdict == ON_TRIAL


@dataclass(frozen=True)
class Outcome:
    """What a night made of an incumbent: the next one, a change if a challenger won, all verdicts."""

    incumbent: Incumbent
    change: Change | None
    judged: tuple[Judged, ...]
    measured: Measured | None


ON_TRIAL: Final = "on trial"
WON: Final = "won"


def contest(
    incumbent: Incumbent,
    ground: Ground,
    slots: int,
    fits: Callable[[Settings], bool],
    measure: Measure,
) -> Outcome:
    """Measure an incumbent and at most `slots` challengers on a night, and judge them.

    Challengers on trial go on; free slots get new ones. `fits` says whether the budget has room for
    another training. If the incumbent cannot be trained, nothing is judged, and the configured
    settings count again.
    """
    reference = measure(0, incumbent.settings)
    if reference is None:
        return _without_reference(incumbent, ground)
    ground = replace(ground, half_life=reference.half_life)
    waiting, entered = list(incumbent.challengers), list[Challenger]()
    tried = incumbent.tried
    while waiting and len(entered) < slots and fits(waiting[0].settings):
        entered.append(waiting.pop(0))
    for _ in range(0 if waiting else slots - len(entered)):
        drawn = draw(
            ground,
            tried + 1,
            [other.role for other in entered],
            [other.settings for other in entered],
        )
        if drawn is None or not fits(drawn.settings):
            break
        tried += 1
        entered.append(drawn)
    judged = [_judge(challenger, ground.as_of, reference, measure) for challenger in entered]
    winner = _winner(judged)
    if winner is None:
        kept = (*(entry.challenger for entry in judged if entry.stays), *waiting)
        unchanged = incumbent.model_copy(update={"tried": tried, "challengers": kept})
        return Outcome(unchanged, None, tuple(judged), reference)
    verdicts = tuple(replace(entry, verdict=WON) if entry is winner else entry for entry in judged)
    new = _succeeded(incumbent, winner, judged, ground.as_of, slots)
    return Outcome(new, _change(ground, incumbent, winner), verdicts, reference)


def _judge(challenger: Challenger, as_of: date, reference: Measured, measure: Measure) -> Judged:
    """Measure a challenger, and say what becomes of it."""
    measured = measure(challenger.number, challenger.settings)
    if measured is None:
        return Judged(challenger, None, "cannot be trained")
    night = trial(as_of, measured.values, reference.values)
    challenger = challenger.model_copy(update={"trials": (*challenger.trials, night)})
    combined = evidence(challenger.trials)
    return Judged(challenger, combined, _verdict(challenger, combined))


def _verdict(challenger: Challenger, combined: Evidence) -> str:
    if combined.high < 0:
        return "surely worse"
    if combined.nights >= NIGHTS and combined.share < LEAST_GAIN:
        return "no gain worth a change"
    if surely_better(challenger, combined):
        return ON_TRIAL  # unless it wins
    return "not surely better in time" if len(challenger.trials) >= MOST_NIGHTS else ON_TRIAL


def surely_better(challenger: Challenger, combined: Evidence) -> bool:
    """Return whether a challenger may replace the incumbent."""
    enough = combined.nights >= NIGHTS and combined.share >= LEAST_GAIN
    return enough and combined.log_evidence >= needed(challenger.number)


def _winner(judged: Sequence[Judged]) -> Judged | None:
    """Return the one with the largest gain among those that are surely better."""
    better = [entry for entry in judged if entry.evidence and surely_better(entry.challenger, entry.evidence)]
    return max(better, key=lambda entry: entry.evidence.gain if entry.evidence else 0.0, default=None)


def _without_reference(incumbent: Incumbent, ground: Ground) -> Outcome:
    """Return a night without an incumbent to compare with; what it had won is given up."""
    if not incumbent.settings:
        return Outcome(incumbent, None, (), None)
    change = Change(as_of=ground.as_of, model=ground.model, before=incumbent.settings, after={})
    plain = Incumbent(configured=incumbent.configured, since=ground.as_of)
    return Outcome(plain, change, (), None)


def _succeeded(
    incumbent: Incumbent, winner: Judged, judged: Sequence[Judged], as_of: date, slots: int
) -> Incumbent:
    """Return the new incumbent; the former one and what stays on trial are its first challengers.

    So what won by a passing state of the log is soon put back.
    """
    others = [entry for entry in judged if entry is not winner and entry.stays and entry.evidence]
    others.sort(key=lambda entry: -(entry.evidence.gain if entry.evidence else 0.0))
    first = [
        (FORMER, incumbent.settings),
        *((entry.challenger.role, entry.challenger.settings) for entry in others),
    ]
    challengers = tuple(
        Challenger(number=number, role=role, settings=settings)
        for number, (role, settings) in enumerate(first[:slots], 1)
    )
    return Incumbent(
        configured=incumbent.configured,
        settings=winner.challenger.settings,
        since=as_of,
        tried=len(challengers),
        challengers=challengers,
    )


def _change(ground: Ground, incumbent: Incumbent, winner: Judged) -> Change:
    combined = winner.evidence
    assert combined is not None  # noqa: S101 - a winner was measured
    figures: dict[str, Any] = {
        "incumbent": combined.incumbent,
        "gain": combined.gain,
        "low": combined.low,
        "high": combined.high,
    }
    return Change(
        as_of=ground.as_of,
        model=ground.model,
        before=incumbent.settings,
        after=winner.challenger.settings,
        nights=combined.nights,
        users=combined.users,
        number=winner.challenger.number,
        **{name: round(value, DIGITS) for name, value in figures.items()},
    )

"""How sure it is that a challenger is better: a sequential test that may be read every night.

The hypothesis is that no night's expected gain is above 0. The evidence against it is the mixture
likelihood ratio of the summed gains S with the variance V, for a half-normal prior of precision rho
on the effect (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform,
nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49 (2), the one-sided
normal mixture; checked against the numerical integral):

    E = 2 sqrt(rho / (V + rho)) exp(S^2 / (2 (V + rho))) Phi(S / sqrt(V + rho))

Tastes change, and what was worse last week may be better now. So there is a ratio E_k of the nights
from each k-th night on, weighted by 1 / (k (k + 1)), and the evidence is the largest weighted one of
two nights or more. The weights sum to 1, so that is at most the weighted mean of all ratios, each
of which is 1 before its first night. Under the hypothesis, the chance that this mean ever reaches
1 / a, on any night, is at most a: each ratio is a martingale that begins at 1, and so is the mean
(Ville's inequality). That holds in the limit of many users, since a night's mean is taken as
normal. The j-th challenger of an incumbent gets a = LEVEL / (j (j + 1)). These sum to LEVEL over all
challengers that there may ever be, so the chance that an incumbent is ever replaced by what is not
better is at most LEVEL, whatever the length of its reign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.incumbents.document import Trial

LEVEL: Final = 0.05
PRECISION: Final = 0.25  # rho, as a share of the first night's variance
Z: Final = 1.959963984540054  # the normal distribution's quantile of 97.5 %
DIGITS: Final = 9  # decimals in the document
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What the nights of a challenger say: the last ones, from the night on at which it shows most.

    `gain` and `incumbent` are means over the users of these `nights`, `error` the standard error of
    `gain`; `log_evidence` is the logarithm of their weighted ratio.
    """

    nights: int
    users: int
    incumbent: float
    gain: float
    error: float
    log_evidence: float

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval of `gain`."""
        return self.gain - Z * self.error

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval of `gain`."""
        return self.gain + Z * self.error

    @property
    def share(self) -> float:
        """The gain as a share of the incumbent's mean; 1 if that is 0 and there is a gain."""
        if self.incumbent > 0:
            return self.gain / self.incumbent
        return float(self.gain > 0)


def trial(as_of: date, values: Values, reference: Values) -> Trial:
    """Return the night of a challenger: its `values` and the incumbent's, float64 (n_users,) each.

    The variance counts one more user who differs by 1, the most possible, so that a few users who
    happen to agree prove nothing.
    """
    differences = values - reference
    users, gain = len(differences), float(differences.mean())
    squares = float(np.square(differences - gain).sum()) + 1.0
    error = math.sqrt(squares / max(users - 1, 1) / users)
    return Trial(
        as_of=as_of,
        users=users,
        incumbent=round(float(reference.mean()), DIGITS),
        gain=round(gain, DIGITS),
        error=round(error, DIGITS),
    )


def evidence(trials: Sequence[Trial]) -> Evidence:
    """Return the evidence of one or more nights, each with new events; of the last two or more.

    A single night has that of itself.
    """
    ratios = [_log_ratio(trials[start:]) - _log_weight(start + 1) for start in range(len(trials))]
    most = max(range(max(1, len(trials) - 1)), key=ratios.__getitem__)
    shown = trials[most:]
    total, variance = _sum(shown)
    users = sum(night.users for night in shown)
    incumbent = sum(night.users * night.incumbent for night in shown) / users
    return Evidence(len(shown), users, incumbent, total / users, math.sqrt(variance) / users, ratios[most])


def needed(number: int) -> float:
    """Return the ln E at which the challenger with this number, from 1, is surely better."""
    return math.log(number * (number + 1) / LEVEL)


def _log_weight(start: int) -> float:
    return math.log(start * (start + 1))


def _sum(trials: Sequence[Trial]) -> tuple[float, float]:
    """Return the summed gains of all users of some nights, and their variance.

    If nights disagree whether there is a gain, the variance is multiplied by the ratio of their
    spread to what their errors explain (Birge 1932), if that is above 1.
    """
    total = sum(night.users * night.gain for night in trials)
    variance = sum((night.users * night.error) ** 2 for night in trials)
    if min(night.gain for night in trials) < 0 < max(night.gain for night in trials):
        mean = total / sum(night.users for night in trials)
        spread = sum(((night.gain - mean) / night.error) ** 2 for night in trials)
        variance *= max(1.0, spread / (len(trials) - 1))
    return total, variance


def _log_ratio(trials: Sequence[Trial]) -> float:
    """Return ln E of some nights."""
    return log_mixture(*_sum(trials), PRECISION * (trials[0].users * trials[0].error) ** 2)


def log_mixture(total: float, variance: float, precision: float) -> float:
    """Return ln E of a sum with a variance, for a prior precision rho."""
    from scipy.special import log_ndtr

    width = variance + precision
    log_share = 0.5 * math.log(precision / width)
    return math.log(2) + log_share + total**2 / (2 * width) + float(log_ndtr(total / math.sqrt(width)))

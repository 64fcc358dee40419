"""Stochastic gradient descent on ratings, with the number of epochs learned on held-out ratings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import evenly_spread
from models.errors import ModelError
from models.ranking.csr import csr_arrays
from models.ratings.factors import ItemSide, UserSide, fold_in, predicted

FloatArray = npt.NDArray[np.float32]
Longs = npt.NDArray[np.int64]
Pairs = tuple[Longs, Longs]
HELD_OUT, MOST_HELD_OUT = 0.1, 100_000  # share and number of the ratings that decide the epochs
LEAST_PATIENCE, MOST_PATIENCE = 5, 100  # epochs without a lower error before the training ends,
PATIENCE = 100_000  # and the steps that they have: few ratings take many epochs to leave the start
PATIENCES = 40  # at most, in all epochs
FOLD_INS = (1.0, 0.25, 0.5, 2.0, 4.0)  # penalties of the fold-in to choose from, of that in training
FOLDED = 1000  # users who decide the penalty of the fold-in
HALVINGS = 12  # of a learning rate that diverges
LENGTH = 0.1  # expected length of the initial vectors: from longer ones, training ends at larger errors
T = TypeVar("T")
Report = Callable[[int, int, float], None]
"""Called after an epoch, with its number from 1, the last one at most, and the error in training."""


@dataclass(frozen=True)
class Descent:
    """The settings of a training, for ratings of mean 0 and variance 1.

    ``implicit``: learn the vectors of SVD++, too.
    """

    factors: int
    rate: float
    penalty: float
    seed: int
    threads: int
    implicit: bool


@dataclass(frozen=True)
class Learned:
    """What held-out ratings decided: epochs, the fold-in's penalty, the rate; and their error."""

    epochs: int
    fold_in: float
    rate: float
    error: float


class _DivergedError(Exception):
    """The errors grew: the learning rate is too large for these ratings."""


class _Training:
    """A training: the vectors, and the order of the ratings."""

    def __init__(self, ratings: sparse.csr_array, descent: Descent, rate: float) -> None:
        """``ratings`` csr float32 of mean 0 and variance 1."""
        self._descent, self._rate = descent, np.float32(rate)
        self._chance = np.random.default_rng(descent.seed)
        self._ratings = _shuffled(ratings, self._chance)
        self._rows = csr_arrays(self._ratings)
        (n_users, n_items), width = ratings.shape, descent.factors
        self._own = self._drawn(n_users, np.diff(ratings.indptr) > 0)
        self._biases = np.zeros(n_users, dtype=np.float32)
        rated = np.bincount(ratings.indices, minlength=n_items) > 0
        implicit = np.zeros((n_items * descent.implicit, width), dtype=np.float32)
        self.items = ItemSide(self._drawn(n_items, rated), np.zeros(n_items, np.float32), implicit)

    def _drawn(self, n: int, known: npt.NDArray[np.bool_]) -> FloatArray:
        """Draw initial vectors of those who have ratings; the others are 0 and draw nothing."""
        vectors = np.zeros((n, self._descent.factors), dtype=np.float32)
        shape = (int(known.sum()), self._descent.factors)
        drawn = self._chance.standard_normal(shape, dtype=np.float32)
        vectors[known] = drawn * np.float32(LENGTH / self._descent.factors**0.5)
        return vectors

    def epoch(self) -> float:
        """Run an epoch and return the root mean squared error on the way."""
        from models.ratings.sgd_kernel import epoch, implicit_epoch

        order = self._chance.permutation(len(self._own)).astype(np.int64)
        items, penalty = self.items, np.float32(self._descent.penalty)
        sides = (self._own, items.factors, self._biases, items.biases)
        if self._descent.implicit:
            loss = implicit_epoch(order, *self._rows, *sides, items.implicit, self._rate, penalty)
        else:
            loss = epoch(order, *self._rows, *sides, self._rate, penalty)
        mean = loss / self._ratings.nnz
        if not mean < 4:  # ratings have variance 1: four times that is no start of learning, nor is NaN
            raise _DivergedError
        return float(mean**0.5)

    @property
    def users(self) -> UserSide:
        """The users as trained, implicit vectors included."""
        shown = self.items.shown(self._ratings, self._descent.threads)
        return UserSide(self._own + shown if len(shown) else self._own, self._biases)


def learn(ratings: sparse.csr_array, descent: Descent, report: Report) -> Learned:
    """Train without some of the ratings, and return what predicts them best.

    The held-out tenth of the ratings (at most 100,000) is drawn with the seed.
    """
    chance = np.random.default_rng(descent.seed)
    count = max(1, min(int(HELD_OUT * ratings.nnz), MOST_HELD_OUT))
    held_out = np.zeros(ratings.nnz, dtype=np.bool_)
    held_out[chance.permutation(ratings.nnz)[:count]] = True
    if held_out.all():
        raise ModelError(f"expected at least two ratings, got {ratings.nnz}")
    user_of = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    pairs = (user_of[held_out], ratings.indices[held_out].astype(np.int64))
    rest, answers = _without(ratings, held_out), ratings.data[held_out]

    patience = min(max(LEAST_PATIENCE, PATIENCE // rest.nnz), MOST_PATIENCE)
    most = PATIENCES * patience

    def learned(rate: float) -> Learned:
        training, best, least, kept = _Training(rest, descent, rate), 1, np.inf, None
        for number in range(1, most + 1):
            report(number, most, training.epoch())
            error = _error(training.users, training.items, pairs, answers)
            if error < least:
                best, least = number, error
                kept = ItemSide(*(array.copy() for array in training.items.arrays))
            if number - best >= patience:
                break
        penalty = _best_fold_in(rest, kept or training.items, descent, pairs, answers)
        return Learned(best, penalty, rate, least)

    return _at_a_rate_that_converges(descent.rate, learned)


def train(ratings: sparse.csr_array, descent: Descent, epochs: int, report: Report) -> ItemSide:
    """Train for a number of epochs and return the items."""

    def trained(rate: float) -> ItemSide:
        training = _Training(ratings, descent, rate)
        for number in range(1, epochs + 1):
            report(number, epochs, training.epoch())
        return training.items

    return _at_a_rate_that_converges(descent.rate, trained)


def _at_a_rate_that_converges(rate: float, run: Callable[[float], T]) -> T:
    """Return ``run(rate)``, with half the rate as long as it diverges; ModelError if all do."""
    for _ in range(HALVINGS):
        try:
            return run(rate)
        except _DivergedError:
            rate /= 2
    raise ModelError(
        f"expected ratings that gradient descent can learn, got ones that diverge at a rate of {rate}"
    )


def _best_fold_in(
    ratings: sparse.csr_array, items: ItemSide, descent: Descent, pairs: Pairs, answers: FloatArray
) -> float:
    """Return the penalty with which users who are folded in predict their held-out ratings best.

    At most 1,000 users, evenly spread, decide.
    """
    users = evenly_spread(np.unique(pairs[0]), FOLDED)
    chosen = np.isin(pairs[0], users)
    part = (np.searchsorted(users, pairs[0][chosen]), pairs[1][chosen])

    def error_with(share: float) -> float:
        folded = fold_in(ratings[users], items, share * descent.penalty, descent.threads)
        return _error(folded, items, part, answers[chosen])

    return min(FOLD_INS, key=error_with) * descent.penalty


def _error(users: UserSide, items: ItemSide, pairs: Pairs, answers: FloatArray) -> float:
    """Return the root mean squared error of the predictions for some pairs."""
    return float(np.sqrt(np.mean((predicted(users, items, *pairs) - answers) ** 2, dtype=np.float64)))


def _shuffled(ratings: sparse.csr_array, chance: np.random.Generator) -> sparse.csr_array:
    """Return the ratings with those of each user in random order."""
    user_of = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    order = np.lexsort((chance.random(ratings.nnz), user_of))
    parts = (ratings.data[order], ratings.indices[order], ratings.indptr)
    return sparse.csr_array(parts, shape=ratings.shape)


def _without(ratings: sparse.csr_array, left_out: npt.NDArray[np.bool_]) -> sparse.csr_array:
    user_of = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    counts = np.bincount(user_of[~left_out], minlength=ratings.shape[0])
    indptr = np.concatenate(([0], np.cumsum(counts)))
    parts = (ratings.data[~left_out], ratings.indices[~left_out], indptr)
    return sparse.csr_array(parts, shape=ratings.shape)

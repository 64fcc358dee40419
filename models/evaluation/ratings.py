"""The protocol of ratings: how far predicted ratings are from hidden ones.

RMSE is the root of the mean squared error over all hidden ratings, MAE the mean absolute error, as
published: every rating counts the same, not every user. So that users can be resampled and compared
in pairs, a user's value is their sum of errors times the number of users over that of ratings: the
mean over the users is the mean over the ratings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.abilities import PredictsRatings
from models.dataset import Dataset
from models.errors import ModelError
from models.evaluation.measured import Measured
from models.evaluation.protocols import Factory, Part
from models.options import TrainingOptions, resource_limits

Bools = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]
FOLDS = 5
VALIDATION = 0.1  # of the ratings that are not tested on
LATEST = 0.2  # share of the ratings that the temporal form tests on


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings of distinct pairs: ``users`` and ``items`` int64, ``values`` float64 > 0, (n_ratings,).

    ``timestamps`` int64 (n_ratings,), or None; ``shape``: the number of users and of items.
    """

    users: Longs
    items: Longs
    values: npt.NDArray[np.float64]
    timestamps: Longs | None
    shape: tuple[int, int]

    def matrix(self, rows: Bools) -> sparse.csr_array:
        """Return some of the ratings, csr float32 (n_users, n_items)."""
        parts = (self.values[rows].astype(np.float32), (self.users[rows], self.items[rows]))
        return sparse.coo_array(parts, shape=self.shape).tocsr()


def cross_validated(
    ratings: Ratings,
    factory: Factory,
    seed: int,
    fold: int,
    *,
    part: Part = "test",
    options: TrainingOptions | None = None,
) -> Measured:
    """Hide one of five random parts of the ratings, and train on the other four.

    ``seed`` deals the ratings into parts, and ``fold`` (0 to 4) is the hidden one. The validation is
    a tenth of the other four parts; it is predicted from the rest of them.
    """
    chance = np.random.default_rng(seed)
    count = len(ratings.values)
    fold_of = np.empty(count, dtype=np.int64)
    fold_of[chance.permutation(count)] = np.arange(count) % FOLDS
    known = fold_of != fold
    if part == "test":
        return measure_ratings(ratings, known, ~known, factory, options)
    hidden = known & (chance.random(count) < VALIDATION)
    return measure_ratings(ratings, known & ~hidden, hidden, factory, options)


def latest_hidden(
    ratings: Ratings, factory: Factory, *, part: Part = "test", options: TrainingOptions | None = None
) -> Measured:
    """Hide the last fifth of the ratings by time, and train on those before.

    The validation is the last fifth of the ratings before. Ratings of users and items without a
    past are measured, too, and counted.
    """
    if ratings.timestamps is None:
        raise ModelError("expected ratings with timestamps, to split them in time, got none")
    starts = [_start_of_latest(ratings.timestamps)]
    if part == "validation":
        starts.insert(0, _start_of_latest(ratings.timestamps[ratings.timestamps < starts[0]]))
    hidden = ratings.timestamps >= starts[0]
    if part == "validation":
        hidden &= ratings.timestamps < starts[1]
    return measure_ratings(ratings, ratings.timestamps < starts[0], hidden, factory, options)


def measure_ratings(
    ratings: Ratings, known: Bools, hidden: Bools, factory: Factory, options: TrainingOptions | None
) -> Measured:
    """Train on the ``known`` ratings, bool (n_ratings,), and measure predictions of the ``hidden``.

    Measures mse and mae by user, and rmse over all. Raises ModelError if the model does not
    predict ratings, or either part is empty.
    """
    if not known.any() or not hidden.any():
        raise ModelError(f"expected ratings to train on and to hide, got {known.sum()} and {hidden.sum()}")
    started, options = time.perf_counter(), options or TrainingOptions()
    dataset = Dataset(ratings.matrix(known))
    model = factory()
    if not isinstance(model, PredictsRatings):
        raise ModelError(f"expected a model that predicts ratings, got {model.name}")
    model.fit(dataset, options)
    users, items = ratings.users[hidden], ratings.items[hidden]
    with resource_limits(options.threads):
        predictions = model.predict(dataset.histories, users, items)
    errors = predictions.astype(np.float64) - ratings.values[hidden]
    measured, row_of = np.unique(users, return_inverse=True)
    values = {(name, 0): row for name, row in _by_user(errors, row_of, len(measured))}
    past = np.diff(dataset.matrix.indptr).astype(np.int64)
    popularity = np.bincount(dataset.matrix.indices, minlength=ratings.shape[1])
    counts = {"train_ratings": int(known.sum()), "hidden_ratings": int(hidden.sum())}
    counts |= {"of_unknown_users": int((past[users] == 0).sum())}
    counts |= {"of_unknown_items": int((popularity[items] == 0).sum())}
    return Measured(
        users=measured,
        values=values,
        overall={("rmse", 0): float(np.sqrt(np.mean(errors**2)))},
        counts=counts,
        items=None,
        relevant=None,
        history=past[measured],
        popularity=popularity,
        seconds=time.perf_counter() - started,
        report=model.report,
    )


def _by_user(
    errors: npt.NDArray[np.float64], row_of: Longs, n: int
) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Yield the errors of each user as in the docstring of the module, by name."""
    for name, error in (("mse", errors**2), ("mae", np.abs(errors))):
        totals: npt.NDArray[np.float64] = np.bincount(row_of, error, minlength=n).astype(np.float64)
        yield name, totals * (n / len(errors))


def _start_of_latest(timestamps: Longs) -> int:
    """Return the time from which on the last fifth of some times is, at most."""
    return int(np.sort(timestamps)[int((1 - LATEST) * len(timestamps))])

"""Published protocols as pure functions: from arrays and a model to metrics per user.

A protocol defines what a figure means: which users are tested, on what, and against which items.
Every function trains a new model (``factory``) on the training part only. It returns the
measurements, and counts everything left out. Choose settings with ``part="validation"``, never on
the test.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.base import Model
from models.dataset import Dataset, Histories, Sequences
from models.errors import ModelError
from models.evaluation.measured import Background, Measured, measure_lists
from models.evaluation.sampled import sampled_values
from models.options import TrainingOptions, resource_limits
from models.splitting.held_out_users import hold_out_users
from models.splitting.split import (
    Split,
    event_matrix,
    select_events,
    split_last,
    split_with_validation,
    train_sequences,
)

Factory = Callable[[], Model[Any]]
Part = Literal["test", "validation"]
Weigh = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
Ints = npt.NDArray[np.integer]
BLOCK_USERS = 512  # users whose scores of all items are in memory at a time


def ncf(
    train: sparse.csr_array,
    positives: Ints,
    negatives: Ints,
    factory: Factory,
    *,
    ks: Collection[int] = (10,),
    sequences: Sequences | None = None,
    options: TrainingOptions | None = None,
) -> Measured:
    """Rank a held-out item of every user among given negatives (He et al. 2017, sec. 4.1).

    ``train`` csr float32 (n_users, n_items); ``positives`` (n_users,): the held-out items;
    ``negatives`` (n_users, m). Measures hit_rate and ndcg at ``ks``; ties count against the model.
    """
    candidates = np.column_stack((positives, negatives))
    if len(candidates) != train.shape[0] or candidates.min() < 0 or candidates.max() >= train.shape[1]:
        raise ModelError(
            f"expected items below {train.shape[1]} for {train.shape[0]} users, got {candidates.shape} "
            f"from {candidates.min()} to {candidates.max()}"
        )
    started = time.perf_counter()
    dataset = Dataset(train, sequences)
    model = factory().fit(dataset, options)
    scores = np.empty(candidates.shape, dtype=np.float32)
    with resource_limits(0 if options is None else options.threads):
        for start in range(0, len(candidates), BLOCK_USERS):
            rows = slice(start, start + BLOCK_USERS)
            block = model.scores(dataset.histories.rows(rows))
            scores[rows] = np.take_along_axis(block, candidates[rows], axis=1)
    untrained = int((~model.trained_items[positives]).sum())
    return Measured(
        users=np.arange(len(candidates)),
        values=sampled_values(scores, tuple(ks)),
        overall={},
        counts={"users": len(candidates), "negatives": negatives.shape[1], "cold_positives": untrained},
        items=None,
        relevant=None,
        history=np.diff(train.indptr).astype(np.int64),
        popularity=np.bincount(train.indices, minlength=train.shape[1]),
        seconds=time.perf_counter() - started,
        report=model.report,
    )


def held_out_users(
    matrix: sparse.csr_array,
    factory: Factory,
    seed: int,
    *,
    held_out: int,
    hidden_share: float = 0.2,
    ks: Collection[int] = (20, 50, 100),
    part: Part = "test",
    sequences: Sequences | None = None,
    options: TrainingOptions | None = None,
) -> Measured:
    """Show part of each held-out user's items and ask for the rest (Liang et al. 2018).

    ``matrix`` csr float32 (n_users, n_items); ``seed`` determines the split of
    models.splitting.held_out_users. The paper reports recall_min at 20 and 50, and ndcg at 100.
    """
    split = hold_out_users(matrix, held_out, seed, hidden_share)
    chosen = split.test if part == "test" else split.validation
    past = None if sequences is None else sequences.rows(split.train_users)
    shown = None if sequences is None else _events_of(sequences.rows(chosen.users), chosen.shown)
    counts = {"train_users": len(split.train_users), "cold_items": split.cold_items, **chosen.counts}
    return measure(
        factory,
        Dataset(split.train, past),
        Histories(chosen.shown, shown),
        chosen.hidden,
        users=chosen.users,
        counts=counts,
        ks=ks,
        options=options,
    )


def temporal(
    sequences: Sequences,
    n_items: int,
    factory: Factory,
    *,
    share: float = 0.2,
    validation_share: float = 0.2,
    ks: Collection[int] = (10,),
    part: Part = "test",
    options: TrainingOptions | None = None,
) -> Measured:
    """Train on events before a cut and ask for the ones after it, of known users and items.

    The test is the last ``share`` of all events; the validation is the last ``validation_share`` of
    the events before. Cold users and items are counted but not measured. Items of the past are
    never recommended.
    """
    if part == "validation":
        split, _ = split_with_validation(sequences, n_items, share, validation_share)
    else:
        split = split_last(sequences, n_items, share)
    return measure_split(sequences, n_items, split, factory, ks=ks, options=options)


def measure_split(
    sequences: Sequences,
    n_items: int,
    split: Split,
    factory: Factory,
    *,
    ks: Collection[int] = (10,),
    weigh: Weigh | None = None,
    options: TrainingOptions | None = None,
) -> Measured:
    """Train on a split's training events and measure its warm users on its warm pairs.

    The weight of a pair is its number of events, transformed by ``weigh`` if given.
    """
    past = train_sequences(sequences, split)
    matrix = event_matrix(past, n_items)
    if weigh is not None:
        matrix.data = weigh(matrix.data)
    dataset = Dataset(matrix, past)
    users = split.warm_users
    if not len(users):
        raise ModelError(f"expected users with a history and known items to find, got none: {split.counts}")
    relevant, histories = split.warm[users], dataset.histories.rows(users)
    return measure(
        factory, dataset, histories, relevant, users=users, counts=split.counts, ks=ks, options=options
    )


def measure(
    factory: Factory,
    dataset: Dataset,
    histories: Histories,
    relevant: sparse.csr_array,
    *,
    users: npt.NDArray[np.int64],
    counts: dict[str, int],
    ks: Collection[int],
    options: TrainingOptions | None,
) -> Measured:
    """Train on a dataset, recommend items outside the histories, and measure the lists.

    ``relevant`` csr (n_users, n_items): the items to find for each of the ``histories``; ``users``
    int64 (n_users,): their indices; ``counts``: the counts of the split. The catalogue is the
    trained items.
    """
    options = options or TrainingOptions()
    started = time.perf_counter()
    model = factory().fit(dataset, options)
    top = model.recommend(histories, max(ks), exclude=histories.matrix, threads=options.threads)
    with resource_limits(options.threads):
        background = Background.of(
            dataset.matrix, model.trained_items, len(histories), max(ks), histories.matrix
        )
    return measure_lists(
        top.items,
        relevant,
        background,
        users=users,
        history=np.diff(histories.matrix.indptr).astype(np.int64),
        ks=ks,
        counts=counts,
        seconds=time.perf_counter() - started,
        report=model.report,
        threads=options.threads,
    )


def _events_of(sequences: Sequences, matrix: sparse.csr_array) -> Sequences:
    """Return the events whose pairs are stored in ``matrix``."""
    users = np.repeat(np.arange(len(sequences)), sequences.lengths)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    pairs = rows * matrix.shape[1] + matrix.indices
    return select_events(sequences, np.isin(users * matrix.shape[1] + sequences.items, pairs))

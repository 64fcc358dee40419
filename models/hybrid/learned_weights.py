"""The weights of a blend, learned on a window of the training events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Dataset, Histories, evenly_spread
from models.errors import ModelError
from models.evaluation.metrics import match_lists
from models.ranking.topn import block_users, top_n
from models.splitting.split import event_matrix, last_share_start, split_between, train_sequences

SHARE = 0.2  # of the events: the window on which the weights are compared
STEPS = 5  # weights are multiples of 1 / STEPS
LENGTH = 10  # of the lists that are compared
USERS = 2_000  # compared at most
FEWEST_USERS = 30
SCORES = 10**8  # at most, so that large catalogues are compared on fewer users

Scores = Callable[[Histories], npt.NDArray[np.float64]]
"""Returns the standardised scores of a model, float64 (n_users, n_items)."""


@dataclass(frozen=True, eq=False)
class Window:
    """The events before a window, and what its users take up in it.

    ``past``: the training data of the models to compare; ``histories`` of the users who are
    measured; ``relevant`` csr float32 (n_users, n_items): their new items.
    """

    past: Dataset
    histories: Histories
    relevant: sparse.csr_array

    @classmethod
    def of(cls, dataset: Dataset) -> Window | None:
        """Return the window of the last fifth of the events; None if it says too little.

        That is the case without times, or with fewer than 30 users who have a history before it
        and take up items in it that are new to them.
        """
        sequences = dataset.sequences
        if sequences is None:
            return None
        try:
            start = last_share_start(sequences, SHARE)
            split = split_between(sequences, dataset.n_items, start)
        except ModelError:
            return None
        earlier = train_sequences(sequences, split)
        before = event_matrix(earlier, dataset.n_items)
        before.data[:] = 1
        matrix = sparse.csr_array(dataset.matrix.multiply(before).tocsr().astype(np.float32))
        matrix.sort_indices()
        past = Dataset(matrix, earlier, dataset.item_features)
        trained = np.bincount(matrix.indices, minlength=dataset.n_items) > 0
        relevant = split.test.multiply(trained[None].astype(np.float32)).tocsr()
        relevant.eliminate_zeros()
        users = np.flatnonzero((np.diff(relevant.indptr) > 0) & (np.diff(matrix.indptr) > 0))
        if len(users) < FEWEST_USERS:
            return None
        users = evenly_spread(users, min(USERS, max(FEWEST_USERS, SCORES // dataset.n_items)))
        return cls(past, past.histories.rows(users), sparse.csr_array(relevant[users]))


def learn_weights(window: Window, models: Mapping[str, Scores]) -> dict[str, float]:
    """Return the weights, adding up to 1, with the largest mean NDCG@10 on a window.

    All multiples of 1/5 are tried. Of equals the first is taken, with the largest weights for the
    models named first.
    """
    steps = range(STEPS, -1, -1)
    weights = [shares for shares in product(steps, repeat=len(models)) if sum(shares) == STEPS]
    totals = np.zeros(len(weights))
    trained = np.bincount(window.past.matrix.indices, minlength=window.past.n_items) > 0
    step = block_users(window.past.n_items)
    for start in range(0, len(window.histories), step):
        histories = window.histories.rows(slice(start, start + step))
        relevant = window.relevant[start : start + step]
        scores = [model(histories) for model in models.values()]
        for number, combination in enumerate(weights):
            blended = sum(share * part for share, part in zip(combination, scores, strict=True) if share)
            lists = top_n(
                np.asarray(blended, np.float32), LENGTH, exclude=histories.matrix, allowed=trained
            ).items
            values = match_lists(lists, relevant, [LENGTH]).values(["ndcg"])["ndcg", LENGTH]
            totals[number] += values.sum()
    best = weights[int(np.argmax(totals))]
    return {name: share / STEPS for name, share in zip(models, best, strict=True)}

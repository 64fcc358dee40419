"""A window of the training events: models trained on what came before are compared on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Dataset, Histories, evenly_spread
from models.errors import ModelError
from models.splitting.split import event_matrix, last_share_start, split_between, train_sequences

SHARE = 0.2  # of the events: the window
LENGTH = 10  # of the lists that are compared
USERS = 2_000  # compared at most
FEWEST_USERS = 30
SCORES = 10**8  # at most, so that large catalogues are compared on fewer users


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


def losses(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how much worse each candidate is than the best, and the standard error of that.

    ``values`` (candidates, users): their metric. Both are float64 (candidates,): the mean
    difference to the best candidate over the users, and its error.
    """
    differences = values[int(np.argmax(values.mean(axis=1)))] - values
    return differences.mean(axis=1), differences.std(axis=1) / values.shape[1] ** 0.5

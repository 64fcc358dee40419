"""Windows of the training events: models trained on what came before are compared on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Dataset, Histories, evenly_spread
from models.errors import ModelError
from models.options import Size
from models.splitting.split import event_matrix, split_between, train_sequences

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

SHARES = (0.6, 0.7, 0.8, 0.9)  # of the events before each cut
LENGTH = 10  # of the lists that are compared
PAIRS = 1_000_000  # at most, about, to train on
USERS = 1_000  # compared at most in each window
FEWEST_USERS = 30  # in all windows
SCORES = 25 * 10**6  # at most in each window, so that large catalogues are compared on fewer users


def rolling_cuts(times: Longs) -> list[tuple[int, int]]:
    """Return the start and the end of each window, of the times of all events in microseconds.

    The windows divide the last 40 % of the events into four equal parts; each ends where the next
    starts, and the last one after the last event. Windows that would start at the same time are
    one. Several short windows judge a model at several moments, and soon after its training, as
    lists are used: in a log that turns over within hours a single moment decides by chance, and
    late in a long window nothing that was popular at its start is left.
    """
    cuts = np.unique(np.quantile(times, SHARES, method="higher")).tolist()
    return list(zip(cuts, [*cuts[1:], int(times.max()) + 1], strict=True))


@dataclass(frozen=True, eq=False)
class Window:
    """The events before a window, and what its users take up in it.

    ``past``: the training data of the models to compare; ``users`` int64 (n_users,): the rows of
    the data set who are measured; ``histories`` of these; ``relevant`` csr float32 (n_users,
    n_items): their new items.
    """

    past: Dataset
    users: Longs
    histories: Histories
    relevant: sparse.csr_array

    @classmethod
    def of(cls, dataset: Dataset, start: int, stop: int, pairs: int = PAIRS) -> Window | None:
        """Return the window between two times in microseconds; None if nobody can be measured.

        Measured are users who have a history before it and take up items in it that are new to
        them, but not to the models. These are trained on evenly spread users with about ``pairs``
        pairs.
        """
        sequences = dataset.sequences
        if sequences is None:
            return None
        try:
            split = split_between(sequences, dataset.n_items, start, stop)
        except ModelError:
            return None
        earlier = train_sequences(sequences, split)
        before = event_matrix(earlier, dataset.n_items)
        before.data[:] = 1
        matrix = sparse.csr_array(dataset.matrix.multiply(before).tocsr().astype(np.float32))
        matrix.sort_indices()
        everybody = Histories(matrix, earlier)
        past = sampled(Dataset(matrix, earlier, dataset.item_features), pairs)
        trained = np.bincount(past.matrix.indices, minlength=dataset.n_items) > 0
        relevant = split.test.multiply(trained[None].astype(np.float32)).tocsr()
        relevant.eliminate_zeros()
        users = np.flatnonzero((np.diff(relevant.indptr) > 0) & (np.diff(matrix.indptr) > 0))
        if not len(users):
            return None
        users = evenly_spread(users, min(USERS, max(FEWEST_USERS, SCORES // dataset.n_items)))
        return cls(past, users, everybody.rows(users), sparse.csr_array(relevant[users]))


def rolling_windows(dataset: Dataset, pairs: int = PAIRS) -> list[Window]:
    """Return the windows of ``rolling_cuts``; an empty list if they say too little.

    That is the case without times, or with fewer than 30 users in all windows together. Of a large
    data set, evenly spread users with about a million pairs are taken; the models are trained on
    those of them with about ``pairs`` pairs, at most.
    """
    if dataset.sequences is None or not len(dataset.sequences.timestamps):
        return []
    sample = sampled(dataset)
    cuts = rolling_cuts(dataset.sequences.timestamps)
    windows = [window for cut in cuts if (window := Window.of(sample, *cut, pairs)) is not None]
    users = np.concatenate([np.zeros(0, np.int64), *(window.users for window in windows)])
    return windows if len(np.unique(users)) >= FEWEST_USERS else []


def sampled(dataset: Dataset, pairs: int = PAIRS) -> Dataset:
    """Return the data of evenly spread users with about ``pairs`` pairs, or all of a smaller set."""
    share = pairs / max(dataset.matrix.nnz, 1)
    if share >= 1:
        return dataset
    users = evenly_spread(np.arange(dataset.n_users), max(1, round(share * dataset.n_users)))
    histories = dataset.histories.rows(users)
    return Dataset(histories.matrix, histories.sequences, dataset.item_features)


def sampled_size(size: Size, pairs: int = PAIRS) -> Size:
    """Return the size of ``sampled`` for a dataset of a size."""
    share = min(1.0, pairs / max(size.pairs, 1))
    return Size(round(share * size.users), size.items, round(share * size.pairs), share * size.products)


def losses(values: Floats, users: Longs) -> tuple[Floats, Floats]:
    """Return how much worse each candidate is than the best, and the standard error of that.

    ``values`` (candidates, n): their metric of ``users`` int64 (n,), each once for every window in
    which they are measured. Both are float64 (candidates,): the mean difference to the best
    candidate, and its error. What a user does in several windows is one observation, not several:
    the differences are summed by user (Liang, Zeger 1986, "Longitudinal data analysis using
    generalized linear models", the variance for clusters).
    """
    differences = values[int(np.argmax(values.mean(axis=1)))] - values
    loss = differences.mean(axis=1)
    _, cluster = np.unique(users, return_inverse=True)
    sums = np.stack([np.bincount(cluster, row) for row in differences - loss[:, None]])
    return loss, np.sqrt(np.square(sums).sum(axis=1)) / values.shape[1]

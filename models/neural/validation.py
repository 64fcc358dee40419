"""Validation users for early stopping: held out from training, with part of their items hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from models.neural.trainer_config import validation_count

CUT = 100  # ranks to score
HIDDEN_SHARE = 0.2  # of each validation user's items


def validation_users(matrix: sparse.csr_array, share: float, draw: np.random.Generator) -> np.ndarray:
    """Return the users to hold out: distinct rows of ``matrix``, sorted; perhaps none.

    Their number is ``validation_count``; they are drawn from those with 5 items or more.
    """
    lengths = np.diff(matrix.indptr)
    count = validation_count(int(np.count_nonzero(lengths)), int(matrix.shape[1]), share)
    eligible = np.flatnonzero(lengths >= round(1 / HIDDEN_SHARE))
    if not count or len(eligible) < count:
        return eligible[:0]
    return np.sort(draw.choice(eligible, size=count, replace=False))


@dataclass(frozen=True)
class ValidationSet:
    """Validation users: ``seen`` csr is the model's input, ``hidden`` csr is what it must find."""

    seen: sparse.csr_array
    hidden: sparse.csr_array

    @classmethod
    def split(cls, matrix: sparse.csr_array, draw: np.random.Generator) -> ValidationSet:
        """Hide a share of ``HIDDEN_SHARE`` (rounded down) of the entries of every row."""
        lengths = np.diff(matrix.indptr)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        order = np.lexsort((draw.random(matrix.nnz), rows))  # a permutation within each row
        rank = np.empty(matrix.nnz, dtype=np.int64)
        rank[order] = np.arange(matrix.nnz) - matrix.indptr[rows]
        hidden = rank < (HIDDEN_SHARE * lengths + 1e-9).astype(np.int64)[rows]
        return cls(_entries(matrix, rows, ~hidden), _entries(matrix, rows, hidden))

    def __len__(self) -> int:
        return int(self.seen.shape[0])

    def gain(self, logits: torch.Tensor, users: slice) -> float:
        """Return the sum of NDCG@100 over ``users``, given their ``logits`` (n_users, n_items).

        Seen items are not ranked; the ideal list has min(hidden items, 100) hits. ``logits`` is
        overwritten.
        """
        seen, hidden = self.seen[users], self.hidden[users]
        logits[_indices(seen, logits.device)] = -torch.inf
        top = torch.topk(logits, min(CUT, logits.shape[1]), dim=1).indices
        relevant = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        relevant[_indices(hidden, logits.device)] = True
        discounts = 1.0 / torch.log2(torch.arange(2.0, CUT + 2, device=logits.device))
        gain = (relevant.gather(1, top) * discounts[: top.shape[1]]).sum(1)
        ideal = discounts.cumsum(0)[relevant.sum(1).clamp(1, CUT) - 1]
        return float((gain / ideal).sum())


def _entries(matrix: sparse.csr_array, rows: np.ndarray, kept: np.ndarray) -> sparse.csr_array:
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows[kept], minlength=matrix.shape[0]))))
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def _indices(matrix: sparse.csr_array, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = matrix.nonzero()
    return torch.from_numpy(rows).to(device).long(), torch.from_numpy(columns).to(device).long()

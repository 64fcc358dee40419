"""Layers for sparse batches of histories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional

# Forward and backward pass of (batch, I) @ (I, 600), ms on 2 cores, best of 3 or 4, as bag | sparse
# CSR | dense: I  3,706, 512 rows: 1 %  2.7 | 4.2 | 26;  4.5 %  6.9 | 36 | 26;  10 %  24 | - | 34;
# 20 %  41 | - | 38 I  3,706,  64 rows: 1 %  0.8 | 6.2 | 4.3; 4.5 %  1.6 | 2.4 | 4.0; 10 % 4.1 | - |
# 7.8; 20 % 8.0 | - | 6.3 I 50,000, 512 rows: .1 %  39 | 91 | 385;  1 %    132 | 119 | 376 Sparse
# CSR, a beta feature, is never clearly faster. The bag's time grows with the stored entries and the
# dense product's does not: they are equal between 10 and 20 % (on one thread between 20 and 30 %).
DENSE_FROM = 0.15


@dataclass(frozen=True)
class Bags:
    """A batch of sparse rows: row r has the entries ``offsets[r]:offsets[r + 1]``.

    ``items`` int64 and ``values`` float32 (n_entries,), ``offsets`` int64 (n_rows + 1,), all on one
    device.
    """

    items: torch.Tensor
    values: torch.Tensor
    offsets: torch.Tensor

    @classmethod
    def of(cls, matrix: sparse.csr_array, device: torch.device) -> Bags:
        """Return the rows of ``matrix`` csr float32 (n_rows, n_columns) on ``device``."""
        items = torch.from_numpy(matrix.indices.astype(np.int64))
        offsets = torch.from_numpy(matrix.indptr.astype(np.int64))
        return cls(items.to(device), torch.from_numpy(matrix.data).to(device), offsets.to(device))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def rows(self) -> torch.Tensor:
        """The row of every entry, int64 (n_entries,)."""
        numbers = torch.arange(len(self), device=self.offsets.device)
        return numbers.repeat_interleave(self.offsets.diff(), output_size=len(self.items))

    @cached_property
    def order(self) -> torch.Tensor:
        """The numbers of the entries, sorted by item, int64 (n_entries,)."""
        return torch.argsort(self.items, stable=True)

    @cached_property
    def by_item(self) -> tuple[torch.Tensor, Bags]:
        """The distinct items, ascending, and their entries: bags whose ``items`` are the rows."""
        items, counts = torch.unique_consecutive(self.items[self.order], return_counts=True)
        return items, Bags(self.rows[self.order], self.values[self.order], _offsets(counts))

    def part(self, rows: slice) -> Bags:
        """Return some consecutive rows."""
        offsets = self.offsets[rows.start : rows.stop + 1]
        start, stop = int(offsets[0]), int(offsets[-1])
        return Bags(self.items[start:stop], self.values[start:stop], offsets - start)

    def normalised(self) -> Bags:
        """Return the rows divided by their Euclidean length; empty rows stay empty."""
        squares = torch.zeros(len(self), device=self.values.device)
        lengths = squares.index_add(0, self.rows, self.values.square()).sqrt()
        return Bags(self.items, self.values / lengths[self.rows], self.offsets)

    def with_dropout(self, share: float, draw: torch.Generator) -> Bags:
        """Return the rows after dropout: each entry is dropped with probability ``share``.

        The other entries are scaled up to compensate. Zeros stay zeros under dropout, so it is
        enough to draw for the stored entries.
        """
        kept = torch.rand(len(self.values), generator=draw, device=self.values.device) >= share
        counts = torch.zeros_like(self.offsets[1:]).index_add(0, self.rows, kept.long())
        return Bags(self.items[kept], self.values[kept] / (1.0 - share), _offsets(counts))


def bag_product(bags: Bags, weight: torch.Tensor) -> torch.Tensor:
    """Return the product (n_rows, d) of the rows and ``weight`` (n_columns, d), the faster way."""
    if len(bags.items) >= DENSE_FROM * len(bags) * len(weight):
        dense = torch.zeros(len(bags), len(weight), device=weight.device, dtype=bags.values.dtype)
        dense[bags.rows, bags.items] = bags.values
        return dense @ weight
    return functional.embedding_bag(
        bags.items,
        weight,
        bags.offsets,
        mode="sum",
        per_sample_weights=bags.values,
        include_last_offset=True,
    )


def _offsets(counts: torch.Tensor) -> torch.Tensor:
    """Return the offsets int64 (n_rows + 1,) of rows with so many entries."""
    return functional.pad(counts.cumsum(0), (1, 0))

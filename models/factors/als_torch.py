"""ALS on a CUDA device: the equations of models.factors.als_kernel, in batches of torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from models.errors import ModelError
from models.factors.least_squares import Floats, Rows, Solution, Solve

ELEMENTS = 1 << 27  # float32 in the gathered vectors of a batch, and in its matrices: 512 MiB each


def on_device(device: torch.device) -> Solve:
    """Return the way to solve there, with one unknown a factor whatever the row's length."""

    def solve(rows: Rows, fixed: Floats) -> Solution:
        vectors = torch.from_numpy(fixed).to(device)
        wide = vectors.double()
        squares, basis = torch.linalg.eigh(wide.T @ wide)
        vectors = (wide @ basis).float()
        solved = torch.zeros(len(rows), fixed.shape[1], device=device)
        explained = torch.zeros((), dtype=torch.float64, device=device)
        for chosen in _batches(rows, fixed.shape[1]):
            found, gain = _solve_batch(rows, chosen, vectors, squares.clamp(min=0))
            solved[torch.from_numpy(chosen).to(device)] = found
            explained += gain
        return Solution(vectors.cpu().numpy(), solved.cpu().numpy(), float(explained))

    return solve


def _batches(rows: Rows, factors: int) -> Iterator[np.ndarray]:
    """Yield the indices of rows that have entries, those of like lengths together."""
    lengths = np.diff(rows.indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    stop = len(order)
    while stop > 0:  # the longest first: its length is the width of its batch
        width = max(int(lengths[order[stop - 1]]), factors) * factors
        start = max(0, stop - max(1, ELEMENTS // width))
        yield order[start:stop]
        stop = start


def _solve_batch(
    rows: Rows, chosen: np.ndarray, fixed: torch.Tensor, squares: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vectors (len(chosen), d) and the sum of their b'x, float64."""
    device = fixed.device
    first, lengths = rows.indptr[chosen], rows.indptr[chosen + 1] - rows.indptr[chosen]
    steps = np.arange(lengths.max())
    inside = steps < lengths[:, None]  # (rows, entries): the rest is padding of confidence 0
    place = np.where(inside, first[:, None] + steps, first[:, None])
    extra = torch.from_numpy(np.where(inside, rows.extra[place], np.float32(0))).to(device)
    penalties = torch.from_numpy(rows.penalties[chosen]).to(device)
    scale = (rows.unobserved * squares + penalties[:, None]).rsqrt().float()  # (rows, d)
    gathered = fixed[torch.from_numpy(rows.indices[place].astype(np.int64)).to(device)] * scale[:, None]
    right = torch.einsum("bj,bjd->bd", torch.where(extra > 0, extra + rows.unobserved, 0), gathered)
    gathered *= extra.sqrt()[:, :, None]
    matrix = torch.baddbmm(torch.eye(fixed.shape[1], device=device)[None], gathered.mT, gathered)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if bool(failed.any()):
        raise ModelError("expected weights that least squares can be solved with in float32, got others")
    found = torch.cholesky_solve(right[:, :, None], factor)[:, :, 0]
    return found * scale, (right.double() * found.double()).sum()

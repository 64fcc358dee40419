"""ALS on a CUDA device: the equations of models.factors.als_kernel, batched in torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from models.errors import ModelError
from models.factors.least_squares import Floats, Rows, Solution, Solve

ELEMENTS = 1 << 27  # float32 values in a batch's vectors, and in its matrices: 512 MiB each


def device_solver(device: torch.device) -> Solve:
    """Return the solver on a device: exact, always with one unknown per factor, from any start."""

    def solve(rows: Rows, fixed: Floats, start: Floats) -> Solution:  # noqa: ARG001
        vectors = torch.from_numpy(fixed).to(device)
        wide = vectors.double()
        squares, basis = torch.linalg.eigh(wide.T @ wide)
        vectors = (wide @ basis).float()
        solved = torch.zeros(len(rows), fixed.shape[1], device=device)
        explained = torch.zeros((), dtype=torch.float64, device=device)
        for chosen in _batches(rows, fixed.shape[1]):
            batch_solved, gain = _solve_batch(rows, chosen, vectors, squares.clamp(min=0))
            solved[torch.from_numpy(chosen).to(device)] = batch_solved
            explained += gain
        return Solution(vectors.cpu().numpy(), solved.cpu().numpy(), float(explained))

    return solve


def _batches(rows: Rows, factors: int) -> Iterator[np.ndarray]:
    """Yield the indices of nonempty rows, with rows of similar length together."""
    lengths = np.diff(rows.indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    stop = len(order)
    while stop > 0:  # longest rows first: the longest sets the width of its batch
        width = max(int(lengths[order[stop - 1]]), factors) * factors
        start = max(0, stop - max(1, ELEMENTS // width))
        yield order[start:stop]
        stop = start


def _solve_batch(
    rows: Rows, chosen: np.ndarray, fixed: torch.Tensor, squares: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vectors (len(chosen), d) and the sum of b'x, float64."""
    device = fixed.device
    first, lengths = rows.indptr[chosen], rows.indptr[chosen + 1] - rows.indptr[chosen]
    steps = np.arange(lengths.max())
    inside = steps < lengths[:, None]  # (rows, entries); the rest is padding of confidence 0
    entries = np.where(inside, first[:, None] + steps, first[:, None])
    extra = torch.from_numpy(np.where(inside, rows.extra[entries], np.float32(0))).to(device)
    penalties = torch.from_numpy(rows.penalties[chosen]).to(device)
    scale = (rows.unobserved * squares + penalties[:, None]).rsqrt().float()  # (rows, d)
    gathered = fixed[torch.from_numpy(rows.indices[entries].astype(np.int64)).to(device)] * scale[:, None]
    right = torch.einsum("bj,bjd->bd", torch.where(extra > 0, extra + rows.unobserved, 0), gathered)
    gathered *= extra.sqrt()[:, :, None]
    matrix = torch.baddbmm(torch.eye(fixed.shape[1], device=device)[None], gathered.mT, gathered)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if bool(failed.any()):
        raise ModelError("expected weights for which float32 can solve least squares, got others")
    solved = torch.cholesky_solve(right[:, :, None], factor)[:, :, 0]
    return solved * scale, (right.double() * solved.double()).sum()

"""The compiled part of ALS: one small least squares problem per row (import it late: numba).

With the fixed vectors Y in the basis where Y'Y is diagonal, the normal equations of a row are (D +
Z'Z) x = b = Z's. Here D = unobserved * diag(Y'Y) + penalty, Z has a row sqrt(a) y for every
observed entry of extra confidence a, and s = (unobserved + a) / sqrt(a). With W = Z D^-1/2, two
forms have the same solution, by the push-through identity: x = D^-1/2 (I + W'W)^-1 W's has one
unknown per factor, x = D^-1/2 W' (I + WW')^-1 s one per entry. The smaller system is solved. No
eigenvalue of either matrix is below 1, so float32 is accurate enough for the Cholesky
decomposition. The products use the BLAS that numba takes from scipy: limit it to one thread.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int32]
PANEL = 64  # rows of a symmetric product at a time; blocks above the diagonal are skipped
CHUNK = 512  # entries of a long row to gather at a time
LANES = 16  # entries to transpose together: a cache line of float32
LEAST = np.float32(1e-30)  # dividing by a smaller extra confidence would overflow float32


@compiled("void(float32[:, ::1], float32[:, ::1], float32[::1], boolean)")
def _add_products(rows: Floats, total: Floats, scratch: Floats, fresh: bool) -> None:
    """Add rows @ rows.T to the lower triangle of ``total``, or set it if ``fresh``."""
    for low in range(0, len(rows), PANEL):
        high = min(low + PANEL, len(rows))
        part = scratch[: (high - low) * high].reshape(high - low, high)
        np.dot(rows[low:high], rows[:high].T, part)
        for r in range(low, high):
            target, source = total[r], part[r - low]
            for c in range(r + 1):
                target[c] = source[c] if fresh else target[c] + source[c]


@compiled("void(float32[:, ::1], float32[::1])")
def _solve(matrix: Floats, vector: Floats) -> None:
    """Solve (I + matrix) x = vector in place, given the lower triangle of ``matrix``."""
    n = len(vector)
    for r in range(n):
        matrix[r, r] += np.float32(1)
    lower = np.linalg.cholesky(matrix)  # lower @ lower.T is the matrix
    for r in range(n):
        row = lower[r]
        vector[r] = (vector[r] - np.dot(row[:r], vector[:r])) / row[r]
    for r in range(n - 1, -1, -1):
        row = lower[r]
        vector[r] /= row[r]
        for c in range(r):
            vector[c] -= row[c] * vector[r]


@compiled("float64(float32[::1], float32[::1], float32[::1])")
def _unscaled(solved: Floats, right: Floats, scale: Floats) -> float:
    """Turn D^1/2 x in ``solved`` into x and return b'x; ``right`` is D^-1/2 b."""
    explained = 0.0
    for f in range(len(scale)):
        explained += np.float64(right[f]) * np.float64(solved[f])
        solved[f] *= scale[f]
    return explained


@compiled(
    "float64(int32[::1], float32[::1], float64, float32[:, ::1], float32[::1], float32[::1], float32[:, ::1])"
)
def _by_entries(  # noqa: PLR0917
    items: Ints, extra: Floats, unobserved: float, fixed: Floats, scale: Floats, solved: Floats, work: Floats
) -> float:
    """Solve a row with fewer entries than factors into ``solved`` (initially 0); return b'x."""
    n, d = len(items), fixed.shape[1]
    rows = work[0][: n * d].reshape(n, d)
    targets = np.empty(n, np.float32)
    for j in range(n):
        root = np.sqrt(max(extra[j], LEAST))
        vector, row = fixed[items[j]], rows[j]
        for f in range(d):
            row[f] = root * (vector[f] * scale[f])
        targets[j] = (unobserved + extra[j]) / root
    matrix = work[1][: n * n].reshape(n, n)
    _add_products(rows, matrix, work[2], True)
    solution = targets.copy()
    _solve(matrix, solution)
    right = np.zeros(d, np.float32)
    for j in range(n):
        row = rows[j]
        for f in range(d):
            solved[f] += solution[j] * row[f]
            right[f] += targets[j] * row[f]
    return _unscaled(solved, right, scale)


@compiled(
    "float64(int32[::1], float32[::1], float64, float32[:, ::1], float32[::1], float32[::1], float32[:, ::1])"
)
def _by_factors(  # noqa: PLR0917
    items: Ints, extra: Floats, unobserved: float, fixed: Floats, scale: Floats, solved: Floats, work: Floats
) -> float:
    """Solve a row with at least as many entries as factors into ``solved``; return b'x."""
    d = fixed.shape[1]
    matrix = work[1][: d * d].reshape(d, d)
    targets, roots = np.empty(CHUNK, np.float32), np.empty(LANES, np.float32)
    for start in range(0, len(items), CHUNK):
        stop = min(start + CHUNK, len(items))
        columns = work[0][: d * (stop - start)].reshape(d, stop - start)
        for low in range(start, stop, LANES):
            high = min(low + LANES, stop)
            for j in range(low, high):
                roots[j - low] = np.sqrt(max(extra[j], LEAST))
                targets[j - start] = (unobserved + extra[j]) / roots[j - low]
            for f in range(d):
                for j in range(low, high):
                    columns[f, j - start] = roots[j - low] * (fixed[items[j], f] * scale[f])
        solved += np.dot(columns, targets[: stop - start])
        _add_products(columns, matrix, work[2], start == 0)
    right = solved.copy()
    _solve(matrix, solved)
    return _unscaled(solved, right, scale)


@compiled(
    "float64(int64, int64, int64[::1], int32[::1], float32[::1], float64, float32[:, ::1], float64[::1], "
    "float64[::1], float32[:, ::1])"
)
def solve_rows(  # noqa: PLR0917
    start: int,
    stop: int,
    indptr: npt.NDArray[np.int64],
    indices: Ints,
    extra: Floats,
    unobserved: float,
    fixed: Floats,
    squares: Doubles,
    penalties: Doubles,
    solved: Floats,
) -> float:
    """Write the vectors of rows ``start`` to ``stop`` of a csr matrix to ``solved`` (n_rows, d).

    ``fixed`` (n_columns, d) has orthogonal columns of squared lengths ``squares`` (d,). ``extra``
    holds the observed confidences beyond ``unobserved``; ``penalties`` (n_rows,) > 0. Empty rows
    get 0. Returns the sum of b'x over the rows, from which the loss at the solution follows.
    """
    d = fixed.shape[1]
    work = np.empty((3, d * max(d, CHUNK)), np.float32)
    scale = np.empty(d, np.float32)
    explained = 0.0
    for r in range(start, stop):
        low, high = indptr[r], indptr[r + 1]
        solved[r] = 0
        if low == high:
            continue
        for f in range(d):
            scale[f] = 1 / np.sqrt(unobserved * squares[f] + penalties[r])
        if high - low < d:
            explained += _by_entries(
                indices[low:high], extra[low:high], unobserved, fixed, scale, solved[r], work
            )
        else:
            explained += _by_factors(
                indices[low:high], extra[low:high], unobserved, fixed, scale, solved[r], work
            )
    return explained

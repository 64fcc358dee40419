"""The compiled part of ALS: one small least squares problem per row (import it late: numba).

With the fixed vectors Y in the basis where Y'Y is diagonal, the normal equations of a row are (D +
Z'Z) x = b = Z's. Here D = unobserved * diag(Y'Y) + penalty, Z has a row sqrt(a) y for every
observed entry of extra confidence a, and s = (unobserved + a) / sqrt(a). With W = Z D^-1/2, two
forms have the same solution, by the push-through identity: x = D^-1/2 (I + W'W)^-1 W's has one
unknown per factor, x = D^-1/2 W' (I + WW')^-1 s one per entry. No eigenvalue of either matrix is
below 1, so float32 is accurate enough.

The smaller system is solved by Cholesky decomposition, in n d min(n, d) operations. In training,
rows for which that is large take a few steps of the conjugate gradient method instead (Hestenes and
Stiefel 1952), from the row's last vector, in 4 n d operations each. W'W is small beside I, since D
holds the many unobserved pairs; each step therefore gains much, and the rounds take up the rest.

The products use the BLAS that numba takes from scipy: limit it to one thread.
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
EXACT = 8  # unknowns up to which the exact solution costs at most half more than the steps
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
    "float64(int32[::1], float32[::1], float32, float32[:, ::1], float32[::1], boolean, float32[::1])",
    reorder=True,
)
def _add_gradient(  # noqa: PLR0917
    items: Ints,
    extra: Floats,
    unobserved: np.float32,
    fixed: Floats,
    at: Floats,
    targets: bool,
    total: Floats,
) -> float:
    """Add b - Z'Z ``at`` to ``total`` (d,), or without ``targets`` only the second part; return b'at.

    Four entries at a time share the reads and writes of vectors; what is beyond the last counts 0.
    """
    last, product, pulls = len(items) - 1, 0.0, np.empty(4, np.float32)
    for j in range(0, len(items), 4):
        y0, y1 = fixed[items[j]], fixed[items[min(j + 1, last)]]
        y2, y3 = fixed[items[min(j + 2, last)]], fixed[items[min(j + 3, last)]]
        t0, t1, t2, t3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for f in range(len(at)):
            t0 += y0[f] * at[f]
            t1 += y1[f] * at[f]
            t2 += y2[f] * at[f]
            t3 += y3[f] * at[f]
        pulls[0], pulls[1], pulls[2], pulls[3] = t0, t1, t2, t3
        for k in range(4):
            confidence = np.float32(0)
            own = np.float32(0)
            if j + k <= last:
                own = extra[j + k]
                confidence = unobserved + own
            product += np.float64(confidence) * np.float64(pulls[k])
            pulls[k] = (confidence if targets else np.float32(0)) - own * pulls[k]
        t0, t1, t2, t3 = pulls[0], pulls[1], pulls[2], pulls[3]
        for f in range(len(at)):
            total[f] += (y0[f] * t0 + y1[f] * t1) + (y2[f] * t2 + y3[f] * t3)
    return product


@compiled(
    "float64(int32[::1], float32[::1], float64, float32[:, ::1], float32[::1], float32[::1], int64, "
    "float32[:, ::1])",
    reorder=True,
)
def _by_steps(  # noqa: PLR0917
    items: Ints,
    extra: Floats,
    unobserved: float,
    fixed: Floats,
    scale: Floats,
    solved: Floats,
    steps: int,
    work: Floats,
) -> float:
    """Take ``steps`` of conjugate gradients from the x in ``solved``; return 2b'x - x'(D + Z'Z)x.

    That is b'x at the solution. The unknown is D^1/2 x: its matrix is I + W'W, ``residual`` and
    ``direction`` are D^-1/2 times those of x, and ``move`` is the direction as a change of x.
    """
    d, small = len(scale), np.float32(unobserved)
    residual, direction = work[0][:d], work[0][d : 2 * d]
    move, product = work[0][2 * d : 3 * d], work[0][3 * d : 4 * d]
    product[:] = 0
    explained = _add_gradient(items, extra, small, fixed, solved, True, product)
    square = 0.0
    for f in range(d):
        start = solved[f] / scale[f]
        residual[f] = direction[f] = product[f] * scale[f] - start
        explained += np.float64(residual[f]) * np.float64(start)
        square += np.float64(residual[f]) * np.float64(residual[f])
    for _ in range(steps):
        if square == 0:
            break
        curvature, last = 0.0, square
        product[:] = 0
        for f in range(d):
            move[f] = direction[f] * scale[f]
        _add_gradient(items, extra, small, fixed, move, False, product)
        for f in range(d):
            product[f] = direction[f] - scale[f] * product[f]
            curvature += np.float64(direction[f]) * np.float64(product[f])
        if last > 1.001 * curvature:  # as the matrix is I + W'W, float32 no longer holds the residual
            break
        length, square = np.float32(last / curvature), 0.0
        for f in range(d):
            solved[f] += length * move[f]
            residual[f] -= length * product[f]
            square += np.float64(residual[f]) * np.float64(residual[f])
        turn = np.float32(square / last)
        for f in range(d):
            direction[f] = residual[f] + turn * direction[f]
        explained += np.float64(length) * last
    return explained


@compiled(
    "float64(int64, int64, int64[::1], int32[::1], float32[::1], float64, float32[:, ::1], float64[::1], "
    "float64[::1], float32[:, ::1], int64)"
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
    steps: int,
) -> float:
    """Write the vectors of rows ``start`` to ``stop`` of a csr matrix to ``solved`` (n_rows, d).

    ``fixed`` (n_columns, d) has orthogonal columns of squared lengths ``squares`` (d,). ``extra``
    holds the observed confidences beyond ``unobserved``; ``penalties`` (n_rows,) > 0. Empty rows
    get 0. With ``steps``, rows whose smaller system has more than EXACT unknowns take that many
    steps from their vector in ``solved``; all others are solved exactly. Returns the sum of 2b'x -
    x'(D + Z'Z)x over the rows, which is b'x at the solution; the loss follows from it.
    """
    d = fixed.shape[1]
    work = np.empty((3, d * max(d, CHUNK)), np.float32)
    scale = np.empty(d, np.float32)
    explained = 0.0
    for r in range(start, stop):
        low, high = indptr[r], indptr[r + 1]
        if low == high:
            solved[r] = 0
            continue
        for f in range(d):
            scale[f] = 1 / np.sqrt(unobserved * squares[f] + penalties[r])
        if steps > 0 and min(high - low, d) > EXACT:
            explained += _by_steps(
                indices[low:high], extra[low:high], unobserved, fixed, scale, solved[r], steps, work
            )
            continue
        solved[r] = 0
        if high - low < d:
            explained += _by_entries(
                indices[low:high], extra[low:high], unobserved, fixed, scale, solved[r], work
            )
        else:
            explained += _by_factors(
                indices[low:high], extra[low:high], unobserved, fixed, scale, solved[r], work
            )
    return explained

"""The compiled part of top-N: mask, find a threshold, scan above it (import it late: numba)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int32]
# Neighbouring items belong to different chunks, so a SIMD register holds one item of each chunk.
LANES = 16
# Items per chunk, LANES apart: a run of good items (a sorted catalogue) spreads over many chunks.
ROWS = 16
GROUP = LANES * ROWS
BINS = 512
COUNTED = 192  # up to this many keys, counting sorts faster
CROWD = 16  # a row is crowded if more than one item in so many is a candidate
LOWEST = np.float64(np.finfo(np.float32).min)  # masked scores are lower
NOT_FINITE = 0x7F800000
TINY = 1e-34  # the loss when products underflow float32: up to d * 2^-126


@compiled("boolean(int32[::1])")
def _all_finite(bits: Ints) -> bool:
    """Check the exponents: an integer maximum is vectorised, a float comparison with NaN is not."""
    largest = np.int32(0)
    for i in range(len(bits)):
        largest = max(largest, bits[i] & np.int32(0x7FFFFFFF))
    return bool(largest < NOT_FINITE)


@compiled("void(float32[::1], float32[::1])")
def _chunk_maxima(row: Floats, maxima: Floats) -> None:
    """Write the maximum of chunk (group, lane): items group * GROUP + lane + LANES * 0..ROWS-1."""
    full = len(row) // GROUP
    for group in range(full):
        for lane in range(LANES):
            best = row[group * GROUP + lane]
            for r in range(1, ROWS):
                x = row[group * GROUP + r * LANES + lane]
                best = x if x > best else best
            maxima[group * LANES + lane] = best
    maxima[full * LANES :] = -np.inf
    for i in range(full * GROUP, len(row)):
        chunk = full * LANES + i % LANES
        maxima[chunk] = max(maxima[chunk], row[i])


@compiled(["float32(float32[::1], int64)", "uint64(uint64[::1], int64)"])
def _nth_largest(values: npt.NDArray[Any], n: int) -> Any:
    """Return the n-th largest (from 1) of ``values``; move the n largest to the front (Hoare)."""
    low, high = 0, len(values) - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if n - 1 <= j:
            high = j
        elif n - 1 >= i:
            low = i
        else:
            break
    return values[n - 1]


@compiled("float32(float32[::1], int64, int64[::1], float32[::1])")
def _threshold(maxima: Floats, n: int, bins: npt.NDArray[np.int64], part: Floats) -> np.float32:
    """Return the n-th largest of ``maxima``: count into bins branch-free, then select in one bin.

    ``bins`` and ``part`` are scratch; ``part`` is as long as ``maxima``.
    """
    lows, highs = np.full(LANES, np.inf, dtype=np.float32), np.full(LANES, -np.inf, dtype=np.float32)
    for group in range(len(maxima) // LANES):
        for lane in range(LANES):  # vectorised over the lanes
            x = maxima[group * LANES + lane]
            lows[lane] = x if x < lows[lane] and x > -np.inf else lows[lane]
            highs[lane] = x if x > highs[lane] else highs[lane]
    low, high = lows.min(), highs.max()
    scale = 0.0 if high <= low else (len(bins) - 1) / (np.float64(high) - np.float64(low))
    bins[:] = 0
    for x in maxima:
        bins[np.int64((np.float64(max(x, low)) - low) * scale) if scale > 0 else 0] += 1
    chosen, above = len(bins) - 1, 0
    while above + bins[chosen] < n:
        above += bins[chosen]
        chosen -= 1
    count = 0
    for x in maxima:
        index = np.int64((np.float64(max(x, low)) - low) * scale) if scale > 0 else 0
        part[count] = x
        count += int(index == chosen)
    return np.float32(_nth_largest(part[:count], n - above))


@compiled("uint64(float32, int64)")
def _key(score: np.float32, item: int) -> np.uint64:
    """Return an integer that is larger for a higher score, and for a lower item among equals."""
    bits = np.float32(score).view(np.uint32)
    sign = np.uint32(0x80000000)
    if bits == sign:  # -0.0 equals 0.0
        bits = np.uint32(0)
    ordered = ~bits if bits & sign else bits | sign
    return (np.uint64(ordered) << np.uint64(32)) | np.uint64(0xFFFFFFFF - item)


@compiled("Tuple((float32, int64))(uint64)")
def _score_and_item(key: np.uint64) -> tuple[np.float32, np.int64]:
    """Invert ``_key``; -0.0 becomes 0.0."""
    sign = np.uint32(0x80000000)
    ordered = np.uint32(key >> np.uint64(32))
    bits = ordered ^ sign if ordered & sign else ~ordered
    return np.uint32(bits).view(np.float32), np.int64(np.uint64(0xFFFFFFFF) - (key & np.uint64(0xFFFFFFFF)))


@compiled("float32(float64[::1], float32[::1])")
def _dot(a: Doubles, b: Floats) -> np.float32:
    """Sum in float64 in a fixed order and round once; products of float32 are exact in float64."""
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    whole = len(a) // 8 * 8
    for k in range(0, whole, 8):
        s0 += a[k] * b[k]
        s1 += a[k + 1] * b[k + 1]
        s2 += a[k + 2] * b[k + 2]
        s3 += a[k + 3] * b[k + 3]
        s4 += a[k + 4] * b[k + 4]
        s5 += a[k + 5] * b[k + 5]
        s6 += a[k + 6] * b[k + 6]
        s7 += a[k + 7] * b[k + 7]
    for k in range(whole, len(a)):
        s0 += a[k] * b[k]
    return np.float32(((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7)))


@compiled("float64(float64[::1], float64)")
def _slack(user: Doubles, error: float) -> float:
    """Return by how much two approximate scores can be in the wrong order; 0 if they are exact."""
    square = 0.0
    for x in user:
        square += x * x
    return 2 * error * np.sqrt(square) + TINY if error * square > 0 else 0.0


@compiled("float64(float64, float64)")
def _cut(score: float, slack: float) -> float:
    """Return the lowest approximate score that can exceed ``score``."""
    return score - slack if slack > 0 else np.nextafter(score, np.inf)


@compiled("boolean(float32[::1], float32[::1], float32)")
def _is_crowded(row: Floats, maxima: Floats, cut: np.float32) -> bool:
    """Return whether more than one item in CROWD is a candidate; they are counted only if they can be."""
    hot = 0
    for x in maxima:
        hot += int(x >= cut)
    if hot * CROWD <= len(maxima):
        return False
    candidates = 0
    for i in range(len(row)):
        candidates += int(row[i] >= cut)
    return candidates * CROWD > len(row)


@compiled(
    "int64(float32[::1], float32[::1], float64[::1], float32[:, ::1], float64[::1], int64, int32[::1], "
    "uint64[::1])"
)
def _scan(  # noqa: PLR0917
    row: Floats,
    maxima: Floats,
    user: Doubles,
    vectors: Floats,
    limits: Doubles,
    n: int,
    candidates: Ints,
    keys: npt.NDArray[np.uint64],
) -> int:
    """Collect the keys of the n best items, and perhaps others, in any order; return their number.

    ``limits`` is (cut, above, slack): ``row`` can be off by half the slack, and items below the cut
    are certainly not among the best. With vectors, the others are scored again by ``_dot``.
    ``candidates`` is scratch. Results are written first and counted afterwards, which avoids
    branches.
    """
    cut, above, slack = limits[0], limits[1], limits[2]
    count, waiting = 0, 0
    least = np.uint64(0)
    groups = len(maxima) // LANES
    for group in range(groups):
        first = group * GROUP
        for lane in range(LANES):
            if maxima[group * LANES + lane] >= cut:
                for item in range(first + lane, min(len(row), first + GROUP), LANES):
                    candidates[waiting] = item
                    waiting += int(row[item] >= cut)
        if waiting <= GROUP and group < groups - 1:
            continue
        for i in range(waiting):
            score = _dot(user, vectors[candidates[i]]) if len(user) > 0 else row[candidates[i]]
            key = _key(score, candidates[i])
            keys[count] = key
            count += int(score > above and key > least)
            if count == len(keys):
                least = _nth_largest(keys, n)
                count = n
                cut = max(cut, _cut(np.float64(_score_and_item(least)[0]), slack))
        waiting = 0
    return count


@compiled("void(uint64[::1], int32[::1], float32[::1])")
def _write(keys: npt.NDArray[np.uint64], items: Ints, best: Floats) -> None:
    """Write the best of ``keys`` in order; short lists are ranked by counting, branch-free."""
    if len(keys) > COUNTED:
        keys[:] = np.sort(keys)[::-1]
        for rank in range(min(len(items), len(keys))):
            best[rank], items[rank] = _score_and_item(keys[rank])
        return
    for key in keys:
        rank = 0
        for rival in keys:
            rank += int(rival > key)
        if rank < len(items):
            best[rank], items[rank] = _score_and_item(key)


@compiled(
    "int64(float32[:, ::1], float32[:, ::1], float32[:, ::1], int64[::1], int32[::1], int32[::1], "
    "float64[::1], boolean, boolean[::1], int32[:, ::1], float32[:, ::1])"
)
def select_rows(  # noqa: PLR0917
    scores: Floats,
    users: Floats,
    vectors: Floats,
    indptr: npt.NDArray[np.int64],
    seen: Ints,
    blocked: Ints,
    limits: Doubles,
    masked: bool,
    waiting: npt.NDArray[np.bool_],
    items: Ints,
    best: Floats,
) -> int:
    """Write the top n of each ``waiting`` row to ``items`` and ``best``; crowded rows keep waiting.

    Row r has seen ``seen[indptr[r]:indptr[r + 1]]``, and is masked in place unless ``masked``.
    ``limits`` is (above, error). With ``users`` (n_rows, d) and ``vectors`` (n_items, d), d > 0,
    ``scores`` approximates their product up to error * |user|; only then a row can be crowded.
    Returns the first row with a score that is not finite, or -1.
    """
    n = items.shape[1]
    maxima = np.empty((scores.shape[1] + GROUP - 1) // GROUP * LANES, dtype=np.float32)
    part = np.empty_like(maxima)
    bins = np.empty(BINS, dtype=np.int64)
    candidates = np.empty(2 * GROUP, dtype=np.int32)
    keys = np.empty(2 * n + GROUP, dtype=np.uint64)
    row_limits = np.empty(3, dtype=np.float64)
    for r in range(len(scores)):
        if not waiting[r]:
            continue
        row = scores[r]
        if not masked:
            if not _all_finite(row.view(np.int32)):
                return r
            for item in blocked:
                row[item] = -np.inf
            for entry in range(indptr[r], indptr[r + 1]):
                row[seen[entry]] = -np.inf
        _chunk_maxima(row, maxima)
        threshold = _threshold(maxima, n, bins, part) if len(maxima) > n else np.float32(-np.inf)
        user = users[r].astype(np.float64)
        slack = _slack(user, limits[1])
        cut = max(np.float64(threshold) - slack, _cut(limits[0], slack), LOWEST)
        row_limits[0], row_limits[1], row_limits[2] = cut, limits[0], slack
        if slack > 0 and _is_crowded(row, maxima, np.float32(cut)):
            continue
        waiting[r] = False
        count = _scan(row, maxima, user, vectors, row_limits, n, candidates, keys)
        _write(keys[:count], items[r], best[r])
    return -1

"""The compiled half of models.topn: mask, find a threshold, scan what is above it (import it late: numba)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., object])
LANES = 16  # neighbouring items belong to different chunks, so that one SIMD register holds one item of each
ROWS = (
    16  # items of a chunk, LANES apart: a run of good items (a sorted catalogue) is spread over many chunks
)
GROUP = LANES * ROWS
NOT_FINITE = 0x7F800000


def _compiled(signature: str) -> Callable[[F], F]:
    """Compile without the GIL, kept on disk where the installation or the home folder is writable."""

    def compile_(function: F) -> F:
        try:
            return cast("F", numba.njit(signature, nogil=True, cache=True)(function))
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            return cast("F", numba.njit(signature, nogil=True)(function))

    return compile_


@_compiled("boolean(int32[::1])")
def _all_finite(bits: npt.NDArray[np.int32]) -> bool:
    """Look at the exponents: an integer maximum is vectorised, a float comparison with NaN is not."""
    largest = np.int32(0)
    for i in range(len(bits)):
        largest = max(largest, bits[i] & np.int32(0x7FFFFFFF))
    return bool(largest < NOT_FINITE)


@_compiled("void(float32[::1], float32[::1])")
def _chunk_maxima(row: npt.NDArray[np.float32], maxima: npt.NDArray[np.float32]) -> None:
    """Write the maximum of chunk (group, lane): the items group * GROUP + lane + LANES * 0..ROWS-1."""
    full = len(row) // GROUP
    for group in range(full):
        best = maxima[group * LANES : group * LANES + LANES]
        first = row[group * GROUP : group * GROUP + GROUP]
        for lane in range(LANES):
            best[lane] = first[lane]
        for r in range(1, ROWS):
            for lane in range(LANES):
                x = first[r * LANES + lane]
                best[lane] = x if x > best[lane] else best[lane]
    maxima[full * LANES :] = -np.inf
    for i in range(full * GROUP, len(row)):
        chunk = full * LANES + i % LANES
        maxima[chunk] = max(maxima[chunk], row[i])


@_compiled("float32(float32[::1], int64)")
def _nth_largest(values: npt.NDArray[np.float32], n: int) -> np.float32:
    """Return the n-th largest (1-based) of ``values``, which it reorders (Hoare's selection)."""
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
    return np.float32(values[n - 1])


@_compiled("void(uint64[::1], int64, int64)")
def _best_first(keys: npt.NDArray[np.uint64], count: int, n: int) -> None:
    """Bring the n largest of the first ``count`` distinct keys to the front, in any order."""
    low, high = 0, count - 1
    while low < high:
        pivot = keys[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while keys[i] > pivot:
                i += 1
            while keys[j] < pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if n - 1 <= j:
            high = j
        elif n - 1 >= i:
            low = i
        else:
            break


@_compiled("uint64(uint32, int64)")
def _key(bits: np.uint32, item: int) -> np.uint64:
    """Return one integer that orders as (score descending, item ascending) when larger is better."""
    sign = np.uint32(0x80000000)
    if bits == sign:  # -0.0 is 0.0
        bits = np.uint32(0)
    ordered = ~bits if bits & sign else bits | sign
    return (np.uint64(ordered) << np.uint64(32)) | np.uint64(0xFFFFFFFF - item)


@_compiled("int64(float32[::1], uint32[::1], float32[::1], float32, float32, int64, uint64[::1])")
def _scan(  # noqa: PLR0917
    row: npt.NDArray[np.float32],
    bits: npt.NDArray[np.uint32],
    maxima: npt.NDArray[np.float32],
    threshold: np.float32,
    above: np.float32,
    n: int,
    keys: npt.NDArray[np.uint64],
) -> int:
    """Collect the keys of the n best items in keys[:n] (any order) and return how many there are."""
    count = 0
    least = np.uint64(0)
    for chunk in range(len(maxima)):
        if maxima[chunk] < threshold or maxima[chunk] <= above:
            continue
        first = chunk // LANES * GROUP + chunk % LANES
        for item in range(first, min(len(row), first + GROUP), LANES):
            if row[item] < threshold or row[item] <= above:
                continue
            key = _key(bits[item], item)
            if key <= least:
                continue
            keys[count] = key
            count += 1
            if count == len(keys):
                _best_first(keys, count, n)
                count = n
                least = keys[:n].min()
                threshold = row[np.int64(np.uint64(0xFFFFFFFF) - (least & np.uint64(0xFFFFFFFF)))]
    if count > n:
        _best_first(keys, count, n)
        count = n
    return count


@_compiled(
    "int64(float32[:, ::1], uint32[:, ::1], int64[::1], int32[::1], int32[::1], float32, "
    "int32[:, ::1], float32[:, ::1])"
)
def select_rows(  # noqa: PLR0917
    scores: npt.NDArray[np.float32],
    bits: npt.NDArray[np.uint32],
    indptr: npt.NDArray[np.int64],
    seen: npt.NDArray[np.int32],
    blocked: npt.NDArray[np.int32],
    above: np.float32,
    items: npt.NDArray[np.int32],
    best: npt.NDArray[np.float32],
) -> int:
    """Write the top n of each row of ``scores`` (which it masks in place) to ``items`` and ``best``.

    ``bits`` is ``scores`` seen as uint32; row r has seen ``seen[indptr[r]:indptr[r + 1]]``. Returns the first
    row with a score that is not finite, or -1.
    """
    n = items.shape[1]
    maxima = np.empty((scores.shape[1] + GROUP - 1) // GROUP * LANES, dtype=np.float32)
    ordered = np.empty_like(maxima)
    keys = np.empty(4 * n + GROUP, dtype=np.uint64)
    for r in range(items.shape[0]):
        row = scores[r]
        if not _all_finite(bits[r].view(np.int32)):
            return r
        for item in blocked:
            row[item] = -np.inf
        for entry in range(indptr[r], indptr[r + 1]):
            row[seen[entry]] = -np.inf
        _chunk_maxima(row, maxima)
        threshold = np.float32(-np.inf)
        if len(maxima) > n:
            ordered[:] = maxima
            threshold = _nth_largest(ordered, n)
        count = _scan(row, bits[r], maxima, threshold, above, n, keys)
        chosen = np.sort(keys[:count])
        for rank in range(count):
            item = np.int64(np.uint64(0xFFFFFFFF) - (chosen[count - 1 - rank] & np.uint64(0xFFFFFFFF)))
            items[r, rank] = item
            best[r, rank] = row[item]
    return -1

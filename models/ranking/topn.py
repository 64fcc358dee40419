"""The exact top-N of scores, which makes the lists of every model.

Items are ranked by descending score, ties by ascending item index (-0.0 equals 0.0). Seen items and
items that are not allowed are masked BEFORE selection. A score that is not finite is an error, even
if masked.

Factors are multiplied in blocks of users, one block per thread, with BLAS limited to one thread.
The last bit of a BLAS product depends on the processor, the block's shape and the position in the
block. The product therefore only selects candidates: every item that is not certainly worse, by the
rounding bound d * 2^-24 * |u| * |v|, is scored again in float64, summed in a fixed order and
rounded once. As a result, lists do not depend on the memory budget, the threads, the other users of
a batch or the machine, and items with equal vectors tie.

If more than a sixteenth of the items are candidates (equal vectors, vectors of rank one, zeros), all
items are scored again, four users at a time, and selected from their exact scores. This takes two
to three times as long as the ordinary case.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError
from models.options import score_bytes, workers
from models.ranking.blas import one_blas_thread

FloatArray = npt.NDArray[np.float32]
CACHE_LINE = 64
GUESS_USERS = 48  # users per product: few enough that their scores stay in the processor's cache


@dataclass(frozen=True, eq=False)
class TopN:
    """Ranked ``items`` int32 (n_users, n), padded with -1; ``scores`` float32, padded with -inf."""

    items: npt.NDArray[np.int32]
    scores: FloatArray

    def __post_init__(self) -> None:
        if self.items.shape != self.scores.shape or self.items.ndim != 2:
            raise ModelError(
                f"expected items and scores of the same shape, got {self.items.shape}, {self.scores.shape}"
            )

    @classmethod
    def empty(cls, n_users: int, n: int) -> TopN:
        """Return padded rows without items."""
        return cls(
            np.full((n_users, n), -1, dtype=np.int32), np.full((n_users, n), -np.inf, dtype=np.float32)
        )

    @classmethod
    def stack(cls, parts: Iterable[TopN], n: int) -> TopN:
        """Concatenate the rows of all parts; ``n`` is the width if there are none."""
        parts = [cls.empty(0, n), *parts]
        return cls(
            np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts])
        )

    def without(self, users: npt.NDArray[np.bool_]) -> TopN:
        """Return the same lists, but only padding for ``users`` bool (n_users,)."""
        if not users.any():
            return self
        rows = users[:, None]
        return TopN(
            np.where(rows, np.int32(-1), self.items), np.where(rows, np.float32(-np.inf), self.scores)
        )


def block_users(n_items: int) -> int:
    """Return the users per block: a power of two, 16 to 512, that fits 64 MiB if possible."""
    fitting = 2**24 // max(n_items, 1)
    return max(16, min(512, 1 << (fitting.bit_length() - 1) if fitting else 16))


def top_n(
    scores: FloatArray,
    n: int,
    *,
    exclude: sparse.csr_array | None = None,
    allowed: npt.NDArray[np.bool_] | None = None,
    above: float | None = None,
    threads: int = 0,
    overwrite: bool = False,
) -> TopN:
    """Return the ``n`` best items of each row of ``scores`` float32 (n_users, n_items).

    ``exclude`` csr (n_users, n_items): stored entries are not eligible; ``allowed`` bool
    (n_items,): False is not eligible; ``above``: only scores strictly above it are eligible.
    ``threads`` 0 means the number of `workers`. ``overwrite`` lets masking modify ``scores``.
    """
    if not isinstance(scores, np.ndarray) or scores.ndim != 2 or scores.dtype != np.float32:
        raise ModelError(f"expected scores as a float32 matrix, got {getattr(scores, 'dtype', type(scores))}")
    scores = np.require(scores if overwrite else scores.copy(), requirements=["C", "W"])
    task = _Selection.checked(scores.shape, n, exclude, allowed, above)
    step = max(1, -(-len(scores) // workers(threads)))
    starts = range(0, len(scores), step)
    with ThreadPoolExecutor(max(1, len(starts))) as pool:
        list(pool.map(lambda start: task.run(scores[start : start + step], start), starts))
    return task.top


def top_n_factors(
    user_vectors: FloatArray,
    item_vectors: FloatArray,
    n: int,
    *,
    exclude: sparse.csr_array | None = None,
    allowed: npt.NDArray[np.bool_] | None = None,
    above: float | None = None,
    block_bytes: int = 0,
    threads: int = 0,
) -> TopN:
    """Return the top N of ``user_vectors @ item_vectors.T`` without holding the whole product.

    ``user_vectors`` float32 (n_users, d), ``item_vectors`` float32 (n_items, d). At most
    ``block_bytes`` of scores are in memory, but those of one user at least; 0 means `score_bytes`.
    The rest is as in ``top_n``.
    """
    block_bytes = score_bytes(block_bytes)
    user_vectors, item_vectors = _checked_vectors(user_vectors, item_vectors)
    n_users, n_items = len(user_vectors), len(item_vectors)
    task = _Selection.checked((n_users, n_items), n, exclude, allowed, above)
    longest = float(np.sqrt(np.square(item_vectors, dtype=np.float64).sum(axis=1).max(initial=0)))
    error = (user_vectors.shape[1] + 2) * 2.0**-24 * longest
    rows = max(1, min(GUESS_USERS, block_bytes // (4 * n_items)))
    starts = range(0, n_users, rows)
    count = max(1, min(workers(threads), block_bytes // (4 * rows * n_items), len(starts)))
    buffers: SimpleQueue[FloatArray] = SimpleQueue()
    for _ in range(count):
        buffers.put(np.empty((rows, n_items), np.float32))

    def multiply_and_select(start: int) -> None:
        buffer = buffers.get()
        part = user_vectors[start : start + rows]
        with np.errstate(over="ignore", invalid="ignore"):  # the kernel reports such rows
            block = np.matmul(part, item_vectors.T, out=buffer[: len(part)])
        task.run(block, start, part, item_vectors, error)
        buffers.put(buffer)

    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        list(pool.map(multiply_and_select, starts))
    return task.top


@dataclass(frozen=True, eq=False)
class _Selection:
    """The parameters shared by the blocks of a call, and the lists they fill."""

    top: TopN
    indptr: npt.NDArray[np.int64]
    seen: npt.NDArray[np.int32]
    blocked: npt.NDArray[np.int32]
    above: float

    @classmethod
    def checked(
        cls,
        shape: tuple[int, ...],
        n: int,
        exclude: sparse.csr_array | None,
        allowed: npt.NDArray[np.bool_] | None,
        above: float | None,
    ) -> _Selection:
        if n < 1:
            raise ModelError(f"expected n >= 1, got {n}")
        indptr, seen = np.zeros(shape[0] + 1, dtype=np.int64), np.zeros(0, dtype=np.int32)
        if exclude is not None:
            if exclude.format != "csr" or exclude.shape != shape:
                raise ModelError(
                    f"expected exclude as csr of shape {shape}, got {exclude.format} {exclude.shape}"
                )
            indptr = np.require(exclude.indptr, np.int64, ["C", "W"])
            seen = np.require(exclude.indices, np.int32, ["C", "W"])
            if len(seen) and (seen.min() < 0 or seen.max() >= shape[1]):
                raise ModelError(f"expected excluded items below {shape[1]}, got {seen.min()}..{seen.max()}")
        if allowed is None:
            allowed = np.ones(shape[1], dtype=np.bool_)
        if allowed.dtype != np.bool_ or allowed.shape != shape[1:]:
            raise ModelError(f"expected allowed as bool ({shape[1]},), got {allowed.dtype} {allowed.shape}")
        blocked = np.flatnonzero(~allowed).astype(np.int32)
        return cls(TopN.empty(shape[0], n), indptr, seen, blocked, -np.inf if above is None else above)

    def run(
        self,
        scores: FloatArray,
        start: int,
        users: FloatArray | None = None,
        vectors: FloatArray | None = None,
        error: float = 0.0,
    ) -> None:
        """Fill the lists of users from ``start`` on, one per row of ``scores``; overwrites them."""
        from models.ranking.topn_kernel import select_rows

        waiting = np.ones(len(scores), np.bool_)
        none = np.empty((len(scores), 0), np.float32)

        def select(part: FloatArray, items: FloatArray, error: float, masked: bool) -> None:
            stop = start + len(scores)
            row = select_rows(
                scores,
                part,
                items,
                self.indptr[start : stop + 1],
                self.seen,
                self.blocked,
                np.array([self.above, error]),
                masked,
                waiting,
                self.top.items[start:stop],
                self.top.scores[start:stop],
            )
            if row >= 0:
                raise ModelError(f"expected finite scores, got others for the user in row {start + row}")

        if users is None or vectors is None:
            select(none, none[:0], 0.0, masked=False)
            return
        select(users, vectors, error, masked=False)
        if waiting.any():
            _rescore(scores, np.flatnonzero(waiting), users, vectors)
            select(none, none[:0], 0.0, masked=True)


def _rescore(scores: FloatArray, rows: npt.NDArray[np.int64], users: FloatArray, vectors: FloatArray) -> None:
    """Replace ``scores[rows]`` by exact ones, unless they are masked."""
    from models.ranking.rescoring_kernel import USERS, rescore_rows

    padded = np.pad(rows, (0, -len(rows) % USERS), mode="edge")
    shape = len(padded), users.shape[1]
    # a load of 64 bytes takes twice as long across a cache line, and NumPy aligns to 16 bytes
    buffer = np.empty(8 * shape[0] * shape[1] + CACHE_LINE, np.uint8)
    aligned = buffer[-buffer.ctypes.data % CACHE_LINE :][: 8 * shape[0] * shape[1]]
    part = aligned.view(np.float64).reshape(shape)
    part[:] = users[padded]
    rescore_rows(scores, padded, part, vectors)


def _checked_vectors(user_vectors: FloatArray, item_vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    for name, vectors in (("user_vectors", user_vectors), ("item_vectors", item_vectors)):
        if vectors.dtype != np.float32 or vectors.ndim != 2:
            raise ModelError(f"expected {name} as a float32 matrix, got {vectors.dtype} {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"expected finite {name}, got others in row {np.argwhere(~np.isfinite(vectors))[0, 0]}"
            )
    if user_vectors.shape[1] != item_vectors.shape[1]:
        raise ModelError(
            f"expected vectors of the same width, got {user_vectors.shape}, {item_vectors.shape}"
        )
    return np.require(user_vectors, requirements=["C", "W"]), np.require(
        item_vectors, requirements=["C", "W"]
    )

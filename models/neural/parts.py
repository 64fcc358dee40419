"""Work on large layers in parts, several at a time, each on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

MOST = 32  # parts, so that what is summed over them is small
LEAST_ROWS = 512  # of a part: with fewer, what every part takes counts
Result = TypeVar("Result")


@dataclass(frozen=True)
class Parts:
    """Threads that share the parts of a layer, each part on one of them.

    A layer's parts depend on its size alone, and their results are combined in their order: the
    bytes are the same on any number of threads. And a thread that waits for the processor does not
    make the others wait, as a thread of a matrix product does.
    """

    pool: ThreadPoolExecutor | None = None

    @classmethod
    @contextmanager
    def on(cls, threads: int, device: torch.device) -> Iterator[Parts]:
        """Yield parts that use so many threads; none of their own on a GPU."""
        if threads < 2 or device.type != "cpu":
            yield cls()
            return
        with ThreadPoolExecutor(threads, "layers") as pool:
            yield cls(pool)

    def map(self, work: Callable[[slice], Result], rows: int, least: int = 0) -> list[Result]:
        """Return the results of ``work`` on the parts of so many rows, in order.

        A part has at least ``least`` rows, as long as there are that many; 0 means 512.
        """
        count = max(1, min(MOST, rows // (least or LEAST_ROWS)))
        parts = [slice(rows * part // count, rows * (part + 1) // count) for part in range(count)]
        if self.pool is None or count == 1:
            return [work(part) for part in parts]
        return list(self.pool.map(work, parts))

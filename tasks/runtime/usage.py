"""Seconds and peak memory that a block of work uses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

SAMPLE_SECONDS = 0.1
SEARCH_SECONDS = 1.0
SEARCH_SHARE = 0.01
"""Of the time, at most, that searches for children take: each reads all processes of the machine."""


class Measured:
    """Seconds and peak memory (bytes) of a block of work, set when it ends."""

    seconds: float = 0.0
    peak_memory: int = 0


@contextmanager
def measured() -> Iterator[Measured]:
    """Measure the seconds and the peak resident memory of this process and its children.

    Memory is sampled ten times a second; a child counts from the search that finds it, of which
    there is one a second, or fewer where the machine has so many processes that they take long.
    """
    result, stop, process = Measured(), threading.Event(), psutil.Process()

    def sample() -> None:
        due, members = 0.0, list[psutil.Process]()
        while True:
            if (begun := time.monotonic()) >= due:
                members = family(process)
                due = begun + max(SEARCH_SECONDS, (time.monotonic() - begun) / SEARCH_SHARE)
            result.peak_memory = max(result.peak_memory, resident(members))
            if stop.wait(SAMPLE_SECONDS):
                return

    sampler = threading.Thread(target=sample, name="memory-sampler", daemon=True)
    started = time.perf_counter()
    sampler.start()
    try:
        yield result
    finally:
        result.seconds = round(time.perf_counter() - started, 3)
        stop.set()
        sampler.join()


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its children, theirs included."""
    return [process, *process.children(recursive=True)]


def resident(processes: Sequence[psutil.Process]) -> int:
    """Return the resident bytes of processes."""
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:  # it just ended and holds no memory
            continue
    return total

"""What a block of work used: seconds and peak memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SAMPLE_SECONDS = 0.1


class Measured:
    """Seconds and peak memory (bytes) of a piece of work, known once it is done."""

    seconds: float = 0.0
    peak_memory: int = 0


@contextmanager
def measured() -> Iterator[Measured]:
    """Measure the seconds and the peak resident memory of this process and its children."""
    result, stop = Measured(), threading.Event()
    process = psutil.Process()

    def sample() -> None:
        while True:
            result.peak_memory = max(result.peak_memory, resident(process))
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


def resident(process: psutil.Process) -> int:
    """Return the resident bytes of a process and its children."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:  # a child that ended meanwhile holds nothing
            continue
    return total

"""Where and how to train a model, its share of the machine, and its progress reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

Device = Literal["auto", "cpu", "cuda"]
BLOCK_BYTES: Final = 512 * 2**20
"""Bytes of scores in memory at a time, by default."""
_LIMITS: Final[ContextVar[tuple[int, int]]] = ContextVar("threads and bytes of scores", default=(0, 0))


@dataclass(frozen=True)
class Progress:
    """Progress of a training: the last finished epoch (from 1) of ``epochs``, and its figures."""

    model: str
    epoch: int
    epochs: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingOptions:
    """Where and how to train, but not what: the same for every model of a run.

    ``threads`` 0 means the number that the function `workers` returns. ``checkpoints`` is a folder
    for the state of a long training, to resume from. ``progress`` is called after every epoch.

    Examples
    --------
    >>> import nightshelf as ns
    >>> ns.TrainingOptions(seed=1, threads=2).workers
    2
    """

    device: Device = "auto"
    seed: int = 42
    threads: int = 0
    checkpoints: Path | None = None
    progress: Callable[[Progress], None] | None = None

    @property
    def workers(self) -> int:
        """Number of threads to start, at least 1."""
        return workers(self.threads)

    def report(self, model: str, epoch: int, epochs: int, **metrics: float) -> None:
        """Call ``progress`` if set."""
        if self.progress is not None:
            self.progress(Progress(model, epoch, epochs, metrics))


@contextmanager
def limited(threads: int = 0, block_bytes: int = 0) -> Iterator[None]:
    """Limit all calls in this context that do not set their own limits; 0 keeps the current limit.

    ``threads`` limits `workers`, ``block_bytes`` limits `score_bytes`.
    """
    before = _LIMITS.get()
    token = _LIMITS.set((threads or before[0], block_bytes or before[1]))
    try:
        yield
    finally:
        _LIMITS.reset(token)


def workers(threads: int = 0) -> int:
    """Return the number of threads to start: ``threads``; if 0, the limit set, or all cores.

    Only cores available to this process count.
    """
    return threads if threads > 0 else _LIMITS.get()[0] or len(os.sched_getaffinity(0))


def score_bytes(block_bytes: int = 0) -> int:
    """Return the bytes of scores to hold at a time: ``block_bytes``; if 0, the limit set."""
    return block_bytes or _LIMITS.get()[1] or BLOCK_BYTES

"""Where and how a model is trained, how much of the machine it may use, and what it tells while it is."""

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
"""Bytes of scores that are held at a time where nobody says otherwise."""
_LIMITS: Final[ContextVar[tuple[int, int]]] = ContextVar("threads and bytes of scores", default=(0, 0))


@dataclass(frozen=True)
class Progress:
    """One step of a training: the epoch just finished (from 1) of ``epochs``, and figures (loss)."""

    model: str
    epoch: int
    epochs: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingOptions:
    """Where and how to train, never what: the same for every model of a run.

    ``threads`` 0 means as many as the function `workers` says; ``checkpoints`` is a folder in which a model
    keeps the state of a long training to resume from; ``progress`` is called after every epoch.

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
        """Call ``progress`` when there is one."""
        if self.progress is not None:
            self.progress(Progress(model, epoch, epochs, metrics))


@contextmanager
def limited(threads: int = 0, block_bytes: int = 0) -> Iterator[None]:
    """Limit what is called in this context and asks for no number itself; 0 leaves the limit that holds.

    ``threads`` is for `workers`, ``block_bytes`` for `score_bytes`.
    """
    before = _LIMITS.get()
    token = _LIMITS.set((threads or before[0], block_bytes or before[1]))
    try:
        yield
    finally:
        _LIMITS.reset(token)


def workers(threads: int = 0) -> int:
    """Return the number of threads to start: ``threads``, or for 0 as many as `limited` says, or every core.

    The cores are those that this process may use.
    """
    return threads if threads > 0 else _LIMITS.get()[0] or len(os.sched_getaffinity(0))


def score_bytes(block_bytes: int = 0) -> int:
    """Return the bytes of scores to hold at a time: ``block_bytes``, or for 0 what `limited` says."""
    return block_bytes or _LIMITS.get()[1] or BLOCK_BYTES

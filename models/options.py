"""Where and how a model is trained, and what it tells while it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Device = Literal["auto", "cpu", "cuda"]


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

    ``threads`` 0 means every core this process may use; ``checkpoints`` is a folder in which a model keeps
    the state of a long training to resume from; ``progress`` is called after every epoch.
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


def workers(threads: int) -> int:
    """Return the number of threads to start: ``threads``, or every core this process may use for 0."""
    return threads if threads > 0 else len(os.sched_getaffinity(0))

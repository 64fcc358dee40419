"""Where and how to train a model, its share of the machine, and its progress reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, Final, Literal, get_args

from models.errors import ModelError

Device = Literal["auto", "cpu", "cuda"]
SEEDS: Final = 2**32
BLOCK_BYTES: Final = 512 * 2**20
"""Bytes of scores in memory at a time, by default."""
_LIMITS: Final[ContextVar[tuple[int, int]]] = ContextVar("threads and bytes of scores", default=(0, 0))

FLOPS = 6.5e10  # of dense products in float32, a second, on two cores


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

    Raises
    ------
    ModelError
        When the device is unknown, ``seed`` is not a whole number from 0 to 2**32 - 1, ``threads``
        is not a whole number of at least 0, ``checkpoints`` is not a path, or ``progress`` is not
        callable.

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

    def __post_init__(self) -> None:
        if self.device not in get_args(Device):
            raise ModelError(f"expected a device of {', '.join(get_args(Device))}, got {self.device!r:.100}")
        if not _is_whole(self.seed) or not 0 <= self.seed < SEEDS:
            raise ModelError(f"expected a seed from 0 to {SEEDS - 1}, got {self.seed!r:.100}")
        if self.checkpoints is not None and not isinstance(self.checkpoints, str | Path):
            raise ModelError(f"expected checkpoints as a folder, got {self.checkpoints!r:.100}")
        if self.progress is not None and not callable(self.progress):
            raise ModelError(f"expected progress as a function, got {self.progress!r:.100}")
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "threads", checked_threads(self.threads))
        if isinstance(self.checkpoints, str):
            object.__setattr__(self, "checkpoints", Path(self.checkpoints))

    @property
    def workers(self) -> int:
        """Number of threads to start, at least 1."""
        return workers(self.threads)

    def report(self, model: str, epoch: int, epochs: int, **metrics: float) -> None:
        """Call ``progress`` if set."""
        if self.progress is not None:
            self.progress(Progress(model, epoch, epochs, metrics))


def checked_options(options: Any) -> TrainingOptions:
    """Return the options, or the defaults for None; ModelError for anything else."""
    if options is None:
        return TrainingOptions()
    if not isinstance(options, TrainingOptions):
        raise ModelError(
            f"expected options as TrainingOptions(seed=1, ...), got a {type(options).__name__}: "
            f"{options!r:.100}"
        )
    return options


def checked_threads(threads: Any) -> int:
    """Return a number of threads; ModelError if it is not a whole number of 0 or more."""
    if not _is_whole(threads) or threads < 0:
        raise ModelError(f"expected threads as a whole number of 0 or more, got {threads!r:.100}")
    return int(threads)


@contextmanager
def resource_limits(threads: int = 0, block_bytes: int = 0) -> Iterator[None]:
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


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


@dataclass(frozen=True)
class Size:
    """The size of a training set: users, items, and pairs with a weight.

    ``products`` is the sum over users of their squared number of pairs. If 0, it is taken as four
    times that of even histories.
    """

    users: int
    items: int
    pairs: int
    products: float = 0.0

    def __post_init__(self) -> None:
        if not self.products:
            object.__setattr__(self, "products", 4.0 * self.pairs**2 / max(self.users, 1))


@dataclass(frozen=True)
class Cost:
    """The seconds of one training, and the bytes that it needs at once.

    ``kept`` are the bytes of the trained model, where they matter beside ``memory``; ``refusal``
    says why a model is not made for data of this size.
    """

    seconds: float
    memory: float
    kept: float = 0.0
    refusal: str = ""

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of both, one after the other."""
        return Cost(
            self.seconds + other.seconds,
            max(self.memory, other.memory),
            self.kept + other.kept,
            self.refusal or other.refusal,
        )

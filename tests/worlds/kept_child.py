"""One training child for the nights of a file of tests, as for the dates of a backfill."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.training.train import Trainer, one_child

CHANGING = "PYTEST_CURRENT_TEST"
"""The variable with the name of the running test, which no training reads."""


def surroundings() -> tuple[Any, ...]:
    """Return what a child that starts now has from this process."""
    variables = {name: value for name, value in os.environ.items() if name != CHANGING}
    return variables, [*sys.path], Path.cwd()


@dataclass
class Lent:
    """A trainer, what its child has from this process, and the stack that ends it."""

    begun: tuple[Any, ...] = field(default_factory=surroundings)
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.trainer: Trainer = self.stack.enter_context(one_child())


class KeptChild:
    """Lends the trainer of one night to the next that begins in the same surroundings.

    Nights at the same time have trainers, and so children, of their own.
    """

    def __init__(self) -> None:
        self._idle: list[Lent] = []
        self._lock = threading.Lock()

    @contextmanager
    def one_child(self) -> Iterator[Trainer]:
        """Yield a trainer, in place of `tasks.training.train.one_child`."""
        now = surroundings()
        with self._lock:
            idle = self._idle.pop() if self._idle else None
        if idle and idle.begun != now:
            idle.stack.close()
            idle = None
        lent = idle or Lent(now)
        try:
            yield lent.trainer
        finally:
            with self._lock:
                surplus, self._idle = self._idle, [lent]
            for other in surplus:
                other.stack.close()

    def close(self) -> None:
        """End the idle child."""
        while self._idle:
            self._idle.pop().stack.close()

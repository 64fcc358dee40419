"""How often Python searches for objects that only refer to each other."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (100_000, 50, 100)
"""Of new objects before the young are searched, and of such searches before older ones are."""


def collect_rarely() -> None:
    """Search rarely, as suits a process that soon ends.

    Importing the libraries of a night makes a million objects that stay. By default, they are
    searched again and again, an eighth of the processor time of a small night. Objects without
    cycles, arrays and tables among them, are freed at once in any case.
    """
    gc.set_threshold(*THRESHOLDS)

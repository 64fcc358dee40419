"""The settings of a model worth tuning, as plain data for any search library.

A model declares its ``space`` beside its configuration: names of fields and their possible values.
Other fields keep their configured values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import ModelError

Value = int | float | str | bool


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; integers if both are ints.

    ``log``: uniform in the logarithm, so 1 to 10 is as likely as 10 to 100.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ModelError(
                f"expected low < high, and low > 0 for a logarithmic range, got {self.low} and {self.high}"
            )

    @property
    def whole(self) -> bool:
        """Whether the range holds only integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < 2 or len(set(self.values)) < len(self.values):
            raise ModelError(f"expected at least two distinct values to choose from, got {self.values}")


Space = Mapping[str, Range | Choice]

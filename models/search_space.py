"""What of a model's configuration is worth searching: plain data, for whatever searches.

A model declares its ``space`` beside its configuration: the name of a field and what it may be. Fields that
are not in it keep the value that they are configured with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import ModelError

Value = int | float | str | bool


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones if ``low`` is an int.

    ``log``: as many between 1 and 10 as between 10 and 100.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ModelError(
                f"expected low < high, and low > 0 of a logarithmic range, got {self.low} and {self.high}"
            )

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < 2 or len(set(self.values)) < len(self.values):
            raise ModelError(f"expected different values to choose from, got {self.values}")


Space = Mapping[str, Range | Choice]

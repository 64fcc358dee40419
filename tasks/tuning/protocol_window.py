"""A published protocol's validation part, as one window of a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.evaluation.names import ProtocolName
from tasks.evaluation.protocols import protocol_of
from tasks.runtime.errors import InputError

if TYPE_CHECKING:
    from models.evaluation.measured import Measured
    from models.evaluation.protocols import Factory, Part
    from tasks.tuning.search import Values, Window

    Protocol = Callable[[Factory, int, Part], Measured]
    """What a model is worth: its factory, the seed, the part of the data that is asked for."""


def validation_window(name: ProtocolName, data: Path, metric: str, k: int) -> Window:
    """Return what measures settings on the validation part of a protocol, by seed 1; never on its test."""
    from models.options import Progress, TrainingOptions

    listening: list[Callable[[Progress], None]] = []

    def told(step: Progress) -> None:
        listening[-1](step)

    protocol = protocol_of(name, data, [k], TrainingOptions(progress=told))

    def window(factory: Factory, progress: Callable[[Progress], None]) -> Values:
        listening[:] = [progress]
        values = protocol(factory, 1, "validation").values
        if (metric, k) not in values:
            raise InputError(
                f"--metric: expected one of {', '.join(one for one, _ in values)}, got {metric!r}"
            )
        return values[metric, k]

    return window

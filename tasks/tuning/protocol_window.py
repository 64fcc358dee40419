"""The validation part of a published protocol, as a window of a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.evaluation.names import ERROR_NAMES, ProtocolName
from tasks.evaluation.protocols import OF_RATINGS, protocol_of
from tasks.runtime.errors import InputError
from tasks.runtime.resources import Resources

if TYPE_CHECKING:
    from models.evaluation.measured import Measured
    from models.evaluation.protocols import Factory, Part
    from tasks.tuning.search import Values, Window

    Protocol = Callable[[Factory, int, Part], Measured]
    """Measures a model, by its factory, a seed, and the part of the data."""


def validation_window(name: ProtocolName, data: Path, metric: str, k: int, resources: Resources) -> Window:
    """Return the function that measures settings on a protocol's validation part, with seed 1.

    Errors are negated, as the search maximises; they have no length of lists. RMSE is searched by
    its square, which has a value for each user.
    """
    from models.options import Progress, TrainingOptions

    listeners: list[Callable[[Progress], None]] = []

    def forward(step: Progress) -> None:
        listeners[-1](step)

    protocol = protocol_of(name, data, [k], TrainingOptions(threads=resources.threads, progress=forward))

    def window(factory: Factory, progress: Callable[[Progress], None]) -> Values:
        listeners[:] = [progress]
        values = protocol(factory, 1, "validation").values
        if name in OF_RATINGS:
            error = {"rmse": "mse"}.get(metric, metric)
            if (error, 0) not in values:
                raise InputError(f"--metric: expected one of {', '.join(ERROR_NAMES)}, got {metric!r}")
            return -values[error, 0]
        if (metric, k) not in values:
            raise InputError(
                f"--metric: expected one of {', '.join(known for known, _ in values)}, got {metric!r}"
            )
        return values[metric, k]

    return window

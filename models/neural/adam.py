"""Adam on torch's fused kernel, without torch.optim.Adam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from models.neural.parts import Parts
from models.neural.row_adam import RowAdam, fused_update

Moments = dict[str, torch.Tensor]


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1), with an L2 penalty added to the gradient.

    It calls what ``torch.optim.Adam(fused=True)`` calls, so the weights are the same, bit for bit.
    But that class imports torch's compiler with its first step, which takes longer than the import
    of torch itself.

    ``by_row``: the numbers of parameters that are updated row by row (`RowAdam`), by those who
    compute their gradients: in ``rows``, by number. ``parts`` shares the work of ``flush``.

    In each update, ``begin``, compute the gradients, ``step``.
    """

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        weight_decay: float,
        by_row: Sequence[int] = (),
        parts: Parts | None = None,
    ) -> None:
        self.parts = parts or Parts()
        self.parameters, self.weight_decay, self.learning_rate = parameters, weight_decay, 0.0
        self.rows = {number: RowAdam(parameters[number], weight_decay) for number in by_row}
        self.whole: dict[int, Moments] = {}
        """Of the other parameters, by number: ``step``, ``exp_avg`` and ``exp_avg_sq``."""

    def begin(self, learning_rate: float) -> None:
        """Begin an update: forget the gradients."""
        self.learning_rate = learning_rate
        for parameter in self.parameters:
            parameter.grad = None
        for rows in self.rows.values():
            rows.learning_rate = learning_rate

    def step(self) -> None:
        """Update the parameters that have a gradient, and end the update of those by row."""
        numbers = [number for number, part in enumerate(self.parameters) if part.grad is not None]
        for number in numbers:
            if number not in self.whole:
                self.whole[number] = self._initial(self.parameters[number])
        used = [self.parameters[number] for number in numbers]
        names = ("exp_avg", "exp_avg_sq", "step")
        means, squares, steps = ([self.whole[number][name] for number in numbers] for name in names)
        with torch.no_grad():
            gradients = [part.grad for part in used if part.grad is not None]
            fused_update(used, gradients, means, squares, steps, self.learning_rate, self.weight_decay)
        for rows in self.rows.values():
            rows.complete()

    def flush(self) -> None:
        """Let all rows be as after the last update."""
        for rows in self.rows.values():
            rows.flush(self.parts)

    def moments(self) -> dict[int, Moments]:
        """Return the moments of all updated parameters by number, after ``flush``."""
        return self.whole | {number: rows.moments() for number, rows in self.rows.items() if rows.completed}

    def restore(self, moments: Mapping[int, Mapping[str, torch.Tensor]]) -> None:
        """Continue from the moments of a checkpoint, which match the parameters."""
        for number, kept in moments.items():
            here = {name: moment.to(self.parameters[number].device) for name, moment in kept.items()}
            if number in self.rows:
                self.rows[number].restore(round(float(here["step"])), here["exp_avg"], here["exp_avg_sq"])
            else:
                self.whole[number] = here

    @staticmethod
    def _initial(parameter: torch.Tensor) -> Moments:
        mean, square = torch.zeros_like(parameter), torch.zeros_like(parameter)
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        return {"step": step, "exp_avg": mean, "exp_avg_sq": square}

"""Adam on torch's fused kernel, without torch.optim.Adam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.optim.adam import adam

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1), with an L2 penalty added to the gradient.

    It calls what ``torch.optim.Adam(fused=True)`` calls, so the weights are the same, bit for bit.
    But that class imports torch's compiler with its first step, which takes longer than the import
    of torch itself.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], weight_decay: float) -> None:
        self.parameters, self.weight_decay = parameters, weight_decay
        self.moments: dict[int, dict[str, torch.Tensor]] = {}
        """By the number of the parameter: ``step``, ``exp_avg`` and ``exp_avg_sq``."""

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, learning_rate: float) -> None:
        """Update the parameters that have a gradient."""
        numbers = [number for number, part in enumerate(self.parameters) if part.grad is not None]
        for number in numbers:
            if number not in self.moments:
                self.moments[number] = self._initial(self.parameters[number])
        used = [self.parameters[number] for number in numbers]
        names = ("exp_avg", "exp_avg_sq", "step")
        means, squares, steps = ([self.moments[number][name] for number in numbers] for name in names)
        with torch.no_grad():
            adam(
                used,
                [part.grad for part in used if part.grad is not None],
                means,
                squares,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=BETA1,
                beta2=BETA2,
                lr=learning_rate,
                weight_decay=self.weight_decay,
                eps=EPSILON,
                maximize=False,
            )

    def restore(self, moments: Mapping[int, Mapping[str, torch.Tensor]]) -> None:
        """Continue from the moments of a checkpoint, which match the parameters."""
        self.moments = {
            number: {name: moment.to(self.parameters[number].device) for name, moment in kept.items()}
            for number, kept in moments.items()
        }

    @staticmethod
    def _initial(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
        mean, square = torch.zeros_like(parameter), torch.zeros_like(parameter)
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        return {"step": step, "exp_avg": mean, "exp_avg_sq": square}

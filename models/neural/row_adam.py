"""Adam on the rows of a large parameter, at the cost of the rows that have a gradient."""

from __future__ import annotations

import torch
from torch.nn import functional
from torch.optim.adam import adam

from models.neural.parts import Parts

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
DECAY = BETA1 / BETA2**0.5  # of the step of a row without a gradient, from one update to the next
LONGEST = 256  # updates after which such a step is left out: it is 2e-12 of the first
CHUNK = 256  # rows to work on at a time: of 600 float32, they fit the cache of a core


def fused_update(  # noqa: PLR0917
    weights: list[torch.Tensor],
    gradients: list[torch.Tensor],
    means: list[torch.Tensor],
    squares: list[torch.Tensor],
    steps: list[torch.Tensor],
    learning_rate: float,
    weight_decay: float,
) -> None:
    """Update weights and moments in place, as torch.optim.Adam(fused=True) does; ``steps`` grow by 1."""
    adam(
        weights,
        gradients,
        means,
        squares,
        [],
        steps,
        fused=True,
        amsgrad=False,
        beta1=BETA1,
        beta2=BETA2,
        lr=learning_rate,
        weight_decay=weight_decay,
        eps=EPSILON,
        maximize=False,
    )


class RowAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) of a parameter (n_rows, ...), row by row.

    In the algorithm, a row without a gradient moves on. With the moments m and v of its last
    gradient, at the update a, the update s moves it by r_s m / sqrt(v) (b1 / sqrt(b2))^(s - a),
    where r_s is the learning rate times sqrt(1 - b2^s) / (1 - b1^s). The sum of these moves is only
    needed when the row is used again, and it is m / sqrt(v) times a factor that depends on a and s
    alone: ``prepare`` makes up for them. The result is that of the algorithm, but for rounding, and
    for epsilon, which shrinks with sqrt(v) in missed updates.

    In each update, ``prepare`` rows before they are used, then ``update`` them, at last
    ``complete`` it. With an L2 penalty (``weight_decay``) every row has a gradient; ``complete``
    updates those that have no other.
    """

    def __init__(self, parameter: torch.Tensor, weight_decay: float) -> None:
        self.weight, self.weight_decay = parameter.detach(), weight_decay
        self.mean, self.square = torch.zeros_like(self.weight), torch.zeros_like(self.weight)
        self.completed, self.learning_rate = 0, 0.0
        self.last = torch.zeros(len(parameter), dtype=torch.int64, device=parameter.device)
        """The number of updates after which a row is as it is now."""
        self.powers = DECAY ** torch.arange(LONGEST, 0.0, -1, device=parameter.device, dtype=torch.float64)
        self.flushed = 0
        self.moves = torch.zeros(1, dtype=torch.float64, device=parameter.device)
        """By the number of updates after which a row is as it is now, less ``flushed``: the sum of
        the moves since then, in units of m / sqrt(v)."""

    def prepare(self, rows: torch.Tensor) -> None:
        """Make up for the completed updates that distinct ``rows`` int64 (n,) missed."""
        shape = (-1, *[1] * (self.weight.ndim - 1))
        for part in torch.split(rows[self.last[rows] < self.completed], CHUNK):
            last, mean, square = self.last[part], *self._moments(part)
            moves = self.moves[last - self.flushed].to(mean.dtype).view(shape)
            self.weight.index_add_(0, part, mean.div(square.sqrt().add_(EPSILON)).mul_(moves), alpha=-1)
            missed = self.completed - last
            self.mean.index_copy_(0, part, mean.mul_((BETA1**missed).view(shape)))
            self.square.index_copy_(0, part, square.mul_((BETA2**missed).view(shape)))
            self.last[part] = self.completed

    def update(self, rows: slice | torch.Tensor, gradient: torch.Tensor) -> None:
        """Update prepared, distinct ``rows``, given their ``gradient`` (n, ...)."""
        if isinstance(rows, slice):  # views
            weight, mean, square = self.weight[rows], self.mean[rows], self.square[rows]
        else:
            weight, mean, square = self.weight.index_select(0, rows), *self._moments(rows)
        step = torch.tensor(float(self.completed), device=weight.device)
        fused_update([weight], [gradient], [mean], [square], [step], self.learning_rate, self.weight_decay)
        if isinstance(rows, torch.Tensor):
            self.weight.index_copy_(0, rows, weight)
            self.mean.index_copy_(0, rows, mean)
            self.square.index_copy_(0, rows, square)
        self.last[rows] = self.completed + 1

    def _moments(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return copies of the moments of ``rows``: index_select is twice as fast as indexing."""
        return self.mean.index_select(0, rows), self.square.index_select(0, rows)

    def complete(self) -> None:
        """End an update."""
        if self.weight_decay:
            for rows in torch.split((self.last <= self.completed).nonzero()[:, 0], CHUNK):
                self.update(rows, torch.zeros_like(self.weight[rows]))
        self.completed += 1
        rate = self.learning_rate * (1 - BETA2**self.completed) ** 0.5 / (1 - BETA1**self.completed)
        self.moves[-LONGEST:] += rate * self.powers[-len(self.moves) :]
        self.moves = functional.pad(self.moves, (0, 1))

    def flush(self, parts: Parts) -> None:
        """Make up for all updates that rows missed."""
        late = (self.last < self.completed).nonzero()[:, 0]
        parts.map(lambda part: self.prepare(late[part]), len(late))
        self.flushed, self.moves = self.completed, torch.zeros_like(self.moves[:1])

    def moments(self) -> dict[str, torch.Tensor]:
        """Return ``step``, ``exp_avg`` and ``exp_avg_sq`` after ``flush``, for a checkpoint."""
        step = torch.tensor(float(self.completed))
        return {"step": step, "exp_avg": self.mean, "exp_avg_sq": self.square}

    def restore(self, completed: int, mean: torch.Tensor, square: torch.Tensor) -> None:
        """Continue after ``completed`` updates, with the moments of all rows."""
        self.completed, self.mean, self.square = completed, mean, square
        self.last.fill_(completed)
        self.flushed, self.moves = completed, torch.zeros_like(self.moves[:1])

"""Terms of the loss, as pure functions of a batch.

Equation numbers refer to Liang et al., "Variational Autoencoders for Collaborative Filtering" (WWW
2018).
"""

from __future__ import annotations

import torch


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Return KL(N(mean, variance) || N(0, 1)), summed over the code and averaged over the rows."""
    return 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(dim=1).mean()


def annealed_beta(beta: float, update: int, updates: float) -> float:
    """Return the KL weight at ``update`` (from 0): it rises linearly to ``beta`` in ``updates``."""
    return beta if update >= updates else beta * update / updates

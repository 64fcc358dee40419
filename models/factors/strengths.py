"""How strong the unobserved pairs and the penalties of ALS are, derived from its data."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError
from models.factors.least_squares import Doubles, Rows

POWER_STEPS = 100
POWER_TOLERANCE = 1e-4


class Strengths(NamedTuple):
    """The confidence of each unobserved pair, and the penalty per total confidence of a row."""

    unobserved: float
    regularization: float

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> Self:
        """Return the strengths in float64 (2,); ModelError if they are not two numbers above 0."""
        if array.shape != (2,) or array.dtype != np.float64 or not (array > 0).all():
            raise ModelError(f"expected strengths float64 (2,) above 0, got {array!r:.100}")
        return cls(*array.tolist())


def least_zeroing_penalty(users: Rows, item_penalties: Doubles) -> float:
    """Return the factor of all penalties from which on zero vectors are a minimum of the loss.

    Near zero vectors X and Y, the loss is tr(X'PX) + tr(Y'QY) - 2 tr(X'BY) plus terms of higher
    order and a constant. P and Q are the diagonal matrices of the penalties of users and items; B
    holds the confidences of the observed pairs. Zero is a minimum if and only if the largest
    singular value of P^-1/2 B Q^-1/2 is at most 1. It is computed by power iteration, from a
    positive start: B has no negative entries, so its first singular vectors have none either.

    Raises
    ------
    ModelError
        When the confidences are too large for float32.
    """
    scaled = sparse.csr_array(
        (users.extra + np.float64(users.unobserved), users.indices, users.indptr),
        shape=(len(users), len(item_penalties)),
    )
    left, right = users.penalties**-0.5, item_penalties**-0.5
    vector, largest = 1 / right, 0.0
    for _ in range(POWER_STEPS):
        vector = vector / np.sqrt(np.square(vector).sum())
        vector = right * (scaled.T @ (left**2 * (scaled @ (right * vector))))
        before, largest = largest, float(np.sqrt(np.sqrt(np.square(vector).sum())))
        if not largest - before > POWER_TOLERANCE * largest:
            break
    if not 0 < largest < np.inf:
        raise ModelError(
            f"expected weights and penalties for which float32 can solve least squares, got {largest}"
        )
    return largest

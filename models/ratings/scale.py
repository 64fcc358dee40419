"""The scale of ratings: where they lie, how much they differ, and who cannot be learned from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError

FloatArray = npt.NDArray[np.float32]


class Scale(NamedTuple):
    """Mean, standard deviation, least and largest rating of a training set, in units of the ratings.

    Models learn ratings of mean 0 and variance 1, so that a learning rate or a penalty means the
    same for stars, percents and counts.
    """

    mean: float
    deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, name: str, matrix: sparse.csr_array) -> Scale:
        """Return the scale of a matrix of ratings; ModelError if they do not differ."""
        ratings = matrix.data.astype(np.float64)
        low, high = float(ratings.min()), float(ratings.max())
        if low == high:
            expected = "expected weights that differ, as ratings do"
            raise ModelError(f"{name}: {expected}, got {low:g} for all {len(ratings)} pairs")
        return cls(float(ratings.mean()), float(ratings.std()), low, high)

    @classmethod
    def restored(cls, array: npt.NDArray[Any]) -> Scale:
        """Return the scale of `array`; ModelError if the array is none."""
        if array.shape != (4,) or array.dtype != np.float64:
            raise ModelError(f"expected a scale float64 (4,), got {array.dtype} {array.shape}")
        scale = cls(*array.tolist())
        if not np.isfinite(array).all() or scale.deviation <= 0 or scale.low >= scale.high:
            raise ModelError(f"expected a scale of ratings that differ, got {scale}")
        return scale

    def array(self) -> npt.NDArray[np.float64]:
        """Return the four numbers, float64 (4,)."""
        return np.array(self, dtype=np.float64)

    def standardised(self, ratings: FloatArray) -> FloatArray:
        """Return ratings of mean 0 and variance 1, float32."""
        return np.asarray((ratings - self.mean) / self.deviation, dtype=np.float32)

    def clipped(self, predictions: npt.NDArray[np.floating]) -> FloatArray:
        """Return predictions within the range of the ratings, float32."""
        return np.asarray(np.clip(predictions, self.low, self.high), dtype=np.float32)

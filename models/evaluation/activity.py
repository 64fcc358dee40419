"""Classes of user activity, shared by segments, blends and reports."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

Activity = Literal["new", "light", "heavy"]
ACTIVITY: tuple[Activity, ...] = get_args(Activity)
BOUNDS: Final = (5, 50)
"""The least numbers of training items of a light and of a heavy user."""


def activity(history: npt.NDArray[np.integer], bounds: tuple[int, int] = BOUNDS) -> npt.NDArray[np.int64]:
    """Return codes into ``ACTIVITY``: training items below the first bound, the second, or more."""
    if not bounds[0] < bounds[1]:
        raise ModelError(f"expected ascending bounds, got {bounds}")
    return np.searchsorted(np.array(bounds), history, side="right")

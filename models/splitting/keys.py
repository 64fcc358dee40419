"""Pairs of user and item as integer keys, in sorted arrays.

NumPy's unique and isin hash such keys, which takes ten times as long for a million of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]


def distinct(keys: Longs) -> Longs:
    """Return the distinct keys in ascending order."""
    ordered = np.sort(keys)
    kept = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=kept[1:])
    return ordered[kept]


def among(keys: Longs, ordered: Longs) -> npt.NDArray[np.bool_]:
    """Return which keys are in an ascending array, bool (n_keys,)."""
    if not len(ordered):
        return np.zeros(len(keys), np.bool_)
    nearest = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return np.asarray(ordered[nearest] == keys)

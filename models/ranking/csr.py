"""Sparse matrices as the arrays that compiled functions take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse


def csr_arrays(
    matrix: sparse.csr_array,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the ends of the rows int64, the columns int32 and the weights float32 of a csr matrix."""
    weights = matrix.data.astype(np.float32, copy=False)
    return matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int32, copy=False), weights

"""The inverse in blocks, against numpy's, with any number of threads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models.errors import ModelError
from models.regression.inverse import BLOCK, invert_lower, multiply_by_transpose


def positive(n: int) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(n).random((n + 20, n))
    return np.asarray(rows.T @ rows + 5 * np.eye(n), np.float32)


def lower_half(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a copy whose upper half nobody may read."""
    half = matrix.copy()
    half[np.triu_indices(len(half), 1)] = np.nan
    return half


@pytest.mark.parametrize("n", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 7])
def test_the_inverse_of_any_size_is_that_of_numpy(n: int) -> None:
    matrix = positive(n)
    inverse = lower_half(matrix)
    invert_lower(inverse, threads=2)
    factor = np.linalg.cholesky(matrix.astype(np.float64))
    np.testing.assert_allclose(np.tril(inverse), np.linalg.inv(factor), atol=1e-4)
    multiply_by_transpose(inverse, threads=2)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix.astype(np.float64)), atol=1e-4)
    np.testing.assert_array_equal(inverse, inverse.T)


def test_the_bytes_do_not_depend_on_the_threads() -> None:
    matrix, results = positive(2 * BLOCK + 100), set()
    for threads in (1, 2, 5):
        inverse = matrix.copy()
        invert_lower(inverse, threads)
        multiply_by_transpose(inverse, threads)
        results.add(inverse.tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("number", [0, BLOCK + 5])
def test_a_matrix_that_is_not_positive_definite_is_refused(number: int) -> None:
    matrix = positive(BLOCK + 10)
    matrix[number, number] = -1
    with pytest.raises(ModelError, match=r"expected a positive definite matrix.*a larger penalty helps"):
        invert_lower(matrix, threads=1)

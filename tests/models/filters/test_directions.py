"""Leading directions, against a dense singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix, random_world
from models.filters.directions import leading_directions
from models.options import TrainingOptions

NAME = "pure_svd"


@pytest.mark.parametrize("factors", [1, 5, 12])
def test_directions_explain_as_much_as_those_of_a_dense_decomposition(factors: int) -> None:
    dense = random_world().matrix.toarray().astype(np.float64)
    directions = leading_directions(random_world().matrix, factors, TrainingOptions(), NAME)
    values = np.linalg.svd(dense, compute_uv=False)
    explained = np.square(dense @ directions).sum()
    np.testing.assert_allclose(explained, np.square(values[:factors]).sum(), rtol=1e-3)


def test_directions_are_orthonormal_and_those_beyond_the_rank_are_zero() -> None:
    rows = matrix([[1, 2, 0, 0, 0], [2, 4, 0, 0, 0], [0, 0, 3, 1, 0]])  # rank 2; the last item is unknown
    directions = leading_directions(rows, 4, TrainingOptions(), NAME)
    np.testing.assert_allclose(directions.T @ directions, np.diag([1, 1, 0, 0]), atol=1e-6)
    assert not directions[4].any()


def test_the_bytes_do_not_depend_on_the_threads_and_depend_on_the_seed() -> None:
    world = random_world()
    first, second, third = (
        leading_directions(world.matrix, 6, TrainingOptions(threads=threads, seed=seed), NAME)
        for threads, seed in ((1, 1), (3, 1), (1, 2))
    )
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != third.tobytes()
    np.testing.assert_allclose(np.abs((first * third).sum(axis=0)), 1, atol=1e-2)

"""The nearest columns by products and norms, against a dense computation."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import random_world
from models.ranking.nearest import nearest_columns
from models.ranking.topn import top_n


@pytest.mark.parametrize("threads", [1, 3])
def test_norms_decide_beside_the_products(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.ranking.nearest.ROWS", 7)  # several calls
    columns = random_world().matrix
    norms = np.random.default_rng(2).integers(1, 9, columns.shape[1]).astype(np.float32)
    dense = columns.toarray()
    similar = dense.T @ dense / (np.outer(norms, norms) + np.float32(2))
    np.fill_diagonal(similar, 0)
    top, expected = nearest_columns(columns, norms, 6, 2.0, threads), top_n(similar, 6, above=0.0)
    np.testing.assert_array_equal(top.items, expected.items)
    np.testing.assert_allclose(top.scores, expected.scores, rtol=1e-6)

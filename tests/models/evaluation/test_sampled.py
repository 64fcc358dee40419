"""A positive among given negatives, by hand and against metrics of the full ranking."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models.errors import ModelError
from models.evaluation.metrics import match_lists
from models.evaluation.sampled import hide_one_item, sampled_values

SCORES = np.array([[5, 1, 2, 3], [2, 9, 1, 0], [1, 1, 3, 1], [0, 0, 0, 0]], dtype=np.float32)
# ranks: 1; 2; 2 to 4 (one above, two tied); 1 to 4


def test_metrics_follow_the_rank_and_ties_count_against_the_model() -> None:
    values = sampled_values(SCORES, (1, 3))
    np.testing.assert_array_equal(values["hit_rate", 1], [1, 0, 0, 0])
    np.testing.assert_array_equal(values["hit_rate", 3], [1, 1, 0, 0])
    np.testing.assert_allclose(values["ndcg", 3], [1, 1 / log2(3), 0, 0])


@given(st.integers(0, 2**32).map(np.random.default_rng), st.integers(1, 8))
def test_without_ties_sampled_metrics_equal_those_of_the_ranked_list(
    rng: np.random.Generator, k: int
) -> None:
    scores = rng.permuted(np.tile(np.arange(8, dtype=np.float32), (5, 1)), axis=1)
    lists = np.argsort(-scores, axis=1).astype(np.int32)
    first = sparse.csr_array((np.ones(5, np.float32), np.zeros(5, int), np.arange(6)), shape=(5, 8))
    expected = match_lists(lists, first, [k]).values(["hit_rate", "ndcg"])
    for key, values in sampled_values(scores, (k,)).items():
        np.testing.assert_allclose(values, expected[key], atol=1e-12)


@pytest.mark.parametrize(
    ("scores", "k", "message"),
    [
        (SCORES, 5, "k from 1 to the 4 items of a user, got 5"),
        (SCORES[:, :1], 1, "of a positive and of negatives"),
        (SCORES * np.nan, 1, "finite scores"),
    ],
)
def test_invalid_scores_are_refused(scores: np.ndarray, k: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        sampled_values(scores, (k,))


def test_one_item_per_user_is_hidden_among_items_they_do_not_have() -> None:
    generator = np.random.default_rng(3)
    dense = (generator.random((20, 30)) < 0.3).astype(np.float32)
    dense[:, 0] = 1
    train = sparse.csr_array(dense)
    rest, hidden, negatives = hide_one_item(train, 9, seed=1)
    for user in range(20):
        assert dense[user, hidden[user]] == 1
        assert len(set(negatives[user])) == 9
        assert dense[user, negatives[user]].sum() == 0
    restored = rest.toarray()
    restored[np.arange(20), hidden] = 1
    np.testing.assert_array_equal(restored, dense)
    assert rest.nnz == train.nnz - 20
    different = hide_one_item(train, 9, seed=2)
    assert (different[1] != hidden).any()
    with pytest.raises(ModelError, match="an item and 40 other items for every user, got 0 users without"):
        hide_one_item(train, 40, seed=1)

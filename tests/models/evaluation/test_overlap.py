"""Rank-biased overlap, against values worked by hand and properties from the paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.evaluation.overlap import agreements, rank_biased_overlap


def lists(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.int32)


def test_agreements_count_the_common_items_up_to_each_depth() -> None:
    first = lists([1, 2, 3, 4], [1, 2, 3, 4], [1, -1, -1, -1])
    second = lists([2, 1, 4, 9], [5, 6, 7, 8], [-1, 1, -1, -1])
    assert agreements(first, second).tolist() == [[0, 2, 2, 3], [0, 0, 0, 0], [0, 1, 1, 1]]


def test_overlap_follows_the_formula_of_the_paper() -> None:
    """X = 0, 2, 2: 2/3 p^3 + (1 - p)/p (0 + p^2 + 2/3 p^3); for p = .5, .0833 + (.25 + .0833)."""
    overlap = rank_biased_overlap(agreements(lists([1, 2, 3]), lists([2, 1, 4])), p=0.5)
    assert overlap.tolist() == pytest.approx([1 / 12 + 1 / 4 + 1 / 12])


def test_the_overlap_of_equal_lists_is_one_and_of_disjoint_lists_zero() -> None:
    distinct = np.arange(20, dtype=np.int32).reshape(2, 10)
    assert rank_biased_overlap(agreements(distinct, distinct)).tolist() == pytest.approx([1, 1])
    assert rank_biased_overlap(agreements(distinct, distinct[::-1])).tolist() == [0, 0]


@given(st.permutations(range(8)), st.floats(0.05, 0.95))
def test_overlap_is_symmetric_and_agrees_with_the_definition(order: list[int], p: float) -> None:
    first, second = lists(list(range(6))), lists(order[:6])
    shares = [len({*range(d)} & {*order[:d]}) / d for d in range(1, 7)]
    expected = shares[-1] * p**6 + (1 - p) / p * sum(share * p**d for d, share in enumerate(shares, 1))
    assert rank_biased_overlap(agreements(first, second), p)[0] == pytest.approx(expected)
    assert rank_biased_overlap(agreements(second, first), p)[0] == pytest.approx(expected)
    assert 0 <= expected <= 1 + 1e-12


def test_lists_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ModelError, match="equal length"):
        agreements(lists([1, 2]), lists([1]))
    with pytest.raises(ModelError, match="0 < p < 1"):
        rank_biased_overlap(agreements(lists([1]), lists([1])), p=1)

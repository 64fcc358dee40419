"""Rank-biased overlap, against values worked by hand and the properties that its paper proves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.evaluation.overlap import agreements, rank_biased_overlap


def lists(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.int32)


def test_agreements_count_what_both_have_met_by_each_depth() -> None:
    one = lists([1, 2, 3, 4], [1, 2, 3, 4], [1, -1, -1, -1])
    other = lists([2, 1, 4, 9], [5, 6, 7, 8], [-1, 1, -1, -1])
    assert agreements(one, other).tolist() == [[0, 2, 2, 3], [0, 0, 0, 0], [0, 1, 1, 1]]


def test_overlap_is_that_of_the_papers_formula() -> None:
    """X = 0, 2, 2: 2/3 p^3 + (1 - p)/p (0 + p^2 + 2/3 p^3), at p = .5: .0833 + 1 * (.25 + .0833)."""
    found = rank_biased_overlap(agreements(lists([1, 2, 3]), lists([2, 1, 4])), p=0.5)
    assert found.tolist() == pytest.approx([1 / 12 + 1 / 4 + 1 / 12])


def test_equal_lists_have_one_and_disjoint_lists_none() -> None:
    one = np.arange(20, dtype=np.int32).reshape(2, 10)
    assert rank_biased_overlap(agreements(one, one)).tolist() == pytest.approx([1, 1])
    assert rank_biased_overlap(agreements(one, one[::-1])).tolist() == [0, 0]


@given(st.permutations(range(8)), st.floats(0.05, 0.95))
def test_overlap_is_symmetric_and_agrees_with_the_definition(order: list[int], p: float) -> None:
    one, other = lists(list(range(6))), lists(order[:6])
    shares = [len({*range(d)} & {*order[:d]}) / d for d in range(1, 7)]
    own = shares[-1] * p**6 + (1 - p) / p * sum(share * p**d for d, share in enumerate(shares, 1))
    assert rank_biased_overlap(agreements(one, other), p)[0] == pytest.approx(own)
    assert rank_biased_overlap(agreements(other, one), p)[0] == pytest.approx(own)
    assert 0 <= own <= 1 + 1e-12


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ModelError, match="equal length"):
        agreements(lists([1, 2]), lists([1]))
    with pytest.raises(ModelError, match="0 < p < 1"):
        rank_biased_overlap(agreements(lists([1]), lists([1])), p=1)

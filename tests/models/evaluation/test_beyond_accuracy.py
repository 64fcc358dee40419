"""Metrics beyond accuracy, against values worked by hand and slower computations."""

from __future__ import annotations

from itertools import combinations
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.worlds import matrix
from models.errors import ModelError
from models.evaluation import beyond_accuracy as beyond

LISTS = np.array([[3, 0, 4, 1], [2, 5, -1, -1], [0, 1, 2, 3], [5, 4, 3, 2]], dtype=np.int32)
SHORT = np.array([[0, 1, 2], [1, 3, -1], [2, -1, -1], [-1, -1, -1]], dtype=np.int32)
POPULARITY = np.array([8, 4, 2, 0])
NAN = float("nan")
ALL = np.ones(8, dtype=np.bool_)
worlds = st.integers(0, 2**32).map(np.random.default_rng)


def test_coverage_is_the_share_of_the_catalogue_in_any_list() -> None:
    assert beyond.coverage(LISTS, 1, ALL) == 4 / 8  # 3, 2, 0, 5
    assert beyond.coverage(LISTS, 2, ALL) == 6 / 8  # and 1, 4
    assert beyond.coverage(LISTS, 2, np.arange(8) < 4) == 4 / 4
    assert beyond.coverage(np.full((2, 3), -1, dtype=np.int32), 3, ALL) == 0


def test_exposure_counts_lists() -> None:
    assert beyond.exposure(SHORT, 2, ALL[:4]).tolist() == [1, 2, 1, 1]
    assert beyond.exposure(SHORT, 3, ALL[:4]).tolist() == [1, 2, 2, 1]
    with pytest.raises(ModelError, match="expected items below 3, got 3"):
        beyond.exposure(SHORT, 3, ALL[:3])


def test_gini_by_hand() -> None:
    assert beyond.gini(SHORT, 3, ALL[:4]) == pytest.approx((-3 * 1 - 1 * 1 + 1 * 2 + 3 * 2) / 6 / 3)
    even = np.array([[0, 1], [2, 3]], dtype=np.int32)
    assert beyond.gini(even, 2, ALL[:4]) == 0
    assert beyond.gini(np.array([[2], [2]], dtype=np.int32), 1, ALL[:4]) == 1
    assert beyond.gini(np.array([[0]], dtype=np.int32), 1, ALL[:1]) == 0
    with pytest.raises(ModelError, match="at least one item of the catalogue"):
        beyond.gini(np.array([[0]], dtype=np.int32), 1, np.array([False, True]))


def test_novelty_and_popularity_by_hand() -> None:
    values = beyond.novelty(SHORT, 3, POPULARITY, 16)
    np.testing.assert_allclose(values, [(1 + 2 + 3) / 3, (2 + log2(16)) / 2, 3, NAN])
    np.testing.assert_allclose(beyond.novelty(SHORT, 1, POPULARITY, 16), [1, 2, 3, NAN])
    np.testing.assert_allclose(beyond.mean_popularity(SHORT, 3, POPULARITY), [14 / 3, 2, 2, NAN])
    np.testing.assert_allclose(
        beyond.head_share(SHORT, 3, np.array([True, False, True, False])), [2 / 3, 0, 1, NAN]
    )


def test_the_head_is_the_most_popular_share_of_the_items_with_users() -> None:
    assert beyond.head_items(np.array([1, 5, 0, 5, 2]), 0.5).tolist() == [False, True, False, True, False]
    assert beyond.head_items(np.array([1, 5, 0, 5, 2]), 0.25).tolist() == [False, True, False, False, False]
    assert beyond.head_items(np.array([3, 1, 0]), 0.01).tolist() == [True, False, False]
    assert not beyond.head_items(np.zeros(3, dtype=np.int64)).any()
    with pytest.raises(ModelError, match="a share above 0"):
        beyond.head_items(POPULARITY, 0)


def test_diversity_by_hand() -> None:
    vectors = matrix([[2.0, 0], [0, 3], [1, 1], [0, 0]])
    half = 1 - 0.5**0.5  # 45 degrees
    values = beyond.diversity(SHORT, 3, vectors)
    np.testing.assert_allclose(values, [(1 + half + half) / 3, 1, NAN, NAN])  # zero: distance 1
    np.testing.assert_allclose(beyond.diversity(SHORT, 2, vectors)[0], 1)
    with pytest.raises(ModelError, match="vectors of 4 items, got 3"):
        beyond.diversity(SHORT, 3, vectors[:3])


def test_attribute_diversity_by_hand() -> None:
    genres = matrix([[1, 1, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0]])
    values = beyond.attribute_diversity(SHORT, 3, genres)
    np.testing.assert_allclose(values, [(2 / 3 + 0 + 2 / 3) / 3, 1, NAN, NAN])
    with pytest.raises(ModelError, match="attributes of 4 items, got 3"):
        beyond.attribute_diversity(SHORT, 3, genres[:3])


@given(worlds)
def test_both_diversities_are_the_mean_over_all_pairs(rng: np.random.Generator) -> None:
    lists = np.argsort(rng.random((5, 12)), axis=1)[:, :6].astype(np.int32)
    lists[0, 3:] = -1
    vectors = rng.standard_normal((12, 3))
    genres = rng.random((12, 4)) < 0.4
    cosine = beyond.diversity(lists, 6, matrix(vectors))
    jaccard = beyond.attribute_diversity(lists, 6, matrix(genres))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for user, listed in enumerate(lists):
        pairs = list(combinations(listed[listed >= 0], 2))
        expected = np.mean([1 - unit[a] @ unit[b] for a, b in pairs])
        np.testing.assert_allclose(cosine[user], expected, atol=1e-6)  # the vectors are float32
        distances = [
            1 - (genres[a] & genres[b]).sum() / max(1, (genres[a] | genres[b]).sum()) for a, b in pairs
        ]
        np.testing.assert_allclose(jaccard[user], np.mean(distances))


def test_serendipity_counts_relevant_and_unexpected_items() -> None:
    relevant = matrix([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
    expected = np.array([[0, 1], [0, -1], [0, 1], [0, 1]], dtype=np.int32)
    values = beyond.serendipity(SHORT, 3, expected, relevant)
    np.testing.assert_allclose(values, [1 / 3, 2 / 3, NAN, 0])  # items 2; 1 and 3; none; no list
    np.testing.assert_allclose(beyond.serendipity(SHORT, 3, SHORT, relevant), [0, 0, NAN, 0])
    with pytest.raises(ModelError, match="lists and relevant items of 4 users, got 3 and 4"):
        beyond.serendipity(SHORT, 3, expected[:3], relevant)


@given(worlds, st.integers(1, 6))
def test_all_values_are_in_range(rng: np.random.Generator, k: int) -> None:
    lists = np.argsort(rng.random((5, 12)), axis=1)[:, :6].astype(np.int32)
    popularity = rng.integers(0, 9, 12)
    assert 0 <= beyond.gini(lists, k, ALL.repeat(2)[:12]) <= 1
    assert k / 12 <= beyond.coverage(lists, k, np.ones(12, dtype=np.bool_)) <= 1
    assert (beyond.novelty(lists, k, popularity, 9) >= 0).all()
    share = beyond.head_share(lists, k, beyond.head_items(popularity))
    assert ((share >= 0) & (share <= 1)).all()


def test_a_cut_off_beyond_the_lists_is_refused() -> None:
    for call in (
        lambda: beyond.coverage(LISTS, 5, ALL),
        lambda: beyond.novelty(LISTS, 0, np.ones(8), 3),
        lambda: beyond.diversity(LISTS, 5, matrix(np.ones((8, 2)))),
    ):
        with pytest.raises(ModelError, match="k from 1 to the 4 ranks of the lists"):
            call()
    with pytest.raises(ModelError, match="figures of 6 items, got 4"):
        beyond.mean_popularity(LISTS, 4, POPULARITY)
    with pytest.raises(ModelError, match="at least one item"):
        beyond.coverage(LISTS, 1, np.zeros(6, dtype=np.bool_))

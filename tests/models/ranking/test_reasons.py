"""Reasons, co-occurrence and similar vectors, against numpy and values worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.contract.worlds import matrix
from models.ranking.reasons import LONGEST, largest_reasons, nearest_reasons
from models.ranking.similarity import co_occurring, similar_vectors


@pytest.mark.parametrize("d", [1, 3, 16])
def test_the_reason_is_the_most_similar_item_of_the_history(d: int) -> None:
    rng = np.random.default_rng(d)
    vectors = rng.integers(-3, 4, (40, d)).astype(np.float32)  # some zero, some equal
    history = matrix(rng.random((30, 40)) < 0.2)
    items = rng.integers(-1, 40, (30, 7)).astype(np.int32)
    norms = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors.T / np.maximum(np.outer(norms, norms), 1e-9)
    for user, row in enumerate(nearest_reasons(items, history, vectors)):
        history_items = history[[user]].indices
        for item, reason in zip(items[user], row, strict=True):
            candidates = history_items[history_items != item]
            best = cosines[item, candidates].max(initial=0) if item >= 0 else 0
            if reason < 0:
                assert best <= 1e-6
            else:
                assert reason in candidates
                assert cosines[item, reason] >= best - 1e-6


def test_the_reason_among_equals_is_the_smaller_index_but_never_the_item_itself() -> None:
    vectors = np.array([[1, 0], [2, 0], [3, 0], [0, 1]], np.float32)
    items = np.array([[1, 2, 3, -1]], np.int32)
    assert nearest_reasons(items, matrix([[0, 1, 1, 0]]), vectors).tolist() == [[2, 1, -1, -1]]
    assert nearest_reasons(items, matrix([[1, 1, 1, 1]]), vectors).tolist() == [[0, 0, -1, -1]]
    assert nearest_reasons(items, matrix([[0, 0, 0, 0]]), vectors).tolist() == [[-1, -1, -1, -1]]


def test_only_the_heaviest_items_of_a_long_history_are_compared() -> None:
    n = LONGEST + 50
    vectors = np.ones((n + 1, 2), np.float32)
    weights = np.ones((1, n + 1), np.float32)
    weights[0, n] = 0  # the recommended item
    weights[0, 50:n] = 2
    vectors[n] = vectors[:50] = [1, 2]  # the best reasons have too little weight
    assert nearest_reasons(np.array([[n]], np.int32), matrix(weights), vectors).tolist() == [[50]]
    weights[0, 7] = 3
    assert nearest_reasons(np.array([[n]], np.int32), matrix(weights), vectors).tolist() == [[7]]


@pytest.mark.parametrize("form", [matrix, np.asarray])
def test_the_largest_reason_adds_most_to_the_score(form: Any) -> None:
    rng = np.random.default_rng(5)
    weights = (rng.integers(-2, 4, (40, 40)) * (rng.random((40, 40)) < 0.3)).astype(np.float32)
    history = matrix((rng.random((30, 40)) < 0.2) * rng.integers(1, 4, (30, 40)))
    items = np.stack([rng.permutation(40)[:7] for _ in range(30)]).astype(np.int32)
    items[::4, 5:] = -1
    found = largest_reasons(items, history, form(weights))
    for user, (row, wanted) in enumerate(zip(found, items, strict=True)):
        for item, reason in zip(wanted, row, strict=True):
            added = history[[user]].toarray()[0] * weights[:, item]
            added[item] = 0
            expected = int(added.argmax()) if item >= 0 and added.max() > 0 else -1  # the first of equals
            assert reason == expected


def test_co_occurrence_is_the_cosine_of_the_user_sets() -> None:
    rng = np.random.default_rng(3)
    seen = matrix((rng.random((50, 20)) < 0.2) * rng.integers(1, 5, (50, 20)))
    ones = (seen.toarray() > 0).astype(np.float64)
    sizes = np.sqrt(np.maximum(ones.sum(axis=0), 1))
    cosines = ones.T @ ones / np.outer(sizes, sizes)
    np.fill_diagonal(cosines, 0)
    allowed = rng.random(20) < 0.7
    cosines[:, ~allowed] = 0
    queried = np.array([3, 0, 19], np.int32)
    top = co_occurring(seen, queried, 20, allowed=allowed)
    for item, items, scores in zip(queried, top.items, top.scores, strict=True):
        similar = items[items >= 0]
        assert sorted(similar) == np.flatnonzero(cosines[item] > 0).tolist()
        assert np.allclose(scores[: len(similar)], cosines[item, similar])
        assert (np.diff(scores[: len(similar)]) <= 0).all()


def test_co_occurrence_by_hand() -> None:
    # items 0 and 1 share both users; item 2 shares one of its two users; item 3 has no users
    seen = matrix([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0]])
    top = co_occurring(seen, np.array([0, 3]), 3)
    assert top.items.tolist() == [[1, 2, -1], [-1, -1, -1]]
    assert np.allclose(top.scores[0, :2], [1, 0.5])


def test_similar_vectors_by_hand() -> None:
    vectors = np.array([[1, 0], [2, 0], [1, 1], [-1, 0], [0, 0]], np.float32)
    top = similar_vectors(vectors, np.array([0, 4]), 4)
    assert top.items.tolist() == [[1, 2, -1, -1], [-1, -1, -1, -1]]
    assert np.allclose(top.scores[0, :2], [1, np.sqrt(0.5)])
    allowed = np.array([True, False, True, True, True])
    assert similar_vectors(vectors, np.array([0]), 4, allowed).items.tolist() == [[2, -1, -1, -1]]

"""Metrics against values worked by hand, and their properties."""

from __future__ import annotations

from math import log2

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models.contract.worlds import matrix
from models.errors import ModelError
from models.evaluation import metrics
from models.evaluation.metrics import METRICS, match_lists

LISTS = np.array([[3, 0, 4, 1], [2, 5, -1, -1], [0, 1, 2, 3], [5, 4, 3, 2]], dtype=np.int32)
RELEVANT = matrix([[1, 1, 1, 0, 0, 1], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]])
# user 0: ranks 2 and 4 of n = 4 relevant; user 1: rank 1 of n = 1; user 2: none of n = 1; user 3: n
# = 0
ALL_FOUR = 1 + 1 / log2(3) + 1 / 2 + 1 / log2(5)


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        ("ndcg", 4, [(1 / log2(3) + 1 / log2(5)) / ALL_FOUR, 1, 0]),
        ("ndcg", 2, [(1 / log2(3)) / (1 + 1 / log2(3)), 1, 0]),
        ("ndcg", 1, [0, 1, 0]),
        ("recall", 4, [2 / 4, 1, 0]),
        ("recall", 2, [1 / 4, 1, 0]),
        ("recall_min", 4, [2 / 4, 1, 0]),
        ("recall_min", 2, [1 / 2, 1, 0]),
        ("precision", 4, [2 / 4, 1 / 4, 0]),
        ("precision", 3, [1 / 3, 1 / 3, 0]),
        ("hit_rate", 4, [1, 1, 0]),
        ("hit_rate", 1, [0, 1, 0]),
        ("mrr", 4, [1 / 2, 1, 0]),
        ("mrr", 1, [0, 1, 0]),
        ("map", 4, [(1 / 2 + 2 / 4) / 4, 1, 0]),
        ("map", 2, [(1 / 2) / 2, 1, 0]),
    ],
)
def test_values_worked_by_hand(metric: str, k: int, expected: list[float]) -> None:
    values = METRICS[metric](match_lists(LISTS, RELEVANT, (1, 2, 3, 4)), k)
    np.testing.assert_allclose(values[:3], expected, rtol=1e-12)
    assert np.isnan(values[3])


worlds = st.integers(0, 2**32).map(np.random.default_rng)


def drawn(rng: np.random.Generator) -> tuple[npt.NDArray[np.int32], sparse.csr_array]:
    lists = np.argsort(rng.random((6, 15)), axis=1)[:, :10].astype(np.int32)
    return lists, matrix(rng.random((6, 15)) < 0.3)


@given(worlds, st.integers(1, 10))
def test_all_metrics_are_in_range_and_best_for_perfect_lists(rng: np.random.Generator, k: int) -> None:
    lists, relevant = drawn(rng)
    perfect = np.argsort(-relevant.toarray(), axis=1, kind="stable")[:, :10].astype(np.int32)
    measured = np.diff(relevant.indptr) > 0
    for name, metric in METRICS.items():
        values = metric(match_lists(lists, relevant, {k}), k)[measured]
        best = metric(match_lists(perfect, relevant, {k}), k)[measured]
        assert (values >= 0).all()
        assert (values <= best + 1e-12).all()
        if name not in {"recall", "precision"}:
            np.testing.assert_allclose(best, 1)


@given(worlds, st.integers(1, 9))
def test_a_larger_k_never_lowers_recall_hit_rate_or_mrr(rng: np.random.Generator, k: int) -> None:
    matches = match_lists(*drawn(rng), {k, k + 1})
    for name in ("recall", "hit_rate", "mrr"):
        assert not (METRICS[name](matches, k + 1) < METRICS[name](matches, k)).any()


@pytest.mark.parametrize(
    ("lists", "k", "message"),
    [
        (LISTS, 5, r"k from 1 to the 4 ranks of the lists, got \[5\]"),
        (LISTS, 0, r"got \[0\]"),
        (LISTS[:2], 1, r"the lists of 4 users, got \(2, 4\)"),
        (np.full((4, 2), 6, np.int32), 1, "items from -1 to 5, got 6..6"),
        (np.full((4, 2), 3, np.int32), 1, "distinct items in a list"),
    ],
)
def test_invalid_lists_are_refused(lists: npt.NDArray[np.int32], k: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        match_lists(lists, RELEVANT, [k])


def test_unsorted_relevant_items_and_unmatched_cut_offs_are_refused() -> None:
    unsorted = sparse.csr_array((np.ones(2, np.float32), [3, 1], [0, 2]), shape=(1, 6))
    with pytest.raises(ModelError, match="sorted, distinct columns"):
        match_lists(LISTS[:1], unsorted, [1])
    with pytest.raises(ModelError, match=r"one of the matched cut-offs \(1, 4\), got 2"):
        metrics.ndcg(match_lists(LISTS, RELEVANT, [4, 1, 4]), 2)
    with pytest.raises(ModelError, match="k from 1 to the 4 ranks"):
        match_lists(LISTS, RELEVANT, [])


def test_all_metrics_are_returned_by_name_and_cut_off() -> None:
    matches = match_lists(LISTS, RELEVANT, (2, 4))
    values = matches.values()
    assert set(values) == {(name, k) for name in METRICS for k in (2, 4)}
    np.testing.assert_array_equal(values["map", 4], metrics.average_precision(matches, 4))
    assert set(matches.values(["ndcg"])) == {("ndcg", 2), ("ndcg", 4)}
    assert len(matches) == 4


def test_values_do_not_depend_on_blocks_or_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    lists = np.argsort(rng.random((50, 30)), axis=1)[:, :12].astype(np.int32)
    relevant = matrix(rng.random((50, 30)) < 0.2)
    expected = match_lists(lists, relevant, (3, 12)).values()
    monkeypatch.setattr("models.evaluation.metrics.BLOCK_USERS", 7)
    actual = match_lists(lists, relevant, (3, 12), threads=3).values()
    for key, values in expected.items():
        np.testing.assert_array_equal(actual[key], values)
    lists[41, 1] = lists[41, 0]
    with pytest.raises(ModelError, match="for the user in row 41"):
        match_lists(lists, relevant, (3, 12))

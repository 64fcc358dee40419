"""Metrics against values worked by hand, and their properties."""

from __future__ import annotations

from math import log2

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from worlds import matrix

from models import metrics
from models.errors import ModelError
from models.metrics import METRICS, judge

LISTS = np.array([[3, 0, 4, 1], [2, 5, -1, -1], [0, 1, 2, 3], [5, 4, 3, 2]], dtype=np.int32)
RELEVANT = matrix([[1, 1, 1, 0, 0, 1], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]])
# user 0: ranks 2 and 4 of n = 4 relevant; user 1: rank 1 of n = 1; user 2: none of n = 1; user 3: n = 0
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
    values = METRICS[metric](judge(LISTS, RELEVANT), k)
    np.testing.assert_allclose(values[:3], expected, rtol=1e-12)
    assert np.isnan(values[3])
    assert metrics.mean(values) == (pytest.approx(sum(expected) / 3), 3)


def test_coverage_is_the_share_of_the_catalogue_shown_to_anyone() -> None:
    everything = np.ones(8, dtype=np.bool_)
    assert metrics.coverage(LISTS, 1, everything) == 4 / 8  # 3, 2, 0, 5
    assert metrics.coverage(LISTS, 2, everything) == 6 / 8  # and 1, 4
    assert metrics.coverage(LISTS, 2, np.arange(8) < 4) == 4 / 4
    assert metrics.coverage(np.full((2, 3), -1, dtype=np.int32), 3, everything) == 0


worlds = st.integers(0, 2**32).map(np.random.default_rng)


def drawn(rng: np.random.Generator) -> tuple[npt.NDArray[np.int32], sparse.csr_array]:
    lists = np.argsort(rng.random((6, 15)), axis=1)[:, :10].astype(np.int32)
    return lists, matrix(rng.random((6, 15)) < 0.3)


@given(worlds, st.integers(1, 10))
def test_every_metric_is_in_its_range_and_perfect_lists_are_perfect(rng: np.random.Generator, k: int) -> None:
    lists, relevant = drawn(rng)
    perfect = np.argsort(-relevant.toarray(), axis=1, kind="stable")[:, :10].astype(np.int32)
    some = np.diff(relevant.indptr) > 0
    for name, metric in METRICS.items():
        values, best = metric(judge(lists, relevant), k)[some], metric(judge(perfect, relevant), k)[some]
        assert (values >= 0).all()
        assert (values <= best + 1e-12).all()
        if name not in {"recall", "precision"}:
            np.testing.assert_allclose(best, 1)


@given(worlds, st.integers(1, 9))
def test_a_longer_cut_never_lowers_recall_hit_rate_or_mrr(rng: np.random.Generator, k: int) -> None:
    judged = judge(*drawn(rng))
    for name in ("recall", "hit_rate", "mrr"):
        assert not (METRICS[name](judged, k + 1) < METRICS[name](judged, k)).any()


@pytest.mark.parametrize(
    ("lists", "k", "message"),
    [
        (LISTS, 5, "k from 1 to the 4 ranks of the lists, got 5"),
        (LISTS, 0, "got 0"),
        (LISTS[:2], 1, r"the lists of 4 users, got \(2, 4\)"),
        (np.full((4, 2), 6), 1, "items from -1 to 5, got 6..6"),
        (np.full((4, 2), 3), 1, "distinct items in a list"),
    ],
)
def test_lists_that_do_not_fit_are_refused(lists: npt.NDArray[np.int32], k: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        metrics.ndcg(judge(lists, RELEVANT), k)


def test_nobody_to_measure_is_an_error() -> None:
    with pytest.raises(ModelError, match="at least one user"):
        metrics.mean(metrics.ndcg(judge(LISTS, matrix(np.zeros((4, 6)))), 2))
    with pytest.raises(ModelError, match="at least one item"):
        metrics.coverage(LISTS, 1, np.zeros(6, dtype=np.bool_))

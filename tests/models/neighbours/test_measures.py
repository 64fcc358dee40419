"""Measures of similarity, against values worked by hand, dense computations and sorts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models.contract.worlds import matrix
from models.errors import ModelError
from models.neighbours.measures import Compared, Measure, MeasuredConfig
from models.ranking.topn import TopN, top_n

A, B, C = [2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 2.0, 2.0]


def compared(
    rows: sparse.csr_array, measure: Measure, shrink: float = 0.0, asymmetry: float = 0.5
) -> Compared:
    config = MeasuredConfig(weighting="none", similarity=measure, shrink=shrink, asymmetry=asymmetry)
    return Compared.of(rows, config)


def nearest_columns(columns: sparse.csr_array, n: int, shrink: float, threads: int) -> TopN:
    return compared(columns.T.tocsr(), "cosine", shrink).nearest_others(n, threads)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (
            "cosine",
            {(0, 1): 3 / (5**0.5 * 2**0.5), (0, 2): 2 / (5**0.5 * 8**0.5), (1, 2): 2 / (2**0.5 * 8**0.5)},
        ),
        ("jaccard", {(0, 1): 3 / (5 + 2 - 3), (0, 2): 2 / (5 + 8 - 2), (1, 2): 2 / (2 + 8 - 2)}),
        # less the mean of the row: A (.5, -.5), B (0, 0), C (0, 0); nothing is similar
        ("pearson", {}),
        # less the mean of the term (1.5, 4/3, 2): A (.5, -1/3), B (-.5, -1/3), C (., 2/3, 0)
    ],
)
def test_measures_worked_by_hand(measure: Measure, expected: dict[tuple[int, int], float]) -> None:
    top = compared(matrix([A, B, C]), measure).nearest_others(2, 1)
    got = {
        (min(row, int(near)), max(row, int(near))): float(score)
        for row in range(3)
        for near, score in zip(top.items[row], top.scores[row], strict=True)
        if near >= 0
    }
    assert got == pytest.approx(expected, rel=1e-6)


def test_the_adjusted_cosine_takes_the_mean_of_the_term_away() -> None:
    rows = matrix([[5, 1, 0], [3, 3, 0], [4, 1, 5], [0, 3, 1]])
    # means of the terms: 4, 2, 3; rows (1, -1), (-1, 1), (0, -1, 2), (., 1, -2)
    top = compared(rows, "adjusted").nearest_others(3, 1)
    expected = {0: {2: 1 / (2**0.5 * 5**0.5)}, 1: {3: 1 / (2**0.5 * 5**0.5)}}
    for row, neighbours in expected.items():
        near = [int(item) for item in top.items[row] if item >= 0]
        assert near == list(neighbours)
        np.testing.assert_allclose(top.scores[row, : len(near)], list(neighbours.values()), rtol=1e-6)


def test_an_asymmetric_cosine_worked_by_hand() -> None:
    top = compared(matrix([A, B, C]), "asymmetric", asymmetry=0.25).nearest_others(2, 1)
    # |a|^(2/4) |b|^(2 * 3/4), with squared lengths 5, 2 and 8
    expected = [3 / (5**0.25 * 2**0.75), 2 / (5**0.25 * 8**0.75)]
    assert top.items[0].tolist() == [1, 2]
    np.testing.assert_allclose(top.scores[0], expected, rtol=1e-6)


def test_weights_that_do_not_differ_are_refused_where_their_mean_is_taken_away() -> None:
    for measure in ("pearson", "adjusted"):
        with pytest.raises(ModelError, match=f"similarity = '{measure}', got none: use cosine"):
            compared(matrix([[1, 1, 0], [0, 1, 1]]), measure)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0, 5.0]), min_size=5, max_size=5), min_size=2, max_size=9
    ),
    st.sampled_from(["cosine", "asymmetric", "jaccard", "pearson", "adjusted"]),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0, 30]),  # further rows, which make the products of a row few beside all
)
def test_measures_equal_a_dense_computation(
    rows: list[list[float]], measure: Measure, shrink: float, others: int
) -> None:
    dense = np.pad(np.array(rows), ((0, others), (0, 0)))
    given_, stored = dense.copy(), dense > 0
    for axis, name in ((1, "pearson"), (0, "adjusted")):
        if measure == name:
            means = dense.sum(axis=axis, keepdims=True) / np.maximum(stored.sum(axis=axis, keepdims=True), 1)
            given_ = np.where(stored, dense - means, 0)
            given_[np.abs(given_) < 1e-9] = 0
    if not given_.any():
        return
    similar = _dense_similarities(given_, measure, shrink)
    np.fill_diagonal(similar, 0)
    top = compared(matrix(dense.tolist()), measure, shrink, asymmetry=0.3).nearest_others(4, 2)
    for row, (items, scores) in enumerate(zip(top.items, top.scores, strict=True)):
        near = items[(items >= 0) & (scores > 1e-6)]  # less is the rounding of nothing
        assert len(near) == min(4, (similar[row] > 1e-6).sum())
        np.testing.assert_allclose(scores[: len(near)], similar[row, near], rtol=1e-4)
        np.testing.assert_allclose(scores[: len(near)], -np.sort(-similar[row])[: len(near)], rtol=1e-4)


def _dense_similarities(
    rows: npt.NDArray[np.float64], measure: Measure, shrink: float
) -> npt.NDArray[np.float64]:
    products, squares = rows @ rows.T, np.square(rows).sum(axis=1)
    if measure == "jaccard":
        below = squares[:, None] + squares - products
    else:
        share = 0.3 if measure == "asymmetric" else 0.5
        below = squares[:, None] ** share * squares ** (1 - share)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(products / (below + shrink))


@pytest.mark.parametrize("n", [1, 3, 40])
def test_the_nearest_of_many_are_those_of_a_sort(n: int) -> None:
    """More items are near than are kept at a time, with many ties."""
    random = np.random.default_rng(n)
    columns = matrix((random.random((60, 400)) < 0.3).astype(float).tolist())
    similar = columns.T.toarray() @ columns.toarray()
    norms = np.sqrt(np.diag(similar)).astype(np.float32)
    similar = (similar / (norms[:, None] * norms + np.float32(3))).astype(np.float32)
    np.fill_diagonal(similar, 0)
    expected = np.argsort(-similar, axis=1, kind="stable")[:, :n]
    top = nearest_columns(columns, n, 3.0, threads=2)
    assert np.array_equal(top.items, expected)
    np.testing.assert_allclose(top.scores, np.take_along_axis(similar, expected, axis=1), rtol=1e-6)


@settings(max_examples=80)
@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 2.0]), min_size=7, max_size=7), max_size=9),
    st.integers(1, 9),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([0, 30]),  # further items, which make the products of an item few beside all
    st.integers(1, 3),
)
def test_neighbours_are_the_largest_similarities_with_ties_by_item(
    rows: list[list[float]], n: int, shrink: float, others: int, threads: int
) -> None:
    dense = np.pad(np.array(rows, np.float32).reshape(len(rows), 7), ((0, 0), (0, others)))
    norms = np.sqrt(np.square(dense).sum(axis=0))
    with np.errstate(invalid="ignore"):
        similar = np.nan_to_num((dense.T @ dense) / (np.outer(norms, norms) + np.float32(shrink)))
    np.fill_diagonal(similar, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.ranking.nearest.ROWS", 4)
        top = nearest_columns(matrix(dense), n, shrink, threads)
    expected = top_n(similar, n, above=0.0)  # small numbers: the products are exact in any order
    np.testing.assert_array_equal(top.items, expected.items)
    np.testing.assert_array_equal(top.scores, expected.scores)


def test_products_too_small_for_float32_are_no_neighbours() -> None:
    tiny = matrix([[1e-30, 1e-30, 1], [0, 0, 1]])
    for columns in (tiny, matrix([[1e-30, 1e-30, 1, 0, 0, 0, 0, 0, 0, 0, 0]])):
        top = nearest_columns(columns, 2, 1.0, 1)
        assert top.items[:3].tolist() == [[2, -1], [2, -1], [0, 1]]

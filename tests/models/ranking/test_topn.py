"""The top-N kernel, against a slow but obvious reference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models.errors import ModelError
from models.ranking.topn import TopN, block_users, top_n, top_n_factors

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
FEW = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 0.5, 3.0])  # many ties


def reference(
    scores: npt.NDArray[np.float32], n: int, out: npt.NDArray[np.bool_], above: float | None
) -> TopN:
    """Sort the eligible items of every row by (score descending, item ascending)."""
    top = TopN.empty(len(scores), n)
    for user, row in enumerate(scores):
        eligible = [i for i in range(len(row)) if not out[user, i] and (above is None or row[i] > above)]
        for rank, item in enumerate(sorted(eligible, key=lambda i: (-float(row[i]), i))[:n]):
            top.items[user, rank], top.scores[user, rank] = item, row[item]
    return top


def assert_equal(actual: TopN, expected: TopN) -> None:
    np.testing.assert_array_equal(actual.items, expected.items)
    np.testing.assert_array_equal(actual.scores, expected.scores)
    assert actual.items.dtype == np.int32
    assert actual.scores.dtype == np.float32


@st.composite
def cases(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Draw scores (floats, ties or long random rows), seen items and allowed items."""
    users, items = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    kind = draw(st.sampled_from(["floats", "ties", "long"]))
    if kind == "long":
        items = draw(st.integers(200, 1500))
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        scores = rng.integers(-50, 50, (users, items)).astype(np.float32)
        seen, allowed = rng.random((users, items)) < 0.3, rng.random(items) < 0.8
        return scores, seen, allowed
    row = st.lists(FLOATS if kind == "floats" else FEW, min_size=items, max_size=items)
    flags = st.lists(st.booleans(), min_size=items, max_size=items)
    scores = np.array([draw(row) for _ in range(users)], dtype=np.float32)
    return scores, np.array([draw(flags) for _ in range(users)]), np.array(draw(flags))


@settings(max_examples=150)
@given(cases(), st.integers(1, 60), st.sampled_from([None, 0.0, -2.5]), st.sampled_from([1, 3]))
def test_top_n_equals_the_reference(case: tuple, n: int, above: float | None, threads: int) -> None:
    scores, seen, allowed = case
    before = scores.copy()
    top = top_n(
        scores, n, exclude=sparse.csr_array(seen), allowed=allowed, above=above, threads=threads
    )  # fmt: skip
    assert_equal(top, reference(scores, n, seen | ~allowed, above))
    np.testing.assert_array_equal(scores, before)


def test_ties_are_broken_by_item_index_and_minus_zero_equals_zero() -> None:
    scores = np.array([[0.0, -0.0, 1.0, -0.0, 0.0, 1.0]], dtype=np.float32)
    assert top_n(scores, 5).items.tolist() == [[2, 5, 0, 1, 3]]


def test_a_long_row_of_ties_gives_the_first_items() -> None:
    scores = np.full((2, 5000), 0.25, dtype=np.float32)
    seen = sparse.csr_array((np.ones(3), ([0, 0, 1], [0, 2, 4999])), shape=scores.shape)
    top = top_n(scores, 100, exclude=seen)
    assert top.items[0, :3].tolist() == [1, 3, 4]
    assert top.items[1].tolist() == list(range(100))


@pytest.mark.parametrize("order", ["ascending", "descending", "sawtooth"])
def test_sorted_rows_are_exact(order: str) -> None:
    row = np.arange(10_000, dtype=np.float32)
    row = {"ascending": row, "descending": row[::-1], "sawtooth": row % 256 * 100 + row // 256}[order]
    scores = np.ascontiguousarray(np.stack([row, np.roll(row, 77)]))
    assert_equal(top_n(scores, 100), reference(scores, 100, np.zeros(scores.shape, np.bool_), None))


def test_lists_are_padded_if_few_or_no_items_are_eligible() -> None:
    scores = np.array([[1, 2, 3], [1, 2, 3]], dtype=np.float32)
    seen = sparse.csr_array(np.array([[1, 1, 1], [0, 0, 1]]))
    top = top_n(scores, 4, exclude=seen, allowed=np.array([True, False, True]))
    assert top.items.tolist() == [[-1, -1, -1, -1], [0, -1, -1, -1]]
    assert top.scores.tolist() == [[-np.inf] * 4, [1, -np.inf, -np.inf, -np.inf]]


def test_a_stored_zero_excludes_an_item_too() -> None:
    seen = sparse.csr_array((np.zeros(1, np.float32), ([0], [1])), shape=(1, 2))
    assert top_n(np.array([[1, 2]], dtype=np.float32), 2, exclude=seen).items.tolist() == [[0, -1]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("masked", [False, True])
def test_a_score_that_is_not_finite_is_an_error_even_if_masked(bad: float, masked: bool) -> None:
    scores = np.zeros((5, 300), dtype=np.float32)
    scores[3, 7] = bad
    seen = sparse.csr_array((np.ones(1), ([3], [7])), shape=scores.shape) if masked else None
    with pytest.raises(ModelError, match="row 3"):
        top_n(scores, 2, exclude=seen)


def test_factors_that_overflow_are_an_error() -> None:
    vectors = np.full((2, 2), 1e30, dtype=np.float32)
    with pytest.raises(ModelError, match="finite"):
        top_n_factors(vectors, vectors, 1)
    with pytest.raises(ModelError, match=r"finite item_vectors.*row 1"):
        top_n_factors(vectors, np.array([[1, 1], [np.nan, 1]], dtype=np.float32), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n >= 1, got 0"),
        ({"exclude": sparse.csr_array((3, 2))}, r"csr of shape \(2, 3\), got csr \(3, 2\)"),
        ({"exclude": sparse.coo_array((2, 3))}, "got coo"),
        ({"allowed": np.ones(2, dtype=np.bool_)}, r"bool \(3,\), got bool \(2,\)"),
        ({"allowed": np.ones(3)}, "got float64"),
        ({"scores": np.zeros((2, 3))}, "got float64"),
    ],
)
def test_invalid_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        top_n(**{"scores": np.zeros((2, 3), dtype=np.float32), "n": 1, **arguments})


def vectors(
    users: int, items: int, width: int = 24
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    rng = np.random.default_rng(7)
    made = rng.standard_normal((users + items, width), dtype=np.float32)
    return made[:users], made[users:]


@pytest.mark.parametrize("items", [1, 17, 1003])
def test_factors_rank_like_their_product(items: int) -> None:
    users, item_vectors = vectors(700, items)
    seen = sparse.random_array((700, items), density=0.1, format="csr", rng=np.random.default_rng(1))
    top = top_n_factors(users, item_vectors, 20, exclude=seen)
    product = (users.astype(np.float64) @ item_vectors.T.astype(np.float64)).astype(np.float32)
    assert_equal(top, top_n(product, 20, exclude=seen))


def rounded_once(user: list[float], item: list[float]) -> np.float32:
    """Return the ranked score: products summed in float64 in eight strands, rounded to float32."""
    strands = [0.0] * 8
    whole = len(user) // 8 * 8
    for k, (a, b) in enumerate(zip(user, item, strict=True)):
        strands[k % 8 if k < whole else 0] += a * b
    s0, s1, s2, s3, s4, s5, s6, s7 = strands
    return np.float32(((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7)))


@settings(max_examples=100)
@given(st.data(), st.integers(1, 19), st.sampled_from([None, 0.0]), st.booleans())
def test_factors_rank_by_the_product_rounded_once(
    data: st.DataObject, width: int, above: float | None, large: bool
) -> None:
    value = st.floats(-(2.0**50), 2.0**50, width=32) if large else st.integers(-3, 3)
    made = data.draw(st.lists(st.lists(value, min_size=width, max_size=width), min_size=2, max_size=30))
    drawn = np.array(made, dtype=np.float32)
    scores = np.array([[rounded_once(u, i) for i in drawn.tolist()] for u in drawn[:2].tolist()])
    expected = reference(scores, 10, np.zeros((2, len(drawn)), np.bool_), above)
    assert_equal(top_n_factors(drawn[:2], drawn, 10, above=above), expected)


TIES = ["equal", "few", "near", "rank one", "zero items", "zero users", "tiny"]


@st.composite
def tied_vectors(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Draw vectors of 1 to 6 users and of up to 700 items, many of them with (nearly) equal scores."""
    n_users, n_items, width = draw(st.integers(1, 6)), draw(st.integers(2, 700)), draw(st.integers(1, 19))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    users, items = rng.standard_normal((n_users, width)), rng.standard_normal((n_items, width))
    for kind in draw(st.sets(st.sampled_from(TIES), min_size=1)):
        if kind in {"equal", "few"}:
            items = items[rng.integers(0, 1 if kind == "equal" else 12, n_items) % n_items]
        elif kind == "near":
            items = items[:1] * (1 + 1e-7 * rng.standard_normal(items.shape))
        elif kind == "rank one":
            items = np.outer(rng.standard_normal(n_items), items[0])
        elif kind == "zero items":
            items = items * (rng.random((n_items, 1)) < 0.3)
        elif kind == "zero users":
            users = users * (rng.random((n_users, 1)) < 0.5)
        elif np.abs(users).max() > 1e-20:
            users, items = users * 1e-23, items * 1e13
    return users.astype(np.float32), items.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(tied_vectors(), st.integers(1, 90), st.sampled_from([None, 0.0]), st.integers(0, 2**32), st.data())
def test_ties_and_near_ties_rank_by_the_product_rounded_once(
    drawn: tuple, n: int, above: float | None, seed: int, data: st.DataObject
) -> None:
    users, items = drawn
    rng = np.random.default_rng(seed)
    seen = rng.random((len(users), len(items))) < data.draw(st.sampled_from([0, 0.05, 0.9]))
    allowed = rng.random(len(items)) < data.draw(st.sampled_from([0.5, 1]))
    scores = np.array([[rounded_once(u, i) for i in items.tolist()] for u in users.tolist()])
    top = top_n_factors(users, items, n, exclude=sparse.csr_array(seen), allowed=allowed, above=above)
    assert_equal(top, reference(scores, n, seen | ~allowed, above))


def test_near_ties_of_tiny_vectors_are_found() -> None:
    rng = np.random.default_rng(0)
    users = (rng.standard_normal((50, 13)) * 1e-23).astype(np.float32)  # their squares are 0 in float32
    near = rng.standard_normal((1, 13)) + rng.standard_normal((400, 13)) * 1e-7
    items = (near * 1e13).astype(np.float32)
    scores = np.array([[rounded_once(u, i) for i in items.tolist()] for u in users.tolist()])
    expected = reference(scores, 5, np.zeros(scores.shape, np.bool_), None)
    assert_equal(top_n_factors(users, items, 5), expected)


@pytest.mark.parametrize("width", [1, 8, 13, 64])
@pytest.mark.parametrize("crowd", [1, 4, 47])
def test_crowded_users_get_the_same_lists_as_alone(width: int, crowd: int) -> None:
    users, items = vectors(60, 900, width)
    users[crowd:, 1:] = 0  # the others only see the first factor
    items[:, 1:] = items[0, 1:]  # for the crowd, all items are nearly equal
    items[:, 0] *= 1e-7 if width > 1 else 1
    expected = [top_n_factors(users[i : i + 1], items, 30) for i in range(60)]
    assert_equal(top_n_factors(users, items, 30), TopN.stack(expected, 30))
    scores = np.array([[rounded_once(u, i) for i in items.tolist()] for u in users.tolist()])
    assert_equal(
        top_n_factors(users, items, 30), reference(scores, 30, np.zeros(scores.shape, np.bool_), None)
    )


def test_items_with_equal_vectors_tie_at_any_position() -> None:
    users, items = vectors(100, 1, 61)
    copies = np.repeat(items, 1003, axis=0)
    positive = (users @ items.T)[:, 0] > 0
    top = top_n_factors(users, copies, 300, above=0.0)
    np.testing.assert_array_equal(top.items[positive], np.broadcast_to(np.arange(300), (positive.sum(), 300)))


def test_lists_do_not_depend_on_threads_budget_batch_or_neighbours_in_the_batch() -> None:
    users, items = vectors(1300, 1003, 61)
    expected = top_n_factors(users, items, 50, threads=1)
    assert_equal(top_n_factors(users, items, 50, threads=5), expected)
    assert_equal(top_n_factors(users, items, 50, threads=3, block_bytes=1), expected)
    alone = [top_n_factors(users[i : i + 1], items, 50) for i in (0, 511, 512, 1299)]
    for user, top in zip((0, 511, 512, 1299), alone, strict=True):
        assert_equal(top, TopN(expected.items[[user]], expected.scores[[user]]))
    order = np.random.default_rng(3).permutation(1300)
    assert_equal(top_n_factors(users[order], items, 50), TopN(expected.items[order], expected.scores[order]))


def test_read_only_arrays_are_accepted() -> None:
    scores = np.zeros((2, 30), dtype=np.float32)
    seen = sparse.csr_array((2, 30))
    for array in (scores, seen.indptr, seen.indices):
        array.flags.writeable = False
    assert top_n(scores, 2, exclude=seen, overwrite=True).items.tolist() == [[0, 1], [0, 1]]


def test_no_users_gives_no_rows() -> None:
    users, items = vectors(0, 9)
    assert top_n_factors(users, items, 3).items.shape == (0, 3)
    assert top_n(np.zeros((0, 9), dtype=np.float32), 3).items.shape == (0, 3)


@pytest.mark.parametrize(
    ("items", "users"), [(1, 512), (20_000, 512), (50_000, 256), (10**6, 16), (10**8, 16)]
)
def test_the_shape_of_a_block_depends_only_on_the_catalogue(items: int, users: int) -> None:
    assert block_users(items) == users

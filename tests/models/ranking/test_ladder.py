"""The fallback ladder, against lists built item by item, and its guarantees for any input."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models.ranking.ladder import Rankings, fill
from models.ranking.topn import TopN

N_ITEMS = 9


def naive(top, lists, steps, seen, repeat):
    """Return items and origins of one user's list, climbing the ladder one item at a time."""
    n = len(top)
    items = [item for item in top if item >= 0]
    origin = [0] * len(items)
    for turn in range(1 + repeat):
        for number, step in enumerate(steps):
            for item in lists[step] if step >= 0 else ():
                if len(items) < n and item not in items and (turn == 1 or item not in seen):
                    items.append(item)
                    origin.append(len(steps) + 1 if turn else number + 1)
    missing = n - len(items)
    return items + [-1] * missing, origin + [-1] * missing


@st.composite
def cases(draw):
    n_users, n, n_lists = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 4))
    some = st.lists(st.integers(0, N_ITEMS - 1), unique=True)
    lists = [draw(some) for _ in range(n_lists)]
    n_steps = draw(st.integers(1, 3))
    steps = [
        draw(st.lists(st.integers(-1, n_lists - 1), min_size=n_steps, max_size=n_steps))
        for _ in range(n_users)
    ]
    tops = [draw(some)[:n] for _ in range(n_users)]
    seen = [sorted(set(draw(some)) - set(top)) for top in tops]
    scores = [sorted(draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)), reverse=True) for _ in tops]
    return n, lists, steps, tops, seen, scores, draw(st.booleans())


def arrays(n, lists, steps, tops, seen, scores):  # noqa: PLR0917
    """Return the arguments of `fill` for plain lists."""
    top = TopN.empty(len(tops), n)
    for user, items in enumerate(tops):
        top.items[user, : len(items)] = items
        top.scores[user, : len(items)] = scores[user][: len(items)]
    indptr = np.concatenate(([0], np.cumsum([len(items) for items in seen]))).astype(np.int32)
    indices = np.array([item for items in seen for item in items], np.int32)
    matrix = sparse.csr_array(
        (np.ones(len(indices), np.float32), indices, indptr), shape=(len(tops), N_ITEMS)
    )
    rankings = Rankings.of([np.array(items, np.int32) for items in lists])
    return top, rankings, np.array(steps, np.int32), matrix


@given(cases())
@settings(max_examples=300)
def test_lists_are_filled_as_by_hand(case) -> None:
    n, lists, steps, tops, seen, scores, repeat = case
    top, rankings, ladder, matrix = arrays(n, lists, steps, tops, seen, scores)
    before = top.items.copy(), top.scores.copy()
    full, origin = fill(top, rankings, ladder, matrix, repeat=repeat)
    for user in range(len(tops)):
        items, origins = naive(top.items[user].tolist(), lists, steps[user], seen[user], repeat)
        assert full.items[user].tolist() == items
        assert origin[user].tolist() == origins
        modelled = len(tops[user])
        filled = full.items[user] >= 0
        assert np.array_equal(full.scores[user, :modelled], top.scores[user, :modelled])
        assert (np.diff(full.scores[user][filled]) <= 0).all()
        assert np.isneginf(full.scores[user][~filled]).all()
        assert np.isfinite(full.scores[user][filled]).all()
    assert np.array_equal(before[0], top.items)
    assert np.array_equal(before[1], top.scores)


def test_steps_are_climbed_in_order_and_seen_items_come_last() -> None:
    # the model recommended item 4 (score 0.5); item 1 is seen; item 8 is in no ranking
    top, rankings, ladder, seen = arrays(6, [[1, 2], [2, 3, 4], [0]], [[0, 1, 2]], [[4]], [[1]], [[0.5]])
    full, origin = fill(top, rankings, ladder, seen, repeat=True)
    assert full.items.tolist() == [[4, 2, 3, 0, 1, -1]]
    assert origin.tolist() == [[0, 1, 2, 3, 4, -1]]
    assert full.scores.tolist() == [[0.5, -1, -2, -3, -4, -np.inf]]
    full, origin = fill(top, rankings, ladder, seen, repeat=False)
    assert full.items.tolist() == [[4, 2, 3, 0, -1, -1]]


def test_filled_scores_are_below_a_negative_score_of_the_model() -> None:
    top, rankings, ladder, seen = arrays(3, [[1, 2]], [[0]], [[4]], [[]], [[-2.5]])
    assert fill(top, rankings, ladder, seen, repeat=False)[0].scores.tolist() == [[-2.5, -3.5, -4.5]]


def test_without_seen_items_nothing_is_left_out() -> None:
    top, rankings, ladder, _ = arrays(2, [[7, 8]], [[0], [-1]], [[], []], [[], []], [[], []])
    full, origin = fill(top, rankings, ladder, None, repeat=False)
    assert full.items.tolist() == [[7, 8], [-1, -1]]
    assert origin.tolist() == [[1, 1], [-1, -1]]

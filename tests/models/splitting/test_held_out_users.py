"""Held-out users: their split into shown and hidden items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.worlds import matrix
from models.errors import ModelError
from models.splitting.held_out_users import fold_in, hold_out_users

seeds = st.integers(0, 2**32)


@given(seeds)
def test_every_user_and_every_pair_is_accounted_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = matrix((rng.random((40, 25)) < rng.uniform(0, 0.6, 40)[:, None]) * rng.integers(1, 6, (40, 25)))
    split = hold_out_users(world, 8, seed)
    groups = [split.train_users, split.validation.users, split.test.users]
    all_users = np.concatenate(groups)
    assert sorted(all_users.tolist()) == np.flatnonzero(np.diff(world.indptr)).tolist()
    assert [len(group) for group in groups[1:]] == [8, 8]
    np.testing.assert_array_equal(split.train.toarray(), world.toarray()[split.train_users])
    trained = split.train.toarray().any(axis=0)
    for part in (split.validation, split.test):
        shown, hidden, full = part.shown.toarray(), part.hidden.toarray(), world.toarray()[part.users]
        assert not ((shown > 0) & (hidden > 0)).any()
        np.testing.assert_array_equal(shown + hidden, full * trained)
        assert part.cold_pairs == (full * ~trained > 0).sum()
        sizes = (full * trained > 0).sum(axis=1)
        expected = np.where(sizes >= 5, (0.2 * sizes).astype(int), 0)
        np.testing.assert_array_equal((hidden > 0).sum(axis=1), expected)
        assert part.short_users == ((sizes < 5) & (sizes > 0)).sum()
        assert part.counts["measured_users"] == (expected > 0).sum()
    assert split.cold_items == (world.toarray().any(axis=0) & ~trained).sum()


def test_the_seed_determines_the_held_out_users_and_hidden_items() -> None:
    world = matrix(np.ones((30, 20)))
    first, same, different = (hold_out_users(world, 5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test.hidden.toarray(), same.test.hidden.toarray())
    np.testing.assert_array_equal(first.train_users, same.train_users)
    assert first.train_users.tolist() != different.train_users.tolist()
    assert (first.test.hidden.toarray()[0] != first.test.hidden.toarray()[1]).any()
    assert hold_out_users(world, 5, 1, hidden_share=0.5).test.counts["hidden_pairs"] == 50


def test_cold_items_and_short_users_by_hand() -> None:
    world = matrix([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 1]])
    known = np.array([True, True, True, True, True, False])
    part = fold_in(world, np.array([0, 1, 2]), known, 0.4, np.random.default_rng(0))
    assert part.counts == {
        "users": 3,
        "measured_users": 1,
        "shown_pairs": 3 + 4,
        "hidden_pairs": 2,
        "cold_pairs": 3,
        "short_users": 1,
        "empty_users": 1,
    }


def test_holding_out_too_many_users_is_an_error() -> None:
    world = matrix(np.ones((10, 4)))
    with pytest.raises(ModelError, match="expected 1 to 4 users for each held-out group, got 5"):
        hold_out_users(world, 5, 0)
    with pytest.raises(ModelError, match="hidden share between 0 and 1"):
        hold_out_users(world, 2, 0, hidden_share=1)

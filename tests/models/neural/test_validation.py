"""Validation users: who is held out, what is hidden, and how it is scored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import sparse

from models.neural.validation import ValidationSet, validation_users


def matrix(dense: npt.ArrayLike) -> sparse.csr_array:
    return sparse.csr_array(np.asarray(dense, dtype=np.float32))


def test_a_fifth_of_a_validation_users_items_is_hidden() -> None:
    full = matrix([[1] * 10, [1] * 9 + [0], [1] * 5 + [0] * 5])
    validation = ValidationSet.split(full, np.random.default_rng(0))
    assert np.diff(validation.hidden.indptr).tolist() == [2, 1, 1]
    np.testing.assert_array_equal((validation.seen + validation.hidden).toarray(), full.toarray())


def test_the_gain_of_hidden_items_by_hand() -> None:
    validation = ValidationSet(matrix([[1, 0, 0, 0], [0, 0, 1, 0]]), matrix([[0, 1, 0, 1], [1, 0, 0, 0]]))
    logits = torch.tensor([[9.0, 1.0, 3.0, 2.0], [0.0, 1.0, 9.0, 2.0]])
    # user 0 ranks 2, 3, 1: hits at ranks 2 and 3 of ideal 1 and 2; user 1 ranks 3, 1, 0: a hit at
    # rank 3
    expected = (1 / np.log2(3) + 1 / 2) / (1 + 1 / np.log2(3)) + 1 / 2
    assert validation.gain(logits, slice(0, 2)) == pytest.approx(expected, rel=1e-6)


def test_with_few_users_all_are_trained_on() -> None:
    draw = np.random.default_rng(0)
    assert len(validation_users(matrix(np.ones((499, 6))), 0.1, draw)) == 0
    assert len(validation_users(matrix(np.ones((500, 6))), 0.1, draw)) == 50
    assert (
        len(validation_users(matrix(np.ones((500, 4))), 0.1, draw)) == 0
    )  # no user has enough items to hide
    large = sparse.csr_array(
        (np.ones(60_000, np.float32), np.tile(np.arange(6), 10_000), np.arange(0, 60_001, 6)),
        shape=(10_000, 10**6),
    )
    assert len(validation_users(large, 0.1, draw)) == 100

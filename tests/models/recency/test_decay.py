"""Weights that halve with age: known values, and what stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models.dataset import Dataset, Histories, Sequences
from models.errors import ModelError
from models.recency.decay import OLDEST, Decay
from models.recency.half_life import DAY


def two_users() -> Dataset:
    """Return user 0 with item 0 (on days 0 and 4) and item 2 (day 6), user 1 with item 1 (day 2)."""
    matrix = sparse.csr_array(np.array([[2.0, 0, 1.0], [0, 3.0, 0]], np.float32))
    events = (np.array([0, 0, 2, 1], np.int32), np.array([0, 4, 6, 2], np.int64) * DAY)
    return Dataset(matrix, Sequences(np.array([0, 3, 4], np.int64), *events))


def test_a_weight_halves_with_each_half_life_before_the_last_event() -> None:
    data = two_users()
    decay = Decay.of(data, 2.0 * DAY)
    assert (decay.days, decay.latest) == (2.0, 6 * DAY)
    assert decay.dataset(data).matrix.toarray().tolist() == [[1.0, 0, 1.0], [0, 0.75, 0]]


def test_scaled_weights_keep_their_sum() -> None:
    """The decayed weights 1, 1 and 3/4 add up to 11/4, the weights to 6."""
    data = two_users()
    scaled = Decay.of(data, 2.0 * DAY).scaled_dataset(data).matrix.toarray()
    assert scaled == pytest.approx(np.array([[1, 0, 1], [0, 0.75, 0]]) * 24 / 11)
    assert Decay().scaled_dataset(data) is data


def test_later_events_count_whole_and_old_ones_never_vanish() -> None:
    data = two_users()
    decay = Decay.of(data, DAY / 24 / 60)  # a minute
    weights = decay.dataset(data).matrix.toarray()
    assert weights[1, 1] == pytest.approx(3 * 2**-OLDEST)
    later = Sequences(np.array([0, 1], np.int64), np.array([1], np.int32), np.array([9 * DAY], np.int64))
    history = sparse.csr_array(np.array([[0, 5.0, 0]], np.float32))
    assert decay.histories(Histories(history, later)).matrix.toarray().tolist() == [[0, 5.0, 0]]


@pytest.mark.parametrize("days", [1e9, 1e300])
def test_a_half_life_longer_than_any_log_can_be_stored(days: float) -> None:
    data = two_users()
    decay = Decay.of(data, days * DAY)
    assert Decay.restored(decay.array()) == decay
    assert decay.dataset(data).matrix.toarray() == pytest.approx(data.matrix.toarray())


def test_without_a_half_life_or_times_weights_stay() -> None:
    data = two_users()
    assert Decay.of(data, None).dataset(data) is data
    assert Decay.of(data, None).days is None
    timeless = Histories(data.matrix)
    assert Decay.of(data, DAY).histories(timeless) is timeless
    with pytest.raises(ModelError, match="expected sequences with timestamps"):
        Decay.of(Dataset(data.matrix), DAY)


def test_a_pair_without_an_event_keeps_its_weight() -> None:
    data = two_users()
    extra = sparse.csr_array(np.array([[2.0, 7.0, 1.0], [0, 3.0, 0]], np.float32))
    assert Decay.of(data, DAY).histories(Histories(extra, data.sequences)).matrix[0, 1] == 7.0


@given(st.integers(0, 2**62), st.integers(-(2**62), 2**62))
def test_a_decay_survives_an_artefact(half_life: int, latest: int) -> None:
    decay = Decay(half_life, latest)
    assert Decay.restored(decay.array()) == decay


@pytest.mark.parametrize("array", [np.array([1]), np.array([-1, 0]), np.array([1.0, 2.0])])
def test_damaged_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ModelError, match="expected a half-life and a time"):
        Decay.restored(array)

"""Sorted keys are what NumPy's sets say they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.splitting.keys import among, distinct

KEYS = st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 5)).map(lambda keys: np.array(keys, np.int64))


@given(KEYS, KEYS)
def test_distinct_keys_and_membership_are_those_of_sets(first, second):
    ordered = distinct(second)
    assert ordered.tolist() == sorted(set(second.tolist()))
    assert among(first, ordered).tolist() == [key in set(second.tolist()) for key in first.tolist()]

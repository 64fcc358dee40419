"""The scale of ratings."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix
from models.errors import ModelError
from models.ratings.scale import Scale


def test_a_scale_brings_ratings_to_mean_0_and_variance_1_and_back_into_their_range() -> None:
    scale = Scale.of("mine", matrix([[1, 0, 3], [5, 7, 0]]))
    assert scale == Scale(4.0, pytest.approx(5**0.5), 1.0, 7.0)
    rest = scale.standardised(np.array([1, 3, 5, 7], np.float32))
    assert rest.dtype == np.float32
    np.testing.assert_allclose(rest, np.array([-3, -1, 1, 3]) / 5**0.5, rtol=1e-6)
    np.testing.assert_array_equal(scale.clipped(np.array([-2.0, 2.5, 9.0])), np.array([1, 2.5, 7]))


def test_ratings_that_do_not_differ_are_refused() -> None:
    with pytest.raises(
        ModelError, match="mine: expected weights that differ, as ratings do, got 2 for all 3"
    ):
        Scale.of("mine", matrix([[2, 0], [2, 2]]))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.0, 2.0, 3.0]), r"expected a scale float64 \(4,\)"),
        (np.array([1, 2, 3, 4]), r"expected a scale float64 \(4,\), got int64"),
        (np.array([1.0, 0.0, 1.0, 5.0]), "expected a scale of ratings that differ"),
        (np.array([1.0, 1.0, 5.0, 5.0]), "expected a scale of ratings that differ"),
        (np.array([np.nan, 1.0, 1.0, 5.0]), "expected a scale of ratings that differ"),
    ],
)
def test_an_array_that_is_no_scale_is_refused(array: np.ndarray, message: str) -> None:
    good = Scale(3.0, 1.0, 1.0, 5.0)
    assert Scale.restored(good.array()) == good
    with pytest.raises(ModelError, match=message):
        Scale.restored(array)

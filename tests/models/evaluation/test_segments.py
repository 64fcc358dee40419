"""Metrics per segment of users and of items, against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix
from models.errors import ModelError
from models.evaluation import metrics
from models.evaluation.activity import ACTIVITY, activity
from models.evaluation.segments import by_item, by_user

VALUES = {("ndcg", 10): np.array([1.0, 0.5, np.nan, 0.0, 0.25])}


def test_users_are_new_light_or_heavy_by_their_number_of_items() -> None:
    codes = activity(np.array([0, 4, 5, 49, 50, 900]))
    assert [ACTIVITY[code] for code in codes] == ["new", "new", "light", "light", "heavy", "heavy"]
    assert activity(np.array([1, 2, 3]), (2, 3)).tolist() == [0, 1, 2]
    with pytest.raises(ModelError, match="ascending bounds"):
        activity(np.array([1]), (3, 3))


def test_a_segment_has_the_mean_of_its_measured_users() -> None:
    figures = by_user(VALUES, np.array([0, 0, 0, 2, -1]), ("a", "b", "c"))
    assert [(row.segment, row.metric, row.k, row.value, row.users) for row in figures] == [
        ("a", "ndcg", 10, 0.75, 2),
        ("b", "ndcg", 10, None, 0),
        ("c", "ndcg", 10, 0.0, 1),
    ]


def test_segment_means_weighted_by_users_give_the_overall_mean() -> None:
    rng = np.random.default_rng(0)
    values = {("recall", 5): np.where(rng.random(100) < 0.2, np.nan, rng.random(100))}
    figures = by_user(values, rng.integers(0, 4, 100), "wxyz")
    whole = values["recall", 5]
    mean, users = np.nanmean(whole), int((~np.isnan(whole)).sum())
    assert sum(row.users for row in figures) == users
    assert sum((row.value or 0) * row.users for row in figures) / users == pytest.approx(mean)


def test_head_and_tail_are_measured_separately() -> None:
    lists = np.array([[0, 3], [1, 2]], dtype=np.int32)
    relevant = matrix([[1, 1, 0, 1], [0, 0, 1, 0]])
    by_segment = by_item(lists, relevant, [1, 2], np.array([0, 0, 1, 1]), ("head", "tail"))
    np.testing.assert_allclose(metrics.recall(by_segment["head"], 2), [1 / 2, np.nan])
    np.testing.assert_allclose(metrics.recall(by_segment["tail"], 2), [1, 1])
    np.testing.assert_allclose(metrics.recall(by_segment["tail"], 1), [0, 0])
    together = metrics.match_lists(lists, relevant, [1, 2])
    np.testing.assert_array_equal(by_segment["head"].hits + by_segment["tail"].hits, together.hits)


def test_invalid_codes_are_refused() -> None:
    with pytest.raises(ModelError, match=r"expected 5 codes, got \(2,\)"):
        by_user(VALUES, np.array([0, 1]), "ab")
    with pytest.raises(ModelError, match=r"codes from -1 to 1, got 0\.\.2"):
        by_user(VALUES, np.array([0, 1, 2, 0, 0]), "ab")

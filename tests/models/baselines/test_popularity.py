"""Popularity: the number of an item's users, or the sum of their weights."""

from __future__ import annotations

from models.baselines.popularity import Popularity, PopularityConfig
from models.contract.worlds import matrix
from models.dataset import Dataset


def test_popularity_counts_users_or_sums_weights() -> None:
    dataset = Dataset(matrix([[1, 5, 0], [1, 0, 0]]))
    assert Popularity().fit(dataset).scores(dataset.histories).tolist() == [[2, 1, 0]] * 2
    by_weight = Popularity(PopularityConfig(count="weight")).fit(dataset)
    assert by_weight.scores(dataset.histories).tolist() == [[2, 5, 0]] * 2
    assert by_weight.recommend(dataset.histories, 3).items.tolist() == [[1, 0, -1]] * 2

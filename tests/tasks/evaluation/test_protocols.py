"""Popularity reproduces published figures on the real files, so the protocols are as published.

The files are in NIGHTSHELF_DATA, or in a folder shared/data beside the repository.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from worlds.paths import ROOT

from models.evaluation.protocols import ncf, temporal
from models.registry import create
from tasks.evaluation.protocol_files import read_ncf, read_ratings

DATA = Path(os.environ.get("NIGHTSHELF_DATA") or ROOT.parent / "shared" / "data").absolute() / "movielens-1m"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}: set NIGHTSHELF_DATA"),
]


def test_popularity_among_99_negatives_matches_dacrema_et_al() -> None:
    """Ferrari Dacrema et al. 2021, tables 54 and 55: HR@10 .4533, NDCG@10 .2542."""
    files = read_ncf(DATA / "ncf")
    measured = ncf(files.train, files.positives, files.negatives, lambda: create("popularity"))
    assert measured.values["hit_rate", 10].mean() == pytest.approx(0.4533, abs=0.002)
    assert measured.values["ndcg", 10].mean() == pytest.approx(0.2542, abs=0.002)
    assert measured.counts == {"users": 6040, "negatives": 99, "cold_positives": 2}


def test_popularity_after_a_global_cut_matches_the_replay_notebook() -> None:
    """Ratings >= 3, the last 20 % of the time, cold users and items dropped; lists of 10."""
    ratings = read_ratings(DATA / "ratings.parquet").at_least(3)
    measured = temporal(ratings.sequences, ratings.shape[1], lambda: create("popularity"))
    figures = {row.metric: row.value for row in measured.table()}
    expected = {"ndcg": 0.244, "map": 0.157, "mrr": 0.390, "hit_rate": 0.645, "coverage": 0.034}
    for metric, value in expected.items():
        assert figures[metric] == pytest.approx(value, abs=0.002), metric
    assert abs(measured.counts["warm_users"] - 1_139) <= 1  # this copy rebuilds half of the times

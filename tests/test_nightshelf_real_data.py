"""The five lines of the library on MovieLens-1M: default types, polars, ids of text."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from worlds.paths import ROOT

import nightshelf as ns

DATA = Path(os.environ.get("NIGHTSHELF_DATA") or ROOT.parent / "shared" / "data").absolute()
RATINGS = DATA / "movielens-1m" / "ratings.parquet"
QUICK = {"factors": 64, "iterations": 3}

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not RATINGS.is_file(), reason=f"no real data in {DATA}: set NIGHTSHELF_DATA"),
]

FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.read_parquet(RATINGS),
    "polars": lambda: pl.read_parquet(RATINGS),
    "text": lambda: pd.read_parquet(RATINGS).astype({"user_id": str, "item_id": str}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_the_five_lines_work_on_unmodified_frames(name: str) -> None:
    df = FRAMES[name]()
    data = ns.Interactions.of(df)
    model = ns.create("als", **QUICK).fit(data)
    lists = model.recommend(data, k=10)
    assert (len(data), data.shape) == (1_000_209, (6_040, 3_706))
    assert type(lists) is type(df)
    assert len(lists) == 60_400
    assert [lists[column].dtype for column in ("user_id", "item_id")] == [
        df[column].dtype for column in ("user_id", "item_id")
    ]
    pairs, listed = (
        pd.DataFrame({key: frame[key].to_numpy() for key in ("user_id", "item_id")}) for frame in (df, lists)
    )
    assert pairs.merge(listed).empty  # no item that the user has rated
    assert not listed.duplicated().any()


def test_als_is_measured_as_better_than_popularity_with_intervals() -> None:
    data = ns.Interactions.of(FRAMES["pandas"]())
    figures = ns.evaluate(data, {"als": ns.create("als", **QUICK)}, k=10).set_index(["model", "metric"])
    for metric in ("ndcg", "recall", "map"):
        rows = figures.xs(metric, level="metric")
        assert rows.loc["als", "value"] > rows.loc["popularity", "value"]
        assert (rows["low"] < rows["value"]).all()
        assert (rows["value"] < rows["high"]).all()
    assert figures["users"].unique().tolist() == [1_141]

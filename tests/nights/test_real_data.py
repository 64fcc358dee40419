"""Real logs, if available in NIGHTSHELF_DATA or in a folder shared/data beside the repository."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from worlds.paths import ROOT

from flows.night.run import ingest_only, run_night
from tasks.configuration.configuration import load
from tasks.release.query import query
from tasks.store.layout import Store

DATA = Path(os.environ.get("NIGHTSHELF_DATA") or ROOT.parent / "shared" / "data").absolute()
SMALL = {"factors": 8, "iterations": 2, "half_life_days": 365.0}
WITHOUT = {"evaluation.enabled": False, "train.models": ["als"], "models.als": SMALL}
"""Models are measured elsewhere."""

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}: set NIGHTSHELF_DATA"),
]


def preset(name: str, store: Path, monkeypatch: pytest.MonkeyPatch, **overrides: object):
    monkeypatch.setenv("NIGHTSHELF_DATA", str(DATA))
    return load(ROOT / "deployments" / f"{name}.toml", {"store.path": str(store), **WITHOUT, **overrides})


def invoice_lines() -> Iterator[tuple[str, ...]]:
    """Read Online Retail with another tool."""
    for path in sorted((DATA / "online-retail" / "by-day").glob("*.csv")):
        with path.open(newline="") as file:
            rows = csv.reader(file)
            next(rows)
            yield from map(tuple, rows)


def test_every_line_of_online_retail_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested = ingest_only(preset("online-retail", tmp_path, monkeypatch), date(2011, 12, 31))
    lines = list(invoice_lines())
    assert ingested.counts.read == len(lines) == 541_909
    assert ingested.repeated_before_rules == len(lines) - len(set(lines)) == 5_268
    assert ingested.counts.rules["user_missing"] == sum(not line[6] for line in lines) == 135_080
    assert ingested.counts.residual() == 0


def test_the_second_night_of_online_retail_ingests_one_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = preset("online-retail", tmp_path, monkeypatch)
    first = run_night(configuration, date(2011, 11, 30))
    second = run_night(configuration, date(2011, 12, 1))
    assert [run.station("interactions").facts["files_taken"] for run in (first, second)] == [297, 1]
    lists = "SELECT count(*) AS rows, count(DISTINCT user_id) AS users FROM recommendations"
    row = query(Store(tmp_path), lists, release=first.release_id).to_pylist()[0]
    assert row == {"rows": 20 * row["users"], "users": 4_294}


@pytest.mark.parametrize(
    ("name", "figures"),
    [("movielens-small", (671, 9_066, 100_004)), ("movielens-1m", (6_040, 3_706, 1_000_209))],
)
def test_every_movielens_user_gets_a_list_and_every_film_its_neighbours(
    name: str, figures: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, items, ratings = figures
    record = run_night(preset(name, tmp_path, monkeypatch), date(2018, 1, 1))
    total = record.station("interactions").facts["total"]
    assert (total["read"], total["accepted"]) == (ratings, ratings)
    counted = (
        "SELECT (SELECT count(DISTINCT user_id) FROM recommendations) AS users, "
        "(SELECT count(*) FROM recommendations) AS rows, "
        "(SELECT count(DISTINCT item_id) FROM similar_items) AS items, "
        "(SELECT count(*) FROM similar_items) AS neighbours"
    )
    row = query(Store(tmp_path), counted).to_pylist()[0]
    assert row == {"users": users, "rows": 20 * users, "items": items, "neighbours": 20 * items}

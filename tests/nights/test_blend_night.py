"""A night that serves a blend of its trained models, measured beside them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from worlds.night_world import FIRST, Night, shop, write_logs

from flows.night.run import run_night
from models import artefact
from tasks.release.releases import current

TRAIN = {
    "train__models": ["blend", "item_knn", "popularity"],
    "train__serve": "blend",
    "train__refit": "all",
    "models__blend": {
        "weights": {"item_knn": 0.8, "popularity": 0.2},
        "weights_by_activity": {"new": {"popularity": 1.0}},
    },
    "models__item_knn": {"shrink": 5.0},
}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder: Path = tmp_path_factory.mktemp("blended")
    night = shop(folder, write_logs(folder / "logs", days=2))
    run_night(night.configured(**TRAIN), FIRST)
    return night


def test_the_lists_are_the_blends_and_its_metrics_stand_beside_its_models(night: Night) -> None:
    release = current(night.store).folder
    sources = duckdb.sql(f"SELECT DISTINCT source FROM '{release}/recommendations.parquet'").fetchall()
    assert ("blend",) in sources
    measured = duckdb.sql(f"SELECT DISTINCT model FROM '{release}/model_metrics.parquet'").fetchall()
    assert sorted(measured) == [("blend",), ("item_knn",), ("popularity",)]


@pytest.mark.parametrize("folder", ["models", "past-models"])
def test_the_models_of_a_blend_are_trained_once_with_their_own_settings(night: Night, folder: str) -> None:
    (record,) = night.records()
    models = record.folder(night.store).root / folder
    parts = artefact.read_manifest(models / "blend")["report"]["parts"]
    for name in ("item_knn", "popularity"):
        alone = artefact.read_manifest(models / name)
        assert parts[name] == alone["report"], "seconds would differ, had it been trained again"
    settings = artefact.read_manifest(models / "blend")["config"]["settings"]
    learned = {"half_life_days": None} if folder == "models" else {}
    assert settings == {"item_knn": {"shrink": 5.0} | learned}


def test_what_serves_has_the_half_life_of_what_was_measured(night: Night) -> None:
    (record,) = night.records()
    root = record.folder(night.store).root
    measured = artefact.read_manifest(root / "past-models" / "item_knn")
    served = artefact.read_manifest(root / "models" / "item_knn")
    assert measured["config"]["half_life_days"] == "learned"
    assert served["config"]["half_life_days"] == measured["report"]["half_life_days"]

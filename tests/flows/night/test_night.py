"""What a night's record says: which model lists similar items, and how fast popularity fades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worlds.night_world import FIRST, shop

from flows.night.night import Night
from tasks.store.runs import RunRecord, Station

FIGURES = {"als": 0.2, "item_knn": 0.3, "recent_popularity": 0.4}


def night(folder: Path, served: str, *stations: Station, serve: str = "best") -> Night:
    """Return a night that chose a model, after these stations."""
    configuration = shop(folder, folder / "logs").configured(train__models=[*FIGURES], train__serve=serve)
    record = RunRecord(run_id="20260310T000000Z", as_of=FIRST, started_at="2026-03-10T00:00:00+00:00")
    facts = {"model": served, "why": "", "figures": FIGURES, "segments": {}}
    record.stations = [*stations, station("served_model", None, facts)]
    return Night(configuration, shop(folder, folder / "logs").store, FIRST, record)


def station(kind: str, model: str | None, facts: dict[str, Any]) -> Station:
    return Station(kind=kind, model=model, seconds=0.0, peak_memory=0, facts=facts)


def test_a_floor_that_serves_leaves_similar_items_to_the_best_model_that_did_not_fail(tmp_path: Path) -> None:
    failed = station("measure", "item_knn", {"failed": "it learned nothing"})
    assert night(tmp_path, "recent_popularity").similar_model == "item_knn"
    assert night(tmp_path, "recent_popularity", failed).similar_model == "als"
    assert night(tmp_path, "als").similar_model == "als"
    assert night(tmp_path, "", serve="recent_popularity").similar_model == "recent_popularity"


def test_the_half_life_of_the_ladder_is_that_of_the_last_recent_popularity(tmp_path: Path) -> None:
    measured = station("measure", "recent_popularity", {"half_life_days": 0.25})
    trained = station("train", "recent_popularity", {"half_life_days": 0.5})
    failed = station("train", "recent_popularity", {"failed": "it has no events"})
    assert night(tmp_path, "als").half_life_days is None
    assert night(tmp_path, "als", measured).half_life_days == 0.25
    assert night(tmp_path, "als", measured, trained).half_life_days == 0.5
    assert night(tmp_path, "als", measured, failed).half_life_days == 0.25

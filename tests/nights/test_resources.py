"""A night keeps to its threads and memory in every library and all its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, shop, write_logs
from worlds.paths import IMPORTABLE, ROOT, WORLDS

from tasks.release.releases import current

Notes = list[dict[str, Any]]
ROOMS = ("flows", "tasks", "models", "sql")
POOLED = {
    "models/evaluation/bootstrap.py",
    "models/evaluation/metrics.py",
    "models/ranking/nearest.py",
    "models/ranking/topn.py",
    "tasks/interactions/candidates.py",
    "tasks/store/hashes.py",
}
"""The modules that start our threads in every night."""


def watched(folder: Path, program: str, *arguments: str) -> Notes:
    """Run a program of `worlds` in a child process; return what it and its children note."""
    notes = folder / "notes.jsonl"
    path = os.pathsep.join([str(WORLDS / "watched"), IMPORTABLE])
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, str(WORLDS / program), *arguments],
        env=environment | {"PYTHONPATH": path, "WATCHED": str(notes)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[Notes, dict[str, Any]]:
    """Return the notes of a night of all kinds of models on one thread and 512 MiB, and its manifest."""
    folder = tmp_path_factory.mktemp("single")
    night = shop(folder / "shop", write_logs(folder / "logs", days=2))
    changes = {
        "train.models": ["als", "item_knn", "mult_vae", "blend", "popularity"],
        "train.serve": "best",
        "report.enabled": True,
        "quality.min_users": 2,
        "models.mult_vae": {"epochs": 1, "hidden": 16, "latent": 4},
        "engine.threads": 1,
        "engine.memory": "512MiB",
    }
    notes = watched(folder, "watched_night.py", str(night.config), str(FIRST), json.dumps(changes))
    return notes, current(night.store).manifest()


def ours(notes: Notes) -> dict[str, set[int]]:
    """Return the thread pool sizes that each module of the rooms requested.

    Libraries are left out, also where the environment lies inside the repository.
    """
    pools: dict[str, set[int]] = {}
    for line in notes:
        path = Path(line["by"]) if "pool" in line else None
        if path is not None and any(path.is_relative_to(ROOT / room) for room in ROOMS):
            pools.setdefault(str(path.relative_to(ROOT)), set()).add(line["pool"])
    return pools


def test_a_night_on_one_thread_requests_no_second_thread(single: tuple[Notes, dict[str, Any]]) -> None:
    notes, manifest = single
    pools = ours(notes)
    assert pools.keys() >= POOLED
    assert {module: sizes for module, sizes in pools.items() if sizes != {1}} == {}
    stations = [line for line in notes if "station" in line]
    assert {line["station"] for line in stations} >= {"dataset", "measure blend", "quality", "release"}
    for line in stations:
        sizes = {line["workers"], line["arrow"], int(line["openmp"]), *line["pools"], line["torch"] or 1}
        assert sizes == {1}, line
    assert manifest["threads"] == {}


def test_children_and_databases_get_the_same_limits(single: tuple[Notes, dict[str, Any]]) -> None:
    notes, _ = single
    trained = [line for line in notes if "tasks.training.child" in line.get("started", ())]
    assert 1 <= len(trained) <= 6  # each model is measured, one is refitted; small children are shared
    assert {line["openmp"] for line in trained} == {"1"}
    databases = [(line["duckdb"], line["memory"]) for line in notes if "duckdb" in line]
    assert len(databases) >= 4  # the engine, the release, its audit, the report
    assert set(databases) == {(1, "307.0 MiB")}
    assert {line["score_bytes"] for line in notes if "station" in line} == {2**27}


@pytest.mark.spark
@pytest.mark.usefixtures("spark_engine")  # skips without Java
def test_spark_gets_the_same_limits(tmp_path: Path) -> None:
    night = shop(tmp_path, tmp_path)
    changes = {
        "engine.threads": 1,
        "engine.memory": "1GiB",
        "engine.name": "spark",
        "engine.spark_settings": {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"},
    }
    notes = watched(tmp_path, "watched_engine.py", str(night.config), json.dumps(changes))
    assert [(line["spark"], line["processors"]) for line in notes if "spark" in line] == [("local[1]", 1)]
    (limits,) = (line for line in notes if "station" in line)
    assert {limits["workers"], limits["arrow"], int(limits["openmp"]), *limits["pools"]} == {1}

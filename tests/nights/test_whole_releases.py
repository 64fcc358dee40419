"""Readers see one whole release: four tools join its tables during publications and removals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from worlds import whole_readers
from worlds.paths import IMPORTABLE
from worlds.release_world import World

from tasks.release.audit import Audit
from tasks.release.publish import publish
from tasks.release.releases import current, releases
from tasks.release.retention import retain


def marked(world: World, number: int) -> None:
    """Mark every table with the number of its release."""
    for name, column in (
        ("recommendations", "source"),
        ("similar_items", "source"),
        ("model_metrics", "model"),
        ("validation_results", "observed"),
    ):
        world.tables[name][column][:] = [f"m{number}"] * len(world.tables[name][column])
    world.tables["model_metrics"]["model"][1] = "popularity"
    world.tables["popular_items"]["users"][:] = [number] * len(world.tables["popular_items"]["users"])


def published(world: World, number: int, grace: float) -> list[str]:
    """Publish one more release; return those that were removed."""
    marked(world, number)
    staging = world.stage("2026-01-01", f"r{number}")
    publish(world.store, staging, Audit(staging.folder, 1, ()))
    return retain(world.store, 2, timedelta(seconds=grace))


def waited_for(signs: Path, reads: float, readers: list[subprocess.Popen[str]]) -> None:
    """Wait until every reader has done `reads` reads."""
    while any((signs / tool).stat().st_size < reads for tool in whole_readers.TOOLS):
        assert [reader.poll() for reader in readers] == [None] * len(readers)
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("number", "reads", "grace"), [(12, 30, 1.0), pytest.param(200, 2600, 10.0, marks=pytest.mark.torture)]
)
def test_no_reader_sees_a_torn_release_during_publications(
    number: int, reads: int, grace: float, tmp_path: Path
) -> None:
    world, signs, removed = World(tmp_path), tmp_path / "signs", []
    signs.mkdir()
    published(world, 0, grace)
    command = [sys.executable, whole_readers.__file__]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    readers = []
    for tool in whole_readers.TOOLS:
        (signs / tool).touch()
        arguments = [*command, tool, str(world.store.root), str(signs), str(grace)]
        readers.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment))
    try:
        waited_for(signs, 1, readers)
        for number_published in range(1, number + 1):
            removed += published(world, number_published, grace)
            waited_for(signs, 1 + number_published * reads / number, readers)
    finally:
        (signs / "stop").touch()
        results = [json.loads(reader.communicate()[0]) for reader in readers]
    assert [number_published["torn"] for number_published in results] == [[]] * 4
    assert all(number_published["whole"] >= reads for number_published in results)
    assert sum(number_published["late"] for number_published in results) < reads / 10
    assert min(number_published["releases"] for number_published in results) > number / 4
    assert current(world.store).release_id == f"2026-01-01-r{number}"
    assert len(removed) + len(releases(world.store)) == number + 1
    removed += retain(world.store, 2)  # on a slow machine, all were removed before
    assert removed
    print(json.dumps(dict(zip(whole_readers.TOOLS, results, strict=True)) | {"removed": len(removed)}))

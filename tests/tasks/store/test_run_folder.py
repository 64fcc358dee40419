"""The folder of a run: its layout, and that no name escapes from it."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from worlds.hostile_names import HOSTILE_IDS

from tasks.runtime.errors import StoreError
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder, record_paths, run_paths

SECOND = dt.date(2026, 1, 2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").create()


def test_the_layout_is_as_documented(store: Store) -> None:
    run, root = RunFolder(store, SECOND, "r1"), store.root / "runs/2026-01-02/r1"
    assert run.root == root
    assert run.record == root / "run.json"
    assert run.dataset == root / "dataset"
    assert run.models == root / "models"
    assert run.model("als") == root / "models/als"
    assert run.past == root / "past"
    assert run.past_models == root / "past-models"
    assert run.past_model("als") == root / "past-models/als"
    assert run.eve == root / "eve"
    assert run.eve_model("als", 3) == root / "eve-models/als-3"
    assert run.staging == root / "staging"
    assert run.data_docs == root / "data_docs"
    assert run.report == root / "report.html"
    assert RunFolder(store, "2026-01-02", "r1").root == root


@given(HOSTILE_IDS)
def test_no_name_escapes_the_store(name: str) -> None:
    store = Store(Path("/nowhere/store"))
    for path, depth in (
        (lambda: RunFolder(store, SECOND, name).root, 3),
        (lambda: RunFolder(store, name, "r1").root, 3),
        (lambda: RunFolder(store, SECOND, "r1").model(name), 5),
        (lambda: RunFolder(store, SECOND, "r1").past_model(name), 5),
        (lambda: RunFolder(store, SECOND, "r1").eve_model(name, 1), 5),
    ):
        with suppress(StoreError):
            inside = path().relative_to(store.root).parts
            assert len(inside) == depth
            assert all(part.isascii() and part[0].isalnum() for part in inside)


@pytest.mark.parametrize(
    "link", ["runs", "runs/2026-01-02", "runs/2026-01-02/r1", "runs/2026-01-02/r1/models"]
)
def test_a_link_out_of_the_store_is_rejected(store: Store, tmp_path: Path, link: str) -> None:
    store.runs.rmdir()
    path = store.root / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(tmp_path)
    with pytest.raises(StoreError, match="expected a path inside the store"):
        RunFolder(store, SECOND, "r1").model("als")


def test_runs_are_listed_in_the_order_of_their_starts(store: Store) -> None:
    runs = [RunFolder(store, day, run_id) for day, run_id in ((SECOND, "r2"), ("2026-01-05", "r1"))]
    renamed = store.runs / "2026-01-02" / "r2 (copy)"
    for folder in (*(run.root for run in runs), renamed):
        folder.mkdir(parents=True)
        (folder / "run.json").touch()
    (store.runs / "2026-01-02" / "notes.txt").touch()
    (store.runs / ".engine-0badcafe").mkdir()
    second, fifth = (run.root for run in runs)
    assert run_paths(store) == [fifth, second, renamed]
    assert run_paths(store, SECOND) == [second, renamed]
    runs[0].record.unlink()
    assert record_paths(store) == [runs[1].record, renamed / "run.json"]
    assert record_paths(store, SECOND) == [renamed / "run.json"]
    assert run_paths(Store(store.root / "none")) == []

"""Windows of the past: the events before the holdout, and the removal of old studies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from worlds.dataset_world import AS_OF, Shop

from models.registry import create
from sql.engines.duckdb_engine import DuckDBEngine
from tasks.evaluation.holdout import cut_of
from tasks.interactions.ledger import Ledger
from tasks.tuning.windows import (
    build_windows,
    is_built,
    load_windows,
    remove_old_studies,
    study_folder,
    study_lock,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a study of two windows: 12 users with an event an hour each, for ten hours."""
    folder = tmp_path_factory.mktemp("windows")
    engine = DuckDBEngine(folder / "engine", 2**29, 1)
    sections = {"engine": {"threads": 1}, "evaluation": {"holdout_share": 0.4}}
    shop = Shop(folder, engine, **sections)
    shop.log(
        *(
            (f"u{user:02d}", f"i{(user + step) % 11:02d}", f"2026-03-09 {step:02d}:{user:02d}:00")
            for user in range(12)
            for step in range(10)
        )
    )
    configuration = shop.configuration()
    whole = shop.build(AS_OF)
    until = cut_of(whole.folder, 0.4)
    past = shop.build(AS_OF, until=until, name="past")
    study = study_folder(configuration, shop.store, AS_OF, "popularity", windows=2)
    ledger = Ledger.read(shop.store)
    arguments = {"past": past.folder, "until": until, "study": study}
    build_windows(configuration, ledger, engine, AS_OF, **arguments, count=2)
    yield configuration, study, past, until
    engine.close()


def test_windows_follow_one_another_up_to_the_holdout(built) -> None:
    configuration, study, past, until = built
    assert is_built(study)
    windows = load_windows(configuration, study, "recall", 3)
    trained = [int(window.data.sequences.indptr[-1]) for window in windows]
    assert len(past.rows("sequences", "timestamp")) == 72  # of 120 events, 40 % held out
    assert trained == [72 - 29, 72 - 14]  # 40 % of the past are 29 events, half of that 14
    for window in windows:
        assert window.data.sequences.timestamps.max() < until
        pairs = window.holdout.relevant.nnz + window.holdout.repeats
        assert 0 < pairs <= 15


def test_a_window_returns_a_metric_or_nan_for_every_user_of_the_past(built) -> None:
    configuration, study, past, _ = built
    for window in load_windows(configuration, study, "recall", 3):
        values = window(lambda: create("popularity"), lambda _: None)
        assert values.shape == (len(past.rows("users", "user_id")),)
        assert np.count_nonzero(~np.isnan(values)) == len(window.holdout.users)
        assert ((values >= 0) | np.isnan(values)).all()


def test_a_study_is_determined_by_date_configuration_and_choices(built) -> None:
    configuration, study, *_ = built
    from tasks.store.layout import Store

    store = Store(configuration.store.path)
    assert study_folder(configuration, store, AS_OF, "popularity", windows=2) == study
    others = [
        study_folder(configuration, store, AS_OF, "popularity", windows=3),
        study_folder(configuration, store, AS_OF, "als", windows=2),
        study_folder(
            configuration.model_copy(update={"models": {"als": {}}}), store, AS_OF, "popularity", windows=2
        ),
    ]
    assert len({study, *others}) == 4


def test_old_studies_are_removed_unless_active(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "older", "oldest", "active")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    with FileLock(study_lock(tmp_path / "active")):
        assert remove_old_studies(tmp_path, keep=2) == [tmp_path / "oldest"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["active", "new", "older"]
    assert remove_old_studies(tmp_path / "none", keep=2) == []

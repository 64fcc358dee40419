"""Fixtures of trainings: a shop's dataset, models trained here, and requests for children."""

from __future__ import annotations

import functools
import subprocess
from typing import Any

import numpy as np
import pytest
from worlds.dataset_world import AS_OF, Shop, train
from worlds.training_world import SECTIONS

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.store.run_folder import RunFolder
from tasks.training.request import Training, write_request


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    engine = DuckDBEngine(folder / "engine", 2**29, 1)
    rng = np.random.default_rng(1)
    rows = []
    for user in range(40):
        items = rng.choice(15, 6, replace=False) * 2 + user % 2
        rows += [(f"u{user:02}", f"i{item:02}", "2026-03-09 10:00:00") for item in items]
    shop = Shop(folder, engine, **SECTIONS)
    shop.log(*rows)
    shop.build(name=f"store/runs/{AS_OF}/r1/dataset")
    yield shop
    engine.close()


@pytest.fixture(scope="module")
def undisturbed(shop, tmp_path_factory):
    """Return a function: model name -> its arrays as bytes, trained in this process."""
    folder, run = tmp_path_factory.mktemp("undisturbed"), RunFolder(shop.store, AS_OF, "r1")

    @functools.cache
    def trained(model: str) -> bytes:
        train(shop.configuration(), model, run.dataset, folder / model)
        return (folder / model / "arrays.npz").read_bytes()

    return trained


@pytest.fixture
def requested(shop):
    """Return a function that writes the request of an untrained model, with other sections."""

    def write(model: str, **sections: Any) -> Training:
        training = Training(RunFolder(shop.store, AS_OF, "r1"), model, "served")
        for path in training.run.models.glob(f"{model}*"):
            subprocess.run(["rm", "-r", str(path)], check=True)
        write_request(training, shop.configuration(**sections))
        return training

    return write

"""A night trains and serves a model registered by another package."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from worlds.night_world import FIRST, shop, write_logs
from worlds.package_world import install, python

RUN = """
import sys
from datetime import date
from pathlib import Path
from flows.night.run import run_night
from tasks.configuration.configuration import load
run_night(load(Path(sys.argv[1])), date.fromisoformat(sys.argv[2]))
"""


def test_a_night_serves_a_model_that_a_package_registers(tmp_path: Path) -> None:
    models = 'models = ["co_counts"]\nserve = "co_counts"\n[models.co_counts]\npower = 0.3'
    night = shop(tmp_path, write_logs(tmp_path / "logs"), models=models)
    completed = python(
        install(tmp_path, "co_counts = co_counts:CoCounts"), "-c", RUN, str(night.config), str(FIRST)
    )
    assert completed.returncode == 0, completed.stderr
    table = pq.read_table(night.store.release(str(night.pointed())) / "recommendations.parquet")
    assert "co_counts" in table["source"].to_pylist()

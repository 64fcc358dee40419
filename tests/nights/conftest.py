"""What tests of whole nights share: a store after two nights, and a copy of it for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.night_world import (
    FIRST,
    SECOND,
    Night,
    shop,
    write_logs,
)

from flows.night.run import run_night


@pytest.fixture(scope="session")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a store after the nights of the first two days, of logs that go on for two more."""
    folder = tmp_path_factory.mktemp("nights")
    night = shop(folder, write_logs(folder / "logs"))
    for day in (FIRST, SECOND):
        run_night(night.configured(), day)
    return night


@pytest.fixture
def night(nights: Night, tmp_path: Path) -> Night:
    """Return a copy of that store, to do with as one likes."""
    return nights.copy(tmp_path / "shop")

"""Fixtures for tests of flows: a store whose only night was the third, and a copy for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.night_world import THIRD, Night, shop, write_logs

from flows.night.run import run_night


@pytest.fixture(scope="session")
def third(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop with logs of four days and a night only for the third."""
    folder = tmp_path_factory.mktemp("third")
    night = shop(folder, write_logs(folder / "logs"))
    run_night(night.configured(), THIRD)
    return night


@pytest.fixture
def night(third: Night, tmp_path: Path) -> Night:
    return third.copy(tmp_path / "shop")

"""Fixtures for whole nights: stores after one and two nights, and copies for tests to change."""

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
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a store after the night of the first day; its logs cover three more."""
    folder = tmp_path_factory.mktemp("first")
    night = shop(folder, write_logs(folder / "logs"))
    run_night(night.configured(), FIRST)
    return night


@pytest.fixture(scope="session")
def nights(first_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return that store after the second night as well."""
    night = first_night.copy(tmp_path_factory.mktemp("nights"))
    run_night(night.configured(), SECOND)
    return night


@pytest.fixture
def night(nights: Night, tmp_path: Path) -> Night:
    """Return a copy of the store after two nights, for a test to change."""
    return nights.copy(tmp_path / "shop")


@pytest.fixture
def young(first_night: Night, tmp_path: Path) -> Night:
    """Return a copy of the store after one night."""
    return first_night.copy(tmp_path / "young")

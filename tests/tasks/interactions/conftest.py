"""Fixtures for tests of the ingest."""

from __future__ import annotations

import pytest
from worlds.log_world import Logs


@pytest.fixture
def logs(tmp_path, duckdb_engine):
    return Logs(tmp_path, duckdb_engine)

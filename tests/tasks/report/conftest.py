"""The world that tests of the report share."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.release_world import World
from worlds.report_world import make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)

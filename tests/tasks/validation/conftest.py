"""Fixtures for tests of the gate."""

from __future__ import annotations

import pyarrow as pa
import pytest
from worlds.gate_world import AS_OF, COUNTS, SCHEMA, configuration, history

from tasks.validation.results import validate


@pytest.fixture
def gate(duckdb_engine, tmp_path):
    def run(rows=None, counts=COUNTS, settings=None, engine=duckdb_engine, **more):
        engine.table("events", pa.Table.from_pylist(history() if rows is None else rows, schema=SCHEMA))
        return validate(settings or configuration(), engine, counts, AS_OF, tmp_path / "docs", **more)

    return run

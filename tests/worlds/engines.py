"""Which engines a test uses."""

from __future__ import annotations

import pytest

SPARK_IN_TORTURE = pytest.mark.parametrize(
    "engine",
    ["duckdb", pytest.param("spark", marks=[pytest.mark.spark, pytest.mark.torture])],
    indirect=True,
)
"""DuckDB, and Spark in `make torture` only: other tests compare both engines on the same queries."""

"""What tests of several rooms share: one Spark session."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def spark_engine(tmp_path_factory):
    """Return the Spark engine, started once; without Java its tests are skipped."""
    from sql.engine import EngineMissing
    from sql.spark_engine import SparkEngine

    try:
        engine = SparkEngine(tmp_path_factory.mktemp("spark"), memory_bytes=2**30, threads=1)
    except EngineMissing as missing:
        pytest.skip(str(missing))
    yield engine
    engine.close()

"""What tests of several rooms share: one Spark session."""

from __future__ import annotations

import pytest

QUICK = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
"""Little optimisation by Java: tests are over before it would pay (42 s became 14 s)."""


@pytest.fixture(scope="session")
def spark_engine(tmp_path_factory):
    """Return the Spark engine, started once; without Java its tests are skipped."""
    from sql.engine import EngineMissing
    from sql.spark_engine import SparkEngine

    try:
        engine = SparkEngine(tmp_path_factory.mktemp("spark"), 2**30, threads=1, settings=QUICK)
    except EngineMissing as missing:
        pytest.skip(str(missing))
    yield engine
    engine.close()

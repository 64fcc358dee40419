"""What tests of several rooms share: one Spark session, and the order of files."""

from __future__ import annotations

import pytest

QUICK = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
"""Little optimisation by Java: tests are over before it would pay (42 s became 14 s)."""


LONG = (
    "test_resume.py",
    "test_ui_backfill.py",
    "test_stations.py",
    "test_real_data.py",
    "test_side_by_side.py",
    "test_engines_agree.py",
    "test_two_workers.py",
    "test_up_and_down.py",
    "test_training.py",
    "test_backfill.py",
    "test_run_nightly.py",
)
"""Files that take longest, in CPU seconds as measured: begun last, one would run alone at the end."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have pytest-xdist hand files out in the order below, and not by their number of tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first; the others stay as they are."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def spark_engine(tmp_path_factory):
    """Return the Spark engine, started once; without Java its tests are skipped."""
    from sql.engines.spark_engine import SparkEngine
    from sql.errors import EngineMissing

    try:
        engine = SparkEngine(tmp_path_factory.mktemp("spark"), 2**30, threads=1, settings=QUICK)
    except EngineMissing as missing:
        pytest.skip(str(missing))
    yield engine
    engine.close()

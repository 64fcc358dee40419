"""Fixtures shared by several rooms: Spark, a Prefect server, a browser, and the file order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from worlds.release_world import World

    from sql.engines.duckdb_engine import DuckDBEngine

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

QUICK = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
"""Reduces Java's optimisation, which does not pay off in short tests (42 s became 14 s)."""


LONG = (
    "test_killed_nights.py",
    "test_resume.py",
    "test_ui_backfill.py",
    "test_failed_nights.py",
    "test_night_after_night.py",
    "test_nights_at_once.py",
    "test_real_data.py",
    "test_side_by_side.py",
    "test_engines_agree.py",
    "test_two_workers.py",
    "test_start.py",
    "test_train.py",
    "test_dates.py",
    "test_run_backfill.py",
    "test_run_nightly.py",
)
"""The slowest files, by measured CPU seconds; started last, one would run alone at the end."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make pytest-xdist distribute files in the order below, not by their number of tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow files first; keep the order of the rest."""
    position = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: position.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def spark_engine(tmp_path_factory):
    """Return the Spark engine, started once; skip its tests without Java."""
    from sql.engines.spark_engine import SparkEngine
    from sql.errors import EngineMissing

    try:
        engine = SparkEngine(tmp_path_factory.mktemp("spark"), 2**30, threads=1, settings=QUICK)
    except EngineMissing as missing:
        pytest.skip(str(missing))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def duckdb_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    """Return the embedded engine, opened once."""
    from sql.engines.duckdb_engine import DuckDBEngine

    engine = DuckDBEngine(tmp_path_factory.mktemp("duckdb"), 2**29, threads=1)
    yield engine
    engine.close()


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def engine(request: pytest.FixtureRequest) -> Any:
    """Return each engine in turn."""
    return request.getfixturevalue(f"{request.param}_engine")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a store with two small releases, checked by hand."""
    from worlds.release_world import FACTS, World

    from tasks.release.publish import publish

    world = World(tmp_path_factory.mktemp("numbers"))
    world.publish("2026-01-01")
    facts = FACTS | {"configuration": {"popular": {"fallback_window": 7}}, "warnings": ["few events"]}
    columns = {"segment": "all", "segment_value": "all", "window_days": 7, "rank": 1, "item_id": 105}
    for name, value in (columns | {"score": 1.0, "users": 1}).items():
        world.tables["popular_items"][name].insert(2, value)
    staging = world.stage("2026-01-02", facts=facts)
    publish(world.store, staging, world.audit(staging))
    return world


@pytest.fixture(scope="session")
def root(world: World) -> Path:
    return world.store.root


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    from worlds.release_world import World

    return World(tmp_path)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """Start the session's only Prefect server on a separate database; return its address."""
    import_module("flows.run_nightly")  # its settings must precede the import of Prefect
    from prefect.settings import get_current_settings
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=240):
        yield str(get_current_settings().api.url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield a real browser; skip its tests without one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        there = next((path for name in BROWSERS if (path := shutil.which(name))), None)
        bundled = playwright.chromium.executable_path
        if there is None and not Path(bundled).exists():
            pytest.skip("no browser: install chromium, or run `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=there or bundled, args=["--no-sandbox"])
        yield browser
        browser.close()

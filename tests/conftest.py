"""Fixtures shared by several rooms: Spark, a Prefect server, a browser, and the file order."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from worlds.release_world import World

    from sql.engines.duckdb_engine import DuckDBEngine

settings.register_profile("untimed", deadline=None)  # a timing is a benchmark, never a test
settings.load_profile("untimed")

# hundreds of child processes would compile every module again, a fifth of what they cost
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# as in a night (tasks.runtime.resources): threads of OpenMP that spin take the processor from tests
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

QUICK = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmn400m "
    "-XX:ReservedCodeCacheSize=256m",
    "spark.sql.codegen.cache.maxEntries": "3000",
}
"""Reduces Java's optimisation, which does not pay off in short tests (42 s became 14 s).

With the first option alone Java keeps 48 MiB of compiled code, which hundreds of queries fill: it compiled
the same again and again. Spark keeps the classes of as many queries as all tests have (74 tests: 100 s
of processor time became 75 s).
"""


SHARED = {"start_stack": "stack", "prefect_server": "prefect", "spark_engine": "spark"}
"""What takes long to start: the tests that use it run in one worker; all others go file by file."""

FIRST = (
    "stack",
    "spark",
    "prefect",
    "nights/test_killed_nights.py",
    "real_data",
    "tasks/training/test_train.py",
    "nights/test_quality_gate.py",
    "nights/test_side_by_side.py",
    "flows/backfill/test_dates.py",
    "nights/test_failed_nights.py",
    "nights/test_night_after_night.py",
)
"""The slowest groups and files, by measured CPU seconds: started last, one would run alone at the end."""

SLOW = (
    "attacks/",
    "deployments/",
    "flows/",
    "nights/",
    "models/factors/test_als.py",
    "models/factors/test_strengths.py",
    "models/hybrid/test_learned_weights.py",
    "models/autoencoders/",
    "models/neural/",
    "models/recency/test_learned.py",
    "models/test_comparison.py",
    "tasks/evaluation/test_evaluation.py",
    "tasks/evaluation/test_holdout.py",
    "tasks/evaluation/test_model_metrics.py",
    "tasks/monitoring/",
    "tasks/recommendations/test_recommendations.py",
    "tasks/release/test_audit.py",
    "tasks/release/test_publish.py",
    "tasks/release_scores/",
    "tasks/report/",
    "tasks/training/",
    "tasks/tuning/",
    "tasks/validation/",
    "models/evaluation/test_metrics_agree.py",
    "models/test_registry.py",
    "tasks/dataset/test_freshness.py",
    "tasks/runtime/test_logs.py",
    "tasks/runtime/test_resources.py",
    "test_architecture.py",
    "test_nightshelf.py",
    "test_wheel.py",
)
"""Not for `make quick`: tests that run nights, processes, Great Expectations, matplotlib, torch or many
trainings, and those that read every file."""

WITH_NIGHTS = ("attacks/", "flows/", "nights/")
"""Folders of tests that run nights in their own process: the nights of a file train in one child."""
APART = {"attacks/test_bad_disks.py"}
"""Its nights have disks of their own, which an idle child would keep busy: its last log is open."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only tests that start no service, night or training"
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make pytest-xdist distribute groups in the order below, not by their number of tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    if getattr(config.option, "numprocesses", None):  # of the process that starts the workers
        compile_kernels()


def compile_kernels() -> None:
    """Compile what numba compiles, half of it in another process, before each worker would do so."""
    root = Path(__file__).parents[1]
    files = [path for path in sorted(root.glob("models/*/*.py")) if "\n@compiled(" in path.read_text("utf-8")]
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in files]
    commands = [[sys.executable, "-c", f"import {', '.join(half)}"] for half in (names[::2], names[1::2])]
    started = [subprocess.Popen(command, cwd=root) for command in commands]
    assert [process.wait() for process in started] == [0, 0]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import slow folders with --quick."""
    return True if config.option.quick and name_of(collection_path).startswith(SLOW) else None


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group tests by what they share, else by file, the slowest first; with --quick, leave out slow ones."""
    groups = {item: group_of(item) for item in items}
    if config.option.quick:
        shared = {"real_data", *SHARED.values()}
        config.hook.pytest_deselected(items=[item for item in items if groups[item] in shared])
        items[:] = [item for item in items if groups[item] not in shared]
    position = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: position.get(groups[item], len(FIRST)))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if pytest-xdist did not read the groups: every worker would start every service.

    What was made so far, millions of objects, stays: the garbage collector need not search it again.
    """
    gc.freeze()
    if session.config.getoption("loadgroup", False):
        assert all("@" in item.nodeid for item in session.items)


def pytest_unconfigure() -> None:
    """Let the last collection free what was made at first: libraries complain of what is left."""
    gc.unfreeze()


def group_of(item: pytest.Item) -> str:
    """Return the group of a test: what it shares with others that takes long to start, else its file."""
    for fixture, group in SHARED.items():
        if fixture in getattr(item, "fixturenames", ()):
            return group
    if item.get_closest_marker("spark"):
        return "spark"
    return "real_data" if item.get_closest_marker("real_data") else name_of(item.path)


def name_of(path: Path) -> str:
    """Return a path below the tests, with a slash at its end if it is a folder."""
    name = path.relative_to(Path(__file__).parent).as_posix()
    return f"{name}/" if path.is_dir() else name


@pytest.fixture(scope="module", autouse=True)
def kept_child(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the nights of a file share a training child, as the dates of a backfill in one process do.

    A child takes most of a second to start. Nights in processes that tests start have their own.
    """
    name = name_of(request.path)
    if not name.startswith(WITH_NIGHTS) or name in APART:
        yield
        return
    from worlds.kept_child import KeptChild

    kept = KeptChild()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.night.lifecycle.one_child", kept.one_child)
        yield
    kept.close()


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
        logging.disable()  # the console of its logger is the captured output of a test that has ended
    logging.disable(logging.NOTSET)


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

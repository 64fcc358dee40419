"""A store with two small releases, of tests/tasks/release_world.py, for the commands that read."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "tasks"))

from release_world import FACTS, World

from tasks.release.publish import publish

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
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
    return World(tmp_path)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """Start the one Prefect server of a test session, on a database of its own; return its address."""
    import_module("flows.run_nightly")  # what it sets must be set before Prefect is imported
    from prefect.settings import get_current_settings
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=240):
        yield str(get_current_settings().api.url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give a real browser; without one its tests are skipped."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        there = next((path for name in BROWSERS if (path := shutil.which(name))), None)
        own = playwright.chromium.executable_path
        if there is None and not Path(own).exists():
            pytest.skip("no browser: install chromium, or run `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=there or own, args=["--no-sandbox"])
        yield browser
        browser.close()

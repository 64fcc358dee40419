"""One stack for all its tests: a server with a password, both workers, and a webhook listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import Night, shop, write_logs
from worlds.stack_world import PASSWORD, PATIENCE, Up, stack_up

CHOSEN = 'models = ["popularity"]\nserve = "popularity"'
"""Little to train: the tests are about how runs start and end."""


@pytest.fixture(scope="session")
def start_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Up]]:
    """Return a function that returns the running stack, starting one if none is up."""
    started: list[Up] = []
    with ExitStack() as stacks:

        def start() -> Up:
            if not started or not started[-1].is_up:
                folder = tmp_path_factory.mktemp("stack")
                night = shop(folder, write_logs(folder / "logs"), models=CHOSEN)
                secret = folder / "secret"
                secret.write_text(PASSWORD, encoding="utf-8")
                secret.chmod(0o600)
                words = ("--gpu", "--auth-file", str(secret))
                started.append(stacks.enter_context(stack_up(night.config, *words, auth=PASSWORD)))
            return started[-1]

        yield start


@pytest.fixture
def up(start_stack: Callable[[], Up]) -> Up:
    """Return the stack."""
    return start_stack()


@pytest.fixture
def night(up: Up, tmp_path: Path) -> Night:
    """Return a shop with a separate empty store on the stack's logs, for runs of the stack."""
    return shop(tmp_path / "shop", up.config.parent / "logs", models=CHOSEN)


@pytest.fixture(scope="module")
def session(browser: Any, start_stack: Callable[[], Up]) -> Iterator[Any]:
    """Give a page of the browser, logged in; a new one takes seconds."""
    page = browser.new_page(viewport={"width": 1300, "height": 1600}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(start_stack().server.url)
    page.get_by_placeholder("admin:pass").fill(PASSWORD)
    page.get_by_role("button", name="Login").click()
    page.get_by_role("link", name="Deployments", exact=True).wait_for()
    yield page
    page.close()


@pytest.fixture
def page(session: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give that page; a picture of it is kept if the test fails."""
    failures = request.session.testsfailed
    yield session
    if request.session.testsfailed > failures:
        session.screenshot(path=tmp_path / "page.png", full_page=True)

"""Fixtures of the attacks: a canary, hostile names, engines by name, and a workspace."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds.hostile_names import hostile_names
from worlds.payload import Payload
from worlds.workspace import GOOD, Workspace


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Yield the path of a file that exists only if a name was executed."""
    canary = tmp_path / "canary"
    yield canary
    assert not canary.exists()


@pytest.fixture
def armed_canary(canary: Path) -> Path:
    """Return the canary after a pickle wrote it, which proves that a payload can."""
    pickle.loads(pickle.dumps(Payload(canary)))  # noqa: S301
    assert canary.exists()
    canary.unlink()
    return canary


@pytest.fixture
def names(canary: Path) -> list[str]:
    names = hostile_names(canary)
    assert len(names) > 200
    return names


@pytest.fixture(scope="session")
def engine_of(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Return a function that returns an engine by name."""
    return lambda name: request.getfixturevalue(f"{name}_engine")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace without mistakes."""
    workspace = Workspace(tmp_path)
    workspace.configure()
    workspace.logs(*GOOD)
    return workspace

"""Rare searches for garbage: in the processes that need it, and only of objects with cycles."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.paths import IMPORTABLE

from tasks.runtime.garbage import THRESHOLDS, collect_rarely


class Node:
    """An object that can refer to itself."""

    itself: Node


@pytest.fixture(autouse=True)
def _thresholds_as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_objects_without_cycles_are_freed_at_once_and_cycles_at_last() -> None:
    collect_rarely()
    alone, cycle = Node(), Node()
    cycle.itself = cycle
    seen = [weakref.ref(alone), weakref.ref(cycle)]
    del alone, cycle
    assert seen[0]() is None
    kept = [[] for _ in range(THRESHOLDS[0] + 1000)]
    assert len(kept) > THRESHOLDS[0]
    assert seen[1]() is None


@pytest.mark.parametrize(
    "start",
    [
        "sys.argv = ['nightshelf', '--version']; from flows.command_line import main; main()",
        "from flows.backfill.one_date import main; main()",
        "from tasks.training.child import main; main(['no request'])",
    ],
)
def test_processes_of_a_night_search_rarely(start: str, tmp_path: Path) -> None:
    note = "lambda: pathlib.Path('thresholds').write_text(repr(gc.get_threshold()))"
    code = f"import atexit, gc, pathlib, sys; atexit.register({note}); {start}"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": IMPORTABLE},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        if "one_date" in start:
            process.stdin.close()  # which names no date; a training would end with its parent
        process.wait()
    assert (tmp_path / "thresholds").read_text() == repr(THRESHOLDS)

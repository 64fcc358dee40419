"""What a block of work uses: its seconds, and the memory of the process and its children."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from tasks.runtime import usage
from tasks.runtime.usage import family, measured, resident

MANY = 200 * 2**20  # bytes


def test_the_memory_that_a_block_took_and_gave_back_counts() -> None:
    before = resident([psutil.Process()])
    with measured() as cost:
        held = b"x" * MANY
        time.sleep(3 * usage.SAMPLE_SECONDS)
        del held
    assert cost.peak_memory >= before + 0.9 * MANY
    assert cost.seconds >= 3 * usage.SAMPLE_SECONDS


def test_the_memory_of_a_child_counts_once_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "SEARCH_SECONDS", 0.0)
    monkeypatch.setattr(usage, "SEARCH_SHARE", 1.0)
    holding = f"held = b'x' * {MANY}; print(len(held), flush=True); input()"
    before = resident([psutil.Process()])
    with measured() as cost:
        child = subprocess.Popen(
            [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert int(child.stdout.readline()) == MANY
        assert child.pid in [process.pid for process in family(psutil.Process())]
        time.sleep(5 * usage.SAMPLE_SECONDS)
        child.communicate(b"\n")
    assert cost.peak_memory >= before + 0.9 * MANY


def test_searches_take_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[float] = []

    def slow(process: psutil.Process) -> list[psutil.Process]:
        time.sleep(0.05)
        searches.append(time.monotonic())
        return [process]

    monkeypatch.setattr(usage, "family", slow)
    monkeypatch.setattr(usage, "SEARCH_SECONDS", 0.0)
    with measured():
        time.sleep(1.0)
    assert len(searches) == 1  # the next is due after five seconds


def test_a_process_that_has_ended_holds_no_memory() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    ended = psutil.Process(child.pid)
    child.wait()
    assert resident([ended]) == 0

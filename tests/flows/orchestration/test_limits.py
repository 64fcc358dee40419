"""The named limit on the Prefect server: one run of a date, freed by its end or soon after it was killed."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, SECOND, Night, shop, write_logs
from worlds.paths import IMPORTABLE

from tasks.runtime.errors import StoreLockedError

pytestmark = pytest.mark.prefect
PATIENCE = 60.0  # seconds a test waits for what must come
HOLDER = """
import sys, time, datetime, pathlib
from flows import limit_runs
limit_runs.FREED_AFTER, limit_runs.RENEWED_EVERY = 6.0, 1.0
with limit_runs.only_run_of(pathlib.Path(sys.argv[1]), datetime.date.fromisoformat(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(store: Path, server: str) -> Iterator[subprocess.Popen[str]]:
    """Give another process that holds the limit of the first date."""
    given = os.environ | {"PREFECT_API_URL": server, "PYTHONPATH": IMPORTABLE}
    command = [sys.executable, "-c", HOLDER, str(store), str(FIRST)]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def limits() -> dict[str, Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.read_global_concurrency_limits(limit=200)
    return {one.name: one for one in found if one.name.startswith("nightshelf ")}


def test_a_date_has_one_run_and_others_have_theirs(prefect_server: str, tmp_path: Path) -> None:
    from flows.orchestration.limits import limit_name, only_run_of

    here, there = tmp_path / "here", tmp_path / "there"
    with only_run_of(here, FIRST):
        with (
            pytest.raises(StoreLockedError, match=f"{FIRST} is being run by another run already"),
            only_run_of(here, FIRST),
        ):
            pytest.fail("two runs of one date")
        with only_run_of(here, SECOND), only_run_of(there, FIRST):
            held = {limit_name(here, FIRST), limit_name(here, SECOND), limit_name(there, FIRST)}
            assert held <= limits().keys()
    assert not held & limits().keys()
    with only_run_of(here, FIRST):
        pass


def test_of_two_at_once_one_gets_the_date_every_time(prefect_server: str, tmp_path: Path) -> None:
    from flows.orchestration.limits import only_run_of

    start, done = threading.Barrier(2), threading.Barrier(2)

    def tried() -> bool:
        start.wait(PATIENCE)
        try:
            with only_run_of(tmp_path, FIRST):
                done.wait(PATIENCE)  # it is held until the other was refused
                return True
        except StoreLockedError:
            done.wait(PATIENCE)
            return False

    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            contexts = [contextvars.copy_context() for _ in range(2)]  # threads that ask the same server
            tries = [pool.submit(context.run, tried) for context in contexts]
            assert sorted(one.result(PATIENCE) for one in tries) == [False, True]


def test_a_run_that_goes_on_keeps_its_limit_and_a_killed_one_loses_it(
    prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.orchestration import limits as limit_runs

    monkeypatch.setattr(limit_runs, "FREED_AFTER", 6.0)
    with holder(tmp_path, prefect_server) as process:
        name = limit_runs.limit_name(tmp_path, FIRST)
        first = limits()[name].updated
        until = time.monotonic() + PATIENCE
        while limits()[name].updated == first:
            assert time.monotonic() < until, "the limit is not renewed"
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(StoreLockedError), limit_runs.only_run_of(tmp_path, FIRST):
            pytest.fail("it is freed only some time after the last renewal")
        with limit_runs.only_run_of(tmp_path, FIRST, wait=True):
            assert limits()[name].active_slots == 1
    assert name not in limits()


@pytest.fixture(scope="module")
def tonight(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("limited")
    return shop(folder, write_logs(folder / "logs", days=2))


def test_a_second_run_of_a_date_fails_at_once_and_says_which(
    prefect_server: str, tonight: Night, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.orchestration.limits import only_run_of
    from flows.run_backfill import backfill
    from flows.run_nightly import nightly

    few = ("train.models=['popularity']", "train.serve=popularity", "evaluation.enabled=false")
    with only_run_of(tonight.store.root, FIRST):
        refused = nightly(str(tonight.config), str(FIRST), few, return_state=True)
        assert refused.is_failed()
        assert refused.message.startswith(f"{FIRST} is being run by another run already")
        assert tonight.published() == []
        dates: dict[str, Any] = {"start": FIRST, "end": SECOND, "models": ["popularity"], "dry_run": False}
        state = backfill(**dates, config=str(tonight.config), return_state=True)
        assert state.is_failed()
        assert state.message.startswith(f"1 of 2 dates failed\n{FIRST}: ")
    assert [name[:10] for name in tonight.published()] == [str(SECOND)]
    state = nightly(str(tonight.config), str(FIRST), few, return_state=True)
    assert state.is_completed(), state.message
    assert not limits()
    assert "Traceback" not in capfd.readouterr().err

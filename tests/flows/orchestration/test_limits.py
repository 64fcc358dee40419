"""The limit on the Prefect server: one run per date, freed at its end or soon after a kill."""

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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, SECOND, Night, shop, write_logs
from worlds.paths import IMPORTABLE
from worlds.stack_world import PATIENCE

from tasks.runtime.errors import StoreLockedError

pytestmark = pytest.mark.prefect
HOLDER = """
import sys, time, datetime, pathlib
from flows.orchestration import limits as limit_runs
limit_runs.FREED_AFTER, limit_runs.RENEWED_EVERY = 6.0, 1.0
with limit_runs.hold_date_limit(pathlib.Path(sys.argv[1]), datetime.date.fromisoformat(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(store: Path, server: str) -> Iterator[subprocess.Popen[str]]:
    """Yield another process that holds the limit of the first date."""
    variables = os.environ | {"PREFECT_API_URL": server, "PYTHONPATH": IMPORTABLE}
    command = [sys.executable, "-c", HOLDER, str(store), str(FIRST)]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def limits() -> dict[str, Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        server_limits = client.read_global_concurrency_limits(limit=200)
    return {limit.name: limit for limit in server_limits if limit.name.startswith("nightshelf ")}


def test_a_date_has_one_run_and_other_dates_and_stores_have_their_own(
    prefect_server: str, tmp_path: Path
) -> None:
    from flows.orchestration.limits import hold_date_limit, limit_name

    here, there = tmp_path / "here", tmp_path / "there"
    with hold_date_limit(here, FIRST):
        with (
            pytest.raises(StoreLockedError, match=f"another run for {FIRST} is active"),
            hold_date_limit(here, FIRST),
        ):
            pytest.fail("two runs of one date")
        with hold_date_limit(here, SECOND), hold_date_limit(there, FIRST):
            held = {limit_name(here, FIRST), limit_name(here, SECOND), limit_name(there, FIRST)}
            assert held <= limits().keys()
    assert not held & limits().keys()
    with hold_date_limit(here, FIRST):
        pass


def test_of_two_simultaneous_runs_exactly_one_gets_the_date(prefect_server: str, tmp_path: Path) -> None:
    from flows.orchestration.limits import hold_date_limit

    start, finish = threading.Barrier(2), threading.Barrier(2)

    def try_to_hold() -> bool:
        start.wait(PATIENCE)
        try:
            with hold_date_limit(tmp_path, FIRST):
                finish.wait(PATIENCE)  # holds the limit until the other attempt is refused
                return True
        except StoreLockedError:
            finish.wait(PATIENCE)
            return False

    with ThreadPoolExecutor(2) as pool:
        for _ in range(8):
            contexts = [contextvars.copy_context() for _ in range(2)]  # threads that use the same server
            attempts = [pool.submit(context.run, try_to_hold) for context in contexts]
            assert sorted(attempt.result(PATIENCE) for attempt in attempts) == [False, True]


def test_an_active_run_keeps_its_limit_and_a_killed_one_loses_it(
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
        with pytest.raises(StoreLockedError), limit_runs.hold_date_limit(tmp_path, FIRST):
            pytest.fail("the limit was freed too early")
        with limit_runs.hold_date_limit(tmp_path, FIRST, wait=limit_runs.freed_after()):
            assert limits()[name].active_slots == 1
    assert name not in limits()


@pytest.fixture(scope="module")
def tonight(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("limited")
    return shop(folder, write_logs(folder / "logs", days=2))


def test_a_second_night_of_a_date_fails_at_once_and_a_backfill_waits_for_the_first(
    prefect_server: str, tonight: Night, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from flows.orchestration.limits import hold_date_limit
    from flows.run_backfill import backfill
    from flows.run_nightly import nightly

    def release_when_waited_for() -> None:
        until = time.monotonic() + PATIENCE
        while f"waiting: another run for {FIRST} is active" not in caplog.text and time.monotonic() < until:
            time.sleep(0.1)
        first.close()

    few = ("train.models=['popularity']", "train.serve=popularity", "evaluation.enabled=false")
    caplog.set_level("INFO", "nightshelf")
    with ExitStack() as first:
        first.enter_context(hold_date_limit(tonight.store.root, FIRST))
        refused = nightly(str(tonight.config), str(FIRST), few, return_state=True)
        assert refused.is_failed()
        assert refused.message.startswith(f"another run for {FIRST} is active")
        assert tonight.published() == []
        context = contextvars.copy_context()  # the thread uses the same server
        releasing = threading.Thread(target=context.run, args=(release_when_waited_for,))
        releasing.start()
        dates: dict[str, Any] = {"start": FIRST, "end": SECOND, "models": ["popularity"], "dry_run": False}
        state = backfill(**dates, config=str(tonight.config), return_state=True)
        releasing.join()
    assert state.is_completed(), state.message
    assert [name[:10] for name in tonight.published()] == [str(FIRST), str(SECOND)]
    assert not limits()
    assert "Traceback" not in capfd.readouterr().err

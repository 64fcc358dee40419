"""A date of a backfill, cancelled as the Prefect UI does it, while the others run."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

import psutil
import pytest
from worlds.backfill_world import by_date, dates_of
from worlds.night_world import FIRST, SECOND, Night
from worlds.stack_world import PATIENCE, until

pytestmark = pytest.mark.prefect


def date_processes() -> list[psutil.Process]:
    """Return the processes of dates that this process has started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ends just now (a zombie is one of these)
            found += [child] if "flows.backfill.one_date" in child.cmdline() else []
    return found


def alone(processes: list[psutil.Process]) -> list[psutil.Process]:
    return processes if len(processes) == 1 else []


def backfill_runs(name: str) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[name])))


def cancel(run: Any) -> None:
    """Do what the UI does when one cancels a run."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Cancelling())


def test_a_cancelled_date_ends_alone_and_the_summary_names_it(
    prefect_server: str, night: Night, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.run_backfill import backfill

    choice: dict[str, Any] = {"models": ["popularity"], "dry_run": False, "config": str(night.config)}
    before = {run.id for run in backfill_runs(f"backfill {FIRST}..{SECOND}")}
    states: list[Any] = []

    def run() -> None:
        states.append(backfill(start=FIRST, end=SECOND, max_parallel=2, **choice, return_state=True))

    def first_date() -> Any:
        ours = [run for run in backfill_runs(f"backfill {FIRST}..{SECOND}") if run.id not in before]
        dates = [date for run in ours for date in dates_of(run.id)]
        return next(
            (date for date in dates if date.name.endswith(str(FIRST)) and date.state.is_running()), None
        )

    running = threading.Thread(target=run, daemon=True)
    with night.store.date_lock(FIRST, "nightly"):  # so that the date cannot end before it is cancelled
        running.start()
        cancelled = until(first_date, "the run of the first date")
        until(
            lambda: str(SECOND) in by_date(night) or not running.is_alive(), "the release of the other date"
        )
        assert running.is_alive()
        (process,) = until(lambda: alone(date_processes()), "the end of the other date")
        cancel(cancelled)
        running.join(PATIENCE)
        assert not process.is_running()
    (state,) = states
    assert (state.type.value, state.message) == ("CANCELLED", f"1 of 2 dates cancelled: {FIRST}")
    first, second = dates_of(state.state_details.flow_run_id)
    assert (first.name, first.state_name) == (f"backfill {FIRST}", "Cancelled")
    assert first.state.message == f"{FIRST} was cancelled"
    assert (second.name, second.state_name) == (f"backfill {SECOND}", "Completed")
    assert str(SECOND) in by_date(night)
    assert str(FIRST) not in by_date(night)
    assert "Traceback" not in capfd.readouterr().err
    rows = {row["date"]: row for row in table_of(state.state_details.flow_run_id)}
    assert {date: row["state"] for date, row in rows.items()} == {
        str(FIRST): "cancelled",
        str(SECOND): "published",
    }
    again = backfill(start=FIRST, end=SECOND, **choice, return_state=True)
    assert again.is_completed(), again.message
    assert by_date(night).keys() >= {str(FIRST), str(SECOND)}


def table_of(flow_run: Any) -> list[dict[str, Any]]:
    """Return the rows of a backfill's own artifact."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
    with get_client(sync_client=True) as client:
        (table,) = (one for one in client.read_artifacts(artifact_filter=only) if one.key == "backfill")
    rows: list[dict[str, Any]] = json.loads(table.data)
    return rows

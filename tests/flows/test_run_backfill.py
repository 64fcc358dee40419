"""A backfill as a Prefect flow: its plan, its final table, and its checks of form input."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from worlds.backfill_world import BEFORE, FOURTH, by_date, files
from worlds.night_world import FIRST, SECOND, Night

from tasks.release.releases import releases
from tasks.store.runs import RunRecord


def artifact(flow_run_id: uuid.UUID) -> Any:
    """Return the only artifact of a flow run itself, and the flow run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        )
        return next(artifact for artifact in artifacts if artifact.task_run_id is None), client.read_flow_run(
            flow_run_id
        )


@pytest.mark.prefect
def test_the_flow_shows_its_plan_first(prefect_server: str, night: Night) -> None:
    from flows.run_backfill import backfill

    before = files(night.store.root)
    state = backfill(
        start=FIRST, end=FOURTH, max_parallel=2, reason="a | b", config=str(night.config), return_state=True
    )
    assert state.is_completed(), state.message
    assert files(night.store.root) == before
    shown, run = artifact(state.state_details.flow_run_id)
    assert (run.name, shown.type, shown.key) == (f"backfill {FIRST}..{FOURTH}", "markdown", "backfill-plan")
    assert f"| {FIRST} | run | no release |" in shown.data
    assert r"**Reason:** a \| b" in shown.data
    assert "2 dates at once share the resources" in shown.data


@pytest.mark.prefect
def test_the_flow_fails_if_a_date_failed_and_its_table_lists_all_dates(
    prefect_server: str, night: Night, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.run_backfill import backfill

    choice: dict[str, Any] = {"models": ["popularity"], "dry_run": False, "config": str(night.config)}
    state = backfill(start=BEFORE, end=FIRST, **choice, return_state=True)
    assert state.is_failed()
    assert state.message.startswith(f"1 of 2 dates failed\n{BEFORE}: ")
    shown, _ = artifact(state.state_details.flow_run_id)
    rows = json.loads(shown.data)
    assert [(row["date"], row["state"]) for row in rows] == [
        (str(BEFORE), "failed"),
        (str(FIRST), "published"),
    ]
    assert rows[1]["release"] == by_date(night)[str(FIRST)]
    assert rows[1].keys() == {"date", "action", "state", "duration", "rows", "release", "message"}
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.prefect
def test_the_flow_checks_input_that_the_form_accepts(
    prefect_server: str, night: Night, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.run_backfill import backfill, backfill_with_prefect
    from tasks.runtime.progress import silent

    state = backfill(start=SECOND, end=FIRST, config=str(night.config), return_state=True)
    assert state.is_failed()
    assert state.message == f"expected an end on or after the start {SECOND}, got {FIRST}"
    options: dict[str, Any] = {"models": ["popularity"], "overrides": ["top_n.n=4"]}
    outcomes, failed = backfill_with_prefect(night.config, SECOND, SECOND, silent, **options)
    assert ([outcome.state for outcome in outcomes], failed) == (["published"], "")
    (release,) = (
        outcome for outcome in releases(night.store) if outcome.release_id == outcomes[0].release_id
    )
    assert release.manifest()["configuration"]["top_n"]["n"] == 4
    assert isinstance(night.records()[-1], RunRecord)
    assert "Traceback" not in capfd.readouterr().err

"""The flow `train-models` and retries of tasks, on a real Prefect server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, Night, shop, write_logs

from flows.night.run import run_night
from tasks.runtime.errors import TrainingError, TrainingKilledError

pytestmark = pytest.mark.prefect


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("trained")
    night = shop(folder, write_logs(folder / "logs", days=1))
    run_night(night.configured(evaluation__enabled=False, train__models=["als"], train__serve="als"), FIRST)
    return night


def test_it_trains_the_requested_model_and_is_named_after_it(prefect_server: str, trained: Night) -> None:
    from prefect.client.orchestration import get_client

    from flows.train_models import train_models

    (record,) = trained.records()
    models = record.folder(trained.store).models
    before = (models / "als" / "arrays.npz").read_bytes()
    (models / "als.trained.json").unlink()
    parameters: dict[str, Any] = {"store": str(trained.store.root), "as_of": FIRST, "run_id": record.run_id}
    state = train_models(**parameters, model="als", return_state=True)
    assert state.is_completed(), state.message
    assert (models / "als.trained.json").is_file()
    assert (models / "als" / "arrays.npz").read_bytes() == before
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).name == f"train als {FIRST}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run_id": "20200101T000000Z"}, "there is no run 20200101T000000Z"),
        ({"run_id": "../../etc"}, "expected a run id"),
        ({"model": "mult_vae"}, "expected a training request, got none"),
        ({"model": "../als"}, "expected a model name"),
        ({"phase": "past"}, "expected a training request, got none"),
    ],
)
def test_it_refuses_a_training_that_no_run_requested(
    prefect_server: str, trained: Night, change: dict[str, str], message: str
) -> None:
    from flows.train_models import train_models

    run_id = trained.records()[0].run_id
    parameters: dict[str, Any] = {
        "store": str(trained.store.root),
        "as_of": FIRST,
        "run_id": run_id,
        "model": "als",
    }
    state = train_models(**parameters | change, return_state=True)
    assert state.is_failed()
    assert message in state.message


def test_a_task_is_retried_only_after_a_temporary_failure(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow

    from flows.orchestration import station_task

    monkeypatch.setattr(station_task, "WAITS", [0.0, 0.0])
    calls: list[str] = []

    def station() -> str:
        calls.append("killed")
        if len(calls) < 3:
            raise TrainingKilledError("killed by signal 9")
        return "done"

    def refusing() -> str:
        calls.append("refused")
        raise TrainingError("refused")

    @flow
    def retried_flow() -> str:
        return station_task.as_task("train als", station)

    @flow
    def refused_flow() -> str:
        return station_task.as_task("train als", refusing)

    assert retried_flow() == "done"
    assert calls == ["killed"] * 3
    with pytest.raises(TrainingError, match="refused"):
        refused_flow()
    assert calls[3:] == ["refused"]


def test_a_missing_deployment_is_an_error_with_a_message(
    prefect_server: str, trained: Night, tmp_path: Path
) -> None:
    from flows.run_nightly import nightly

    fresh = shop(tmp_path / "shop", trained.logs)
    overrides = ["train.deployment=train-models/nowhere", "evaluation.enabled=false"]
    state = nightly(str(fresh.config), str(FIRST), overrides, return_state=True)
    assert state.is_failed()
    assert "knows no deployment 'train-models/nowhere'" in state.message
    assert fresh.pointed() is None

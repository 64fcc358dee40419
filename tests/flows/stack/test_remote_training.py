"""A night that trains on another work pool: real server and workers, and a killed training."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from worlds.night_world import FIRST, SECOND, Night, shop
from worlds.stack_world import Up, until

pytestmark = pytest.mark.prefect

EPOCHS = 400
TRAIN = 'models = ["mult_vae"]\nserve = "mult_vae"\ndeployment = "train-models/train-models"'
VAE = {"epochs": EPOCHS, "patience": EPOCHS, "hidden": 8, "latent": 4, "checkpoint_seconds": 0.0}


@pytest.fixture
def night(up: Up, tmp_path: Path) -> Night:
    """Return a shop whose only model trains on the other pool."""
    night = shop(tmp_path / "shop", up.config.parent / "logs", models=TRAIN)
    text = night.config.read_text(encoding="utf-8").replace("[evaluation]", "[evaluation]\nenabled = false")
    text += "[models.mult_vae]\n" + "".join(f"{key} = {value}\n" for key, value in VAE.items())
    night.config.write_text(text, encoding="utf-8")
    return night


def trains(worker: psutil.Process) -> list[psutil.Process]:
    """Return the training processes under a worker."""
    return [
        process
        for process in worker.children(recursive=True)
        if process.is_running() and "tasks.training.child" in command_of(process)
    ]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def epochs_done(night: Night) -> int:
    """Return the epochs in the checkpoint of the serving model's training."""
    files = list(night.store.runs.glob("*/*/models/mult_vae-checkpoints/mult_vae/checkpoint.json"))
    return int(json.loads(files[0].read_text(encoding="utf-8"))["state"]["epoch"]) if files else 0


def test_a_training_killed_on_the_gpu_pool_resumes_there_and_the_night_publishes(
    up: Up, night: Night
) -> None:
    (gpu,) = (part.process() for part in up.stack.parts if part.name == "gpu-worker")
    assert gpu is not None
    run_id = up.server.begin("nightly", as_of=str(FIRST), config=str(night.config))
    (child,) = until(lambda: trains(gpu) if epochs_done(night) >= 3 else [], "a training")
    child.send_signal(signal.SIGKILL)
    run = up.server.ended(run_id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    name = {"flow_runs": {"name": {"any_": [f"train mult_vae {FIRST}"]}}}
    (training,) = up.server.ask("flow_runs/filter", name)
    assert training["work_pool_name"] == "nightshelf-gpu"
    assert training["parent_task_run_id"] is not None
    assert training["state_type"] == "COMPLETED"
    require_resumed(night)


def test_a_cancelled_date_of_a_backfill_ends_its_training_there_and_the_next_date_publishes(
    up: Up, night: Night
) -> None:
    (gpu,) = (part.process() for part in up.stack.parts if part.name == "gpu-worker")
    assert gpu is not None
    options = {"start": str(FIRST), "end": str(SECOND), "dry_run": False}
    backfill = up.server.begin("backfill", config=str(night.config), **options)
    (child,) = until(lambda: trains(gpu) if epochs_done(night) >= 3 else [], "the first date's training")
    runs = {"flow_runs": {"parent_flow_run_id": {"any_": [backfill]}}}
    (first,) = up.server.ask("flow_runs/filter", runs)
    assert first["name"] == f"backfill {FIRST}"
    up.server.ask(f"flow_runs/{first['id']}/set_state", {"state": {"type": "CANCELLING"}})
    run = up.server.ended(backfill)
    assert (run["state_type"], run["state"]["message"]) == ("CANCELLED", f"1 of 2 dates cancelled: {FIRST}")
    ended = {run["name"]: run["state_name"] for run in up.server.ask("flow_runs/filter", runs)}
    assert ended == {f"backfill {FIRST}": "Cancelled", f"backfill {SECOND}": "Completed"}
    trainings = {run["name"]: run for run in trainings_of(up, night)}
    assert trainings.keys() == {f"train mult_vae {FIRST}", f"train mult_vae {SECOND}"}
    assert trainings[f"train mult_vae {SECOND}"]["state_type"] == "COMPLETED"
    cancelled = up.server.ended(trainings[f"train mult_vae {FIRST}"]["id"])
    assert cancelled["state_type"] == "CANCELLED", cancelled["state"]["message"]
    until(lambda: not child.is_running(), "the end of its process")
    assert [release_id[:10] for release_id in night.published()] == [str(SECOND)]


def trainings_of(up: Up, night: Night) -> list[Any]:
    """Return the flow runs that trained for a shop's store, of all in the stack."""
    runs = up.server.ask("flow_runs/filter", {"flow_runs": {"tags": {"all_": ["train-models"]}}})
    return [run for run in runs if run["parameters"]["store"] == str(night.store.root)]


def require_resumed(night: Night) -> None:
    """Require one published night that reports the kill and resumed the training."""
    (record,) = night.records()
    assert record.release_id == night.pointed()
    (warning,) = record.warnings
    assert warning.startswith(
        "train mult_vae: attempt 2 of 3, after: model mult_vae: the training was killed by"
    )
    (result,) = night.store.runs.glob("*/*/models/mult_vae.trained.json")
    report: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))["report"]
    assert 3 <= report["resumed"] < EPOCHS

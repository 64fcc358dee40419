"""A night on one work pool that trains on another: real server, real workers, a training that is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from worlds.night_world import FIRST, Night, shop, write_logs
from worlds.paths import IMPORTABLE, ROOT

pytestmark = pytest.mark.prefect

PATIENCE = 240.0  # seconds; a limit, nothing is measured by it
EPOCHS = 400
TRAIN = 'models = ["mult_vae"]\nserve = "mult_vae"\ndeployment = "train-models/two-workers"'
VAE = {"epochs": EPOCHS, "patience": EPOCHS, "hidden": 8, "latent": 4, "checkpoint_seconds": 0.0}


@contextmanager
def worker(pool: str, server: str, home: Path) -> Iterator[psutil.Process]:
    """Run a worker of a pool; it and all that it started end with the block."""
    environment = os.environ | {
        "PREFECT_API_URL": server,
        "PREFECT_HOME": str(home / pool),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PYTHONPATH": IMPORTABLE,
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    with (home / f"{pool}.log").open("wb") as log:
        process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        family = [*process.children(recursive=True), process]
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, timeout=30)


def soon(what: str, found: Callable[[], Any]) -> Any:
    """Return what is found once there is something."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited in vain for {what}")


def deploy(flow: str, entrypoint: str, pool: str) -> None:
    from prefect import flow as flows

    loaded: Any = flows.from_source(source=str(ROOT), entrypoint=entrypoint)
    loaded.deploy(name=flow, work_pool_name=pool, build=False, push=False, print_next_steps=False)


@pytest.fixture
def pools(prefect_server: str) -> tuple[str, str]:
    """Return the names of two work pools, for the night and for training, with their deployments."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    mark = uuid.uuid4().hex[:6]
    names = (f"cpu-{mark}", f"gpu-{mark}")
    with get_client(sync_client=True) as client:
        for name in names:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
    deploy("two-workers", "flows/run_nightly.py:nightly", names[0])
    deploy("two-workers", "flows/train_models.py:train_models", names[1])
    return names


def trains(process: psutil.Process) -> list[psutil.Process]:
    """Return the processes under a worker that train."""
    return [
        one
        for one in process.children(recursive=True)
        if one.is_running() and "tasks.training.child" in cmd(one)
    ]


def cmd(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def epochs_done(night: Night) -> int:
    """Return the epochs in the newest checkpoint of the training that serves."""
    found = list(night.store.runs.glob("*/*/models/mult_vae-checkpoints/mult_vae/checkpoint.json"))
    return int(json.loads(found[0].read_text(encoding="utf-8"))["state"]["epoch"]) if found else 0


def test_a_training_killed_on_the_gpu_pool_goes_on_there_and_the_night_publishes(
    prefect_server: str, pools: tuple[str, str], tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
    from prefect.deployments import run_deployment

    night = shop(tmp_path / "shop", write_logs(tmp_path / "logs", days=1), models=TRAIN)
    text = night.config.read_text(encoding="utf-8").replace("[evaluation]", "[evaluation]\nenabled = false")
    text += "[models.mult_vae]\n" + "".join(f"{key} = {value}\n" for key, value in VAE.items())
    night.config.write_text(text, encoding="utf-8")
    with worker(pools[0], prefect_server, tmp_path), worker(pools[1], prefect_server, tmp_path) as gpu:
        parameters = {"config": str(night.config), "as_of": str(FIRST)}
        run = run_deployment("nightly/two-workers", parameters=parameters, timeout=0, as_subflow=False)
        (child,) = soon("a training", lambda: trains(gpu) if epochs_done(night) >= 3 else [])
        child.send_signal(signal.SIGKILL)
        with get_client(sync_client=True) as client:

            def ended() -> Any:
                state = client.read_flow_run(run.id).state
                return state if state is not None and state.is_final() else None

            state = soon("the end of the night", ended)
            assert state.is_completed(), state.message
            name = FlowRunFilterName(any_=[f"train mult_vae {FIRST}"])
            (training,) = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=name))
    assert training.work_pool_name == pools[1]
    assert training.parent_task_run_id is not None
    assert training.state is not None
    assert training.state.is_completed()
    (record,) = night.records()
    assert record.release_id == night.pointed()
    (warning,) = record.warnings
    assert warning.startswith(
        "train mult_vae: attempt 2 of 3, after: model mult_vae: the training was killed by"
    )
    (result,) = night.store.runs.glob("*/*/models/mult_vae.trained.json")
    assert 3 <= json.loads(result.read_text(encoding="utf-8"))["report"]["resumed"] < EPOCHS

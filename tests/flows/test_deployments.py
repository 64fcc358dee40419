"""deployments/prefect.yaml: it agrees with the flows, and a real server takes it and runs it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import pytest
import yaml

from flows.backfill_dates import MODES
from models import registry

ROOT = Path(__file__).resolve().parents[2]
FILE = "deployments/prefect.yaml"
DEPLOYMENTS = {
    one["name"]: one for one in yaml.safe_load((ROOT / FILE).read_text(encoding="utf-8"))["deployments"]
}
REQUIRED = {"nightly": set[str](), "backfill": {"start", "end"}}


def flow_of(name: str) -> Any:
    path, _, flow = DEPLOYMENTS[name]["entrypoint"].partition(":")
    assert (ROOT / path).is_file()
    return getattr(import_module(path.removesuffix(".py").replace("/", ".")), flow)


def prefect(*words: str, server: str) -> str:
    """Run Prefect's own command line from the root; return what it printed."""
    given = os.environ | {"PREFECT_API_URL": server, "COLUMNS": "200", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "prefect", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=given, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", REQUIRED)
def test_a_deployment_agrees_with_its_flow(name: str) -> None:
    assert DEPLOYMENTS.keys() == REQUIRED.keys()
    flow, given = flow_of(name), DEPLOYMENTS[name]["parameters"]
    assert flow.name == name
    signature = inspect.signature(flow.fn).parameters
    empty = inspect.Parameter.empty
    assert {key for key, one in signature.items() if one.default is empty} == REQUIRED[name]
    assert given == {key: signature[key].default for key in given}
    assert flow.parameters.properties.keys() == signature.keys()
    for key, shown in flow.parameters.properties.items():
        assert shown.get("description"), f"{key} has no description"


def test_the_night_has_a_time_and_the_backfill_waits_for_a_person() -> None:
    (schedule,) = DEPLOYMENTS["nightly"]["schedules"]
    assert schedule["cron"] == "30 2 * * *"
    assert ZoneInfo(schedule["timezone"])
    assert DEPLOYMENTS["backfill"]["schedules"] == []
    assert DEPLOYMENTS["backfill"]["parameters"]["dry_run"] is True
    assert {one["work_pool"]["name"] for one in DEPLOYMENTS.values()} == {"nightshelf"}


def test_the_form_offers_the_modes_and_models_there_are() -> None:
    hints = get_type_hints(flow_of("backfill").fn)
    assert get_args(hints["mode"]) == MODES
    chosen = next(one for one in get_args(hints["models"]) if get_origin(one) is list)
    assert get_args(get_args(chosen)[0]) == registry.known()


@pytest.mark.prefect
def test_a_server_takes_every_deployment(prefect_server: str) -> None:
    from prefect.client.orchestration import get_client

    prefect("work-pool", "create", "nightshelf", "--type", "process", server=prefect_server)
    shown = prefect("--no-prompt", "deploy", "--prefect-file", FILE, "--all", server=prefect_server)
    assert len(re.findall("successfully created", shown)) == len(DEPLOYMENTS), shown
    with get_client(sync_client=True) as client:
        for name, told in DEPLOYMENTS.items():
            found = client.read_deployment_by_name(f"{name}/{name}")
            assert found.entrypoint == told["entrypoint"]
            assert found.parameters == told["parameters"]
            assert found.work_pool_name == "nightshelf"
            assert set(found.tags) == set(told["tags"])
            assert [(one.schedule.cron, one.schedule.timezone) for one in found.schedules] == [
                (one["cron"], one["timezone"]) for one in told["schedules"]
            ]

"""deployments/prefect.yaml agrees with the flows, and a real server accepts and runs it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo

import pytest
import yaml
from worlds.paths import IMPORTABLE, ROOT

from flows.backfill.plan import MODES
from models import registry
from tasks.configuration.configuration import load

FILE = "deployments/prefect.yaml"
DEPLOYMENTS = {
    deployment["name"]: deployment
    for deployment in yaml.safe_load((ROOT / FILE).read_text(encoding="utf-8"))["deployments"]
}
REQUIRED = {
    "nightly": set[str](),
    "backfill": {"start", "end"},
    "evaluate": set[str](),
    "publish": {"release_id", "reason"},
    "rollback": {"reason"},
    "train-models": {"store", "as_of", "run_id", "model"},
}
POOLS = {name: "nightshelf-gpu" if name == "train-models" else "nightshelf" for name in REQUIRED}
PLAIN = ({"type": "string"}, {"type": "boolean"}, {"type": "integer"}, {"type": "number"})
"""Types with an input in the form: text, date, drop-down and switch, and lists of them."""


def flow_of(name: str) -> Any:
    path, _, flow = DEPLOYMENTS[name]["entrypoint"].partition(":")
    assert (ROOT / path).is_file()
    return getattr(import_module(path.removesuffix(".py").replace("/", ".")), flow)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_deployment_agrees_with_its_flow(name: str) -> None:
    assert DEPLOYMENTS.keys() == REQUIRED.keys()
    flow, parameters = flow_of(name), DEPLOYMENTS[name]["parameters"]
    assert flow.name == name
    signature = inspect.signature(flow.fn).parameters
    empty = inspect.Parameter.empty
    assert {key for key, parameter in signature.items() if parameter.default is empty} == REQUIRED[name]
    assert parameters == {key: signature[key].default for key in parameters}
    assert flow.parameters.properties.keys() == signature.keys()
    for key, shown in flow.parameters.properties.items():
        assert shown.get("description"), f"{key} has no description"


def test_the_night_has_a_schedule_and_the_backfill_has_none() -> None:
    (schedule,) = DEPLOYMENTS["nightly"]["schedules"]
    assert schedule["cron"] == "30 2 * * *"
    assert ZoneInfo(schedule["timezone"])
    assert DEPLOYMENTS["backfill"]["schedules"] == []
    assert DEPLOYMENTS["backfill"]["parameters"]["dry_run"] is True
    assert {name for name, deployment in DEPLOYMENTS.items() if deployment["schedules"]} == {"nightly"}
    assert {name: deployment["work_pool"]["name"] for name, deployment in DEPLOYMENTS.items()} == POOLS


@pytest.mark.parametrize("name", REQUIRED)
def test_a_form_shows_every_parameter_as_an_input_and_none_as_json(name: str) -> None:
    flow = flow_of(name)
    for key, shown in flow.parameters.properties.items():
        kind = shown["items"] if shown["type"] == "array" else shown
        assert {"type": kind["type"]} in PLAIN, f"{key}: {shown}"
        assert not {"anyOf", "oneOf", "allOf", "$ref"} & (shown.keys() | kind.keys()), f"{key}: {shown}"


@pytest.mark.parametrize("name", REQUIRED)
def test_all_flows_share_the_models_and_dates(name: str) -> None:
    shown = flow_of(name).parameters.properties
    if "models" in shown:
        assert tuple(shown["models"]["items"]["enum"]) == registry.known()
    if "pattern" in shown.get("as_of", {}):
        matching = re.compile(shown["as_of"]["pattern"]).fullmatch
        assert matching("yesterday")
        assert matching("2026-11-20")
        assert not matching("20.11.2026")


def test_the_form_offers_every_mode() -> None:
    assert get_args(get_type_hints(flow_of("backfill").fn)["mode"]) == MODES


def test_production_trains_by_an_existing_deployment() -> None:
    deployment = load(ROOT / "deployments" / "production.toml").train.deployment
    assert deployment in {f"{flow_of(name).name}/{name}" for name in DEPLOYMENTS}
    assert POOLS[str(deployment).rpartition("/")[2]] == "nightshelf-gpu"


@pytest.mark.prefect
def test_a_server_accepts_every_deployment_by_the_compose_files_command(prefect_server: str) -> None:
    from prefect.client.orchestration import get_client

    compose = yaml.safe_load((ROOT / "deployments" / "compose.yaml").read_text(encoding="utf-8"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = os.environ | {"PREFECT_API_URL": prefect_server, "COLUMNS": "200", "PYTHONPATH": IMPORTABLE}
    completed = subprocess.run(
        compose["services"]["deploy"]["command"], cwd=ROOT, env=variables | {"PATH": path},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert len(re.findall("successfully created", completed.stdout)) == len(DEPLOYMENTS), completed.stdout
    with get_client(sync_client=True) as client:
        assert {name: client.read_work_pool(name).type for name in set(POOLS.values())} == dict.fromkeys(
            POOLS.values(), "process"
        )
        automations = {automation.name for automation in client.read_automations()}
        assert {f"nightshelf: {kind} runs" for kind in ("dead", "stuck")} <= automations
        for name, described in DEPLOYMENTS.items():
            deployed = client.read_deployment_by_name(f"{name}/{name}")
            assert deployed.entrypoint == described["entrypoint"]
            assert deployed.parameters == described["parameters"]
            assert deployed.work_pool_name == POOLS[name]
            assert set(deployed.tags) == set(described["tags"])
            assert [
                (schedule.schedule.cron, schedule.schedule.timezone) for schedule in deployed.schedules
            ] == [(schedule["cron"], schedule["timezone"]) for schedule in described["schedules"]]

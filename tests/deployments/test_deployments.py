"""deployments/prefect.yaml: it agrees with the flows, and a real server takes it and runs it."""

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
    one["name"]: one for one in yaml.safe_load((ROOT / FILE).read_text(encoding="utf-8"))["deployments"]
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
"""What the form has an input for: text, date, drop-down and switch; an array of these is a list of them."""


def flow_of(name: str) -> Any:
    path, _, flow = DEPLOYMENTS[name]["entrypoint"].partition(":")
    assert (ROOT / path).is_file()
    return getattr(import_module(path.removesuffix(".py").replace("/", ".")), flow)


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
    assert {name for name, one in DEPLOYMENTS.items() if one["schedules"]} == {"nightly"}
    assert {name: one["work_pool"]["name"] for name, one in DEPLOYMENTS.items()} == POOLS


@pytest.mark.parametrize("name", REQUIRED)
def test_a_form_shows_every_parameter_as_an_input_and_none_as_a_box_of_json(name: str) -> None:
    flow = flow_of(name)
    for key, shown in flow.parameters.properties.items():
        kind = shown["items"] if shown["type"] == "array" else shown
        assert {"type": kind["type"]} in PLAIN, f"{key}: {shown}"
        assert not {"anyOf", "oneOf", "allOf", "$ref"} & (shown.keys() | kind.keys()), f"{key}: {shown}"


@pytest.mark.parametrize("name", REQUIRED)
def test_every_flow_knows_the_models_and_dates_that_others_know(name: str) -> None:
    shown = flow_of(name).parameters.properties
    if "models" in shown:
        assert tuple(shown["models"]["items"]["enum"]) == registry.known()
    if "pattern" in shown.get("as_of", {}):
        matching = re.compile(shown["as_of"]["pattern"]).fullmatch
        assert matching("yesterday")
        assert matching("2026-11-20")
        assert not matching("20.11.2026")


def test_the_form_offers_the_modes_there_are() -> None:
    assert get_args(get_type_hints(flow_of("backfill").fn)["mode"]) == MODES


def test_production_trains_by_a_deployment_that_there_is() -> None:
    asked = load(ROOT / "deployments" / "production.toml").train.deployment
    assert asked in {f"{flow_of(name).name}/{name}" for name in DEPLOYMENTS}
    assert POOLS[str(asked).rpartition("/")[2]] == "nightshelf-gpu"


@pytest.mark.prefect
def test_a_server_takes_every_deployment_as_the_compose_file_gives_them(prefect_server: str) -> None:
    from prefect.client.orchestration import get_client

    compose = yaml.safe_load((ROOT / "deployments" / "compose.yaml").read_text(encoding="utf-8"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = os.environ | {"PREFECT_API_URL": prefect_server, "COLUMNS": "200", "PYTHONPATH": IMPORTABLE}
    done = subprocess.run(
        compose["services"]["deploy"]["command"], cwd=ROOT, env=given | {"PATH": path}, capture_output=True,
        text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("successfully created", done.stdout)) == len(DEPLOYMENTS), done.stdout
    with get_client(sync_client=True) as client:
        assert {name: client.read_work_pool(name).type for name in set(POOLS.values())} == dict.fromkeys(
            POOLS.values(), "process"
        )
        automations = {one.name for one in client.read_automations()}
        assert {f"nightshelf: {kind} runs" for kind in ("dead", "failed", "crashed", "late")} <= automations
        for name, told in DEPLOYMENTS.items():
            found = client.read_deployment_by_name(f"{name}/{name}")
            assert found.entrypoint == told["entrypoint"]
            assert found.parameters == told["parameters"]
            assert found.work_pool_name == POOLS[name]
            assert set(found.tags) == set(told["tags"])
            assert [(one.schedule.cron, one.schedule.timezone) for one in found.schedules] == [
                (one["cron"], one["timezone"]) for one in told["schedules"]
            ]

"""Create the deployments of a Prefect server, or update them; what was set in its UI stays.

    python -m flows.stack.deploy [FILE] [--schedules]

A deployment that exists keeps its schedules (changed, paused, added or removed), whether it is
paused, its limit, tags and job variables, and the values of its parameters except `config`. With
`--schedules` the schedules are those of FILE; paused ones stay paused. FILE is
deployments/prefect.yaml by default.
"""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

if TYPE_CHECKING:
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

FILE = Path("deployments/prefect.yaml")
OURS = "config"  # a parameter that always comes from the file


def deploy(file: Path, *, new_schedules: bool = False) -> int:
    """Create or update the deployments of a file; return the exit code of `prefect deploy`."""
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    content.pop("definitions", None)
    with get_client(sync_client=True) as client:
        for deployment in content["deployments"]:
            flow = deployment["entrypoint"].rpartition(":")[2].replace("_", "-")
            try:
                before = client.read_deployment_by_name(f"{flow}/{deployment['name']}")
            except ObjectNotFound:
                continue
            _keep(deployment, before, new_schedules)
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder) / "prefect.yaml"
        merged.write_text(json.dumps(content, indent=2), encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy"]
        return subprocess.run(  # noqa: S603 - our own Python, no shell
            [*command, "--prefect-file", str(merged), "--all"], check=False
        ).returncode


def _keep(deployment: dict[str, Any], before: DeploymentResponse, new_schedules: bool) -> None:
    """Change a deployment of the file to keep what its predecessor on the server was set to."""
    known = before.parameter_openapi_schema or {}
    kept = {name: value for name, value in before.parameters.items() if name in known.get("properties", {})}
    kept.pop(OURS, None)
    deployment["parameters"] = deployment["parameters"] | kept
    deployment["paused"] = before.paused
    deployment["tags"] = sorted({*deployment["tags"], *before.tags})
    if before.job_variables:
        deployment["work_pool"] = deployment["work_pool"] | {"job_variables": before.job_variables}
    if before.global_concurrency_limit:
        limit: dict[str, Any] = {"limit": before.global_concurrency_limit.limit}
        if before.concurrency_options:
            limit |= before.concurrency_options.model_dump(mode="json", exclude_none=True)
        deployment["concurrency_limit"] = limit
    if not new_schedules:
        deployment["schedules"] = [_entry(schedule) for schedule in before.schedules]
    elif before.schedules and not any(schedule.active for schedule in before.schedules):
        deployment["schedules"] = [entry | {"active": False} for entry in deployment["schedules"]]


def _entry(schedule: DeploymentSchedule) -> dict[str, Any]:
    """Return a schedule of the server as an entry of a file."""
    times: dict[str, Any] = schedule.schedule.model_dump(mode="json", exclude_none=True)
    others = {"active": schedule.active, "parameters": schedule.parameters, "slug": schedule.slug}
    return times | {name: value for name, value in others.items() if value not in (None, {})}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.stack.deploy", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--schedules", action="store_true", help="take the schedules of FILE")
    arguments = parser.parse_args()
    sys.exit(deploy(arguments.file, new_schedules=arguments.schedules))

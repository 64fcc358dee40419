"""The files of deployments as data: Dockerfile, compose file, pool templates, manifests."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from worlds.paths import ROOT

HOME = ROOT / "deployments"
USER = "10001:10001"
COMPOSE: dict[str, Any] = yaml.safe_load((HOME / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("nightshelf:")}
DEPLOYMENTS = yaml.safe_load((HOME / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
POOLS = {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS}
TEMPLATES = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (HOME / "pools").glob("*.json")
}
MANIFESTS = list(yaml.safe_load_all((HOME / "kubernetes.yaml").read_text(encoding="utf-8")))
TEXTS = [HOME / "Dockerfile", HOME / "compose.yaml", HOME / ".env.example", HOME / "kubernetes.yaml",
         HOME / "production.toml", *sorted((HOME / "pools").glob("*.json"))]  # fmt: skip


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", (HOME / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    stages: dict[str, list[str]] = {"": []}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.startswith("FROM "):
            stages[line.split(" AS ")[1]] = [line]
        elif line.strip():
            stages[list(stages)[-1]].append(line)
    return stages


def rendered(name: str, **values: Any) -> dict[str, Any]:
    """Return a template as a worker renders it, with defaults and these values for the names."""
    from prefect.utilities.templating import apply_values

    template = TEMPLATES[name]
    known = template["variables"]["properties"]
    defaults = {key: variable["default"] for key, variable in known.items() if "default" in variable}
    made: dict[str, Any] = apply_values(template["job_configuration"], defaults | values)
    return made


def pod_of(name: str) -> dict[str, Any]:
    pod: dict[str, Any] = rendered(name)["job_manifest"]["spec"]["template"]["spec"]
    return pod

"""Images, compose file and pools of containers: they agree with the deployments, and nothing runs as root."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from worlds.paths import IMPORTABLE, ROOT

from tasks.configuration.configuration import load

HOME = ROOT / "deployments"
USER = "10001:10001"
COMPOSE: dict[str, Any] = yaml.safe_load((HOME / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("nightshelf:")}
DEPLOYMENTS = yaml.safe_load((HOME / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
POOLS = {one["work_pool"]["name"] for one in DEPLOYMENTS}
TEMPLATES = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (HOME / "pools").glob("*.json")
}
MANIFESTS = list(yaml.safe_load_all((HOME / "kubernetes.yaml").read_text(encoding="utf-8")))
TEXTS = [HOME / "Dockerfile", HOME / "compose.yaml", HOME / ".env.example", HOME / "kubernetes.yaml",
         HOME / "production.toml", *sorted((HOME / "pools").glob("*.json"))]  # fmt: skip


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", (HOME / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, list[str]] = {"": []}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.startswith("FROM "):
            found[line.split(" AS ")[1]] = [line]
        elif line.strip():
            found[list(found)[-1]].append(line)
    return found


def rendered(name: str, **values: Any) -> dict[str, Any]:
    """Return what a worker makes of a template: the defaults and these values in the places of the names."""
    from prefect.utilities.templating import apply_values

    template = TEMPLATES[name]
    known = template["variables"]["properties"]
    defaults = {key: one["default"] for key, one in known.items() if "default" in one}
    made: dict[str, Any] = apply_values(template["job_configuration"], defaults | values)
    return made


def pod_of(name: str) -> dict[str, Any]:
    pod: dict[str, Any] = rendered(name)["job_manifest"]["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_ends_with_a_user_that_is_not_root(target: str) -> None:
    lines = stages()[target]
    assert lines[-1] == f"USER {USER}"
    assert lines[0] == f"FROM application AS {target}"
    assert any(f"--uid {USER.partition(':')[0]} " in line for line in stages()["system"])


def test_an_image_says_which_base_and_torch_it_is_made_of() -> None:
    assert re.fullmatch(r"ARG PYTHON_IMAGE=python:3\.11\.\d+-slim-bookworm", stages()[""][0])
    assert "ARG TORCH_INDEX_URL" in stages()["packages"]  # with no default, and refused where it is empty
    assert any("${TORCH_INDEX_URL:?" in line for line in stages()["packages"])
    assert list(stages())[-1] == "cpu"  # what is built where no target is named


def test_what_the_image_copies_is_let_through_and_nothing_secret_is() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    let = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[rules.index("*") :][1].startswith("!"), "everything is left out first"
    assert all((ROOT / name).exists() for name in let)
    copied = re.findall(
        r"^COPY (\S+\.lock) ", (HOME / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(copied) == {"requirements.lock", "requirements-workers.lock"} <= set(let)
    assert {"flows", "tasks", "models", "sql", "deployments", "pyproject.toml"} <= set(let)
    assert rules.index("deployments/.env") > rules.index("!deployments")
    assert "/deployments/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_workers_of_containers_have_the_packages_of_the_other_images_and_two_more() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[\w.-]+==\S+", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    more = pins("requirements-workers.lock") - pins("requirements.lock")
    assert pins("requirements.lock") < pins("requirements-workers.lock")
    assert {"prefect-docker", "prefect-kubernetes"} <= {pin.split("==")[0] for pin in more}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_file_holds_a_secret(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name, value in re.findall(
        r"(?im)^\W*(\w*(?:password|auth_string|token|api_key)\w*)\W*[:=] *(.*)$", text
    ):
        reference = re.fullmatch(r"(true,?|false,?|\$\{\w+:\?[^}]*\}|)\s*(#.*)?", value.strip())
        assert reference, f"{path.name}: {name} has a value: {value!r}"
    assert not re.search(r"://[^/\s:$]+:[^@\s$]+@", text), "a password in an address"
    assert "BEGIN" not in text


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_and_no_more_than_its_share(name: str) -> None:
    one = SERVICES[name]
    assert one["user"] == ("postgres" if name == "postgres" else USER)
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert "cap_add" not in one
    assert "privileged" not in one
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert one["restart"] == ("on-failure:3" if name == "deploy" else "unless-stopped")
    assert ("healthcheck" in one) is (name != "deploy")  # which ends
    assert not any("docker.sock" in str(volume) for volume in one.get("volumes", []))
    assert re.fullmatch(r"nightshelf:(cpu|cuda)|postgres:\d+\.\d+-alpine", one["image"])


def test_only_the_server_is_published_and_only_to_this_machine() -> None:
    assert {name: one["ports"] for name, one in SERVICES.items() if "ports" in one} == {
        "server": ["127.0.0.1:4200:4200"]
    }
    assert {name for name, one in SERVICES.items() if "database" in one.get("networks", [])} == {
        "postgres",
        "server",
    }
    assert COMPOSE["networks"]["database"]["internal"] is True


def test_services_wait_for_what_they_need() -> None:
    for name, one in SERVICES.items():
        for needed, how in one.get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            assert ends is ("healthcheck" not in SERVICES[needed]), f"{name} waits for {needed}"
    assert {name for name in SERVICES if "worker" in name} == {
        name for name, one in SERVICES.items() if "deploy" in one.get("depends_on", {})
    }


def test_every_pool_of_the_deployments_is_made_and_has_a_worker() -> None:
    from flows.stack.prepare import POOLS as MADE

    served = {
        one["command"][one["command"].index("--pool") + 1]
        for one in OURS.values()
        if "--pool" in one["command"]
    }
    assert MADE.keys() == served == POOLS == {"nightshelf", "nightshelf-gpu"}
    training = {name: one["profiles"] for name, one in SERVICES.items() if "profiles" in one}
    assert training == {"training-worker": ["cpu"], "gpu-worker": ["gpu"]}
    assert {tuple(SERVICES[name]["command"]) for name in training} == {
        tuple(SERVICES["gpu-worker"]["command"])
    }


def test_dead_runs_are_noticed_and_told_of() -> None:
    from flows.stack.automations import HEARTBEAT
    from flows.stack.prepare import WEBHOOK

    assert SERVICES["deploy"]["environment"][WEBHOOK] == f"${{{WEBHOOK}:-}}"  # a secret that no other needs
    assert [name for name, one in SERVICES.items() if WEBHOOK in one.get("environment", {})] == ["deploy"]
    beats = {
        name: one["environment"].get("PREFECT_FLOWS_HEARTBEAT_FREQUENCY")
        for name, one in OURS.items()
        if "worker" in name
    }
    assert set(beats.values()) == {str(HEARTBEAT)}


def test_workers_share_the_store_and_read_logs_and_configuration() -> None:
    workers = [one for name, one in SERVICES.items() if "worker" in name]
    places = {tuple(volume.rsplit(":", 2)[-2:]) for one in workers for volume in one["volumes"]}
    (workdir,) = [line.split()[1] for line in stages()["application"] if line.startswith("WORKDIR")]
    config = {one["parameters"]["config"] for one in DEPLOYMENTS if one["name"] != "train-models"}
    assert config == {"nightshelf.toml"}
    assert places == {("store", "/store"), ("/logs", "ro"), (f"{workdir}/nightshelf.toml", "ro")}
    assert all(one["volumes"][0] == "store:/store" for one in workers)


def test_the_example_environment_names_every_variable_and_gives_no_secret() -> None:
    text = (HOME / ".env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)", (HOME / "compose.yaml").read_text(encoding="utf-8")))
    assert used | {"COMPOSE_PROFILES"} == given.keys()
    assert {name for name, value in given.items() if not value} >= {
        "POSTGRES_PASSWORD",
        "PREFECT_SERVER_API_AUTH_STRING",
    }


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_uses_each_of_its_variables_and_no_other(name: str) -> None:
    template = TEMPLATES[name]
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == template["variables"]["properties"].keys()
    assert not re.search(r'"\$ref"', json.dumps(template))


@pytest.mark.parametrize("name", ["docker", "docker-gpu"])
def test_a_run_in_docker_is_as_one_of_the_compose_file(name: str) -> None:
    made, worker = rendered(name), SERVICES["gpu-worker" if "gpu" in name else "worker"]
    more = made["container_create_kwargs"]
    assert made["image"] == worker["image"]
    assert more["user"] == worker["user"]
    assert (more["read_only"], more["cap_drop"], more["security_opt"]) == (
        worker["read_only"],
        worker["cap_drop"],
        worker["security_opt"],
    )
    assert [f"{place}:{how}" for place, how in more["tmpfs"].items()] == worker["tmpfs"]
    ends = [volume.split(":", 1)[1] for volume in made["volumes"]]
    assert ends[0] == "/store"
    assert ends[1:] == ["/logs:ro", "/opt/nightshelf/nightshelf.toml:ro"]
    assert made["volumes"][0] == f"{COMPOSE['name']}_store:/store"  # the compose file's own volume
    assert ("device_requests" in more) is ("gpu" in name)
    assert "privileged" not in json.dumps(TEMPLATES[name])


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes-gpu"])
def test_a_run_in_kubernetes_has_no_rights_and_the_same_places(name: str) -> None:
    pod = pod_of(name)
    (box,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == USER
    assert pod["automountServiceAccountToken"] is False
    assert box["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert box["image"] == SERVICES["gpu-worker" if "gpu" in name else "worker"]["image"]
    assert ("nvidia.com/gpu" in box["resources"]["limits"]) is ("gpu" in name)
    assert {one["mountPath"] for one in box["volumeMounts"] if not one.get("readOnly")} == {"/store", "/tmp"}  # noqa: S108
    assert {one["name"] for one in box["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


def test_a_cluster_holds_what_the_jobs_ask_for() -> None:
    made = {(one["kind"], one["metadata"]["name"]) for one in MANIFESTS}
    assert not [kind for kind, _ in made if kind == "Secret"]
    pod = pod_of("kubernetes")
    for volume in pod["volumes"]:
        if claim := volume.get("persistentVolumeClaim"):
            assert ("PersistentVolumeClaim", claim["claimName"]) in made
    assert ("ServiceAccount", pod["serviceAccountName"]) in made
    assert ("Namespace", rendered("kubernetes")["namespace"]) in made
    spaces = {one["metadata"].get("namespace") for one in MANIFESTS if one["kind"] != "Namespace"}
    assert spaces == {rendered("kubernetes")["namespace"]}


def test_the_workers_of_a_cluster_serve_the_pools_without_rights_on_their_machines() -> None:
    workers = [one["spec"]["template"]["spec"] for one in MANIFESTS if one["kind"] == "Deployment"]
    boxes = [box for pod in workers for box in pod["containers"]]
    assert {box["args"][box["args"].index("--pool") + 1] for box in boxes} == {"nightshelf", "nightshelf-gpu"}
    assert all(pod["securityContext"]["runAsNonRoot"] is True for pod in workers)
    assert all(box["securityContext"]["capabilities"] == {"drop": ["ALL"]} for box in boxes)
    assert all(box["securityContext"]["readOnlyRootFilesystem"] is True for box in boxes)


def test_production_is_the_spark_engine_on_the_shared_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTSHELF_SPARK_MASTER", raising=False)
    configuration = load(HOME / "production.toml")
    assert (configuration.engine.name, configuration.engine.spark_master) == ("spark", "local")
    assert configuration.store.path == Path("/store")
    assert str(configuration.source.path).startswith("/logs/")
    assert configuration.train.deployment == "train-models/train-models"
    monkeypatch.setenv("NIGHTSHELF_SPARK_MASTER", "spark://spark:7077")
    assert load(HOME / "production.toml").engine.spark_master == "spark://spark:7077"


def test_an_installed_package_has_every_file_of_deployments() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = told["tool"]["setuptools"]["package-data"]["deployments"]
    files = [
        path.relative_to(HOME).as_posix()
        for path in HOME.rglob("*.*")
        if path.suffix in {".toml", ".yaml", ".json"}
    ]
    assert len(files) >= 10
    assert [name for name in files if not any(fnmatch(name, pattern) for pattern in patterns)] == []


@pytest.mark.prefect
@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_a_server_takes_the_pools_of_containers_and_the_same_deployments(
    prefect_server: str, kind: str
) -> None:
    from prefect.client.orchestration import get_client

    def prefect(*words: str) -> str:
        given = os.environ | {"PREFECT_API_URL": prefect_server, "COLUMNS": "200", "PYTHONPATH": IMPORTABLE}
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *words], cwd=ROOT, env=given, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    names = {f"{kind}-test": kind, f"{kind}-test-gpu": f"{kind}-gpu"}
    for name, template in names.items():
        prefect(
            "work-pool",
            "create",
            name,
            "--type",
            kind,
            "--overwrite",
            "--base-job-template",
            f"deployments/pools/{template}.json",
        )
    with get_client(sync_client=True) as client:
        for name, template in names.items():
            pool = client.read_work_pool(name)
            assert pool.type == kind
            assert pool.base_job_template == TEMPLATES[template]
    memory = {"docker": "mem_limit=6g", "kubernetes": "memory_limit=6Gi"}[kind]
    told = ("--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--name", "nightly")
    shown = prefect(*told, "--pool", f"{kind}-test", "--job-variable", memory)
    assert "successfully created" in shown
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name("nightly/nightly")
        assert found.work_pool_name == f"{kind}-test"
        assert found.job_variables == dict([memory.split("=")])

"""Container pools: runs in Docker and Kubernetes match the compose file; a server accepts them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from worlds.container_files import (
    COMPOSE,
    MANIFESTS,
    SERVICES,
    TEMPLATES,
    USER,
    pod_of,
    rendered,
)
from worlds.paths import IMPORTABLE, ROOT


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_uses_exactly_its_variables(name: str) -> None:
    template = TEMPLATES[name]
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == template["variables"]["properties"].keys()
    assert not re.search(r'"\$ref"', json.dumps(template))


@pytest.mark.parametrize("name", ["docker", "docker-gpu"])
def test_a_run_in_docker_matches_the_compose_file(name: str) -> None:
    made, worker = rendered(name), SERVICES["gpu-worker" if "gpu" in name else "worker"]
    more = made["container_create_kwargs"]
    assert made["image"] == worker["image"]
    assert more["user"] == worker["user"]
    assert (more["read_only"], more["cap_drop"], more["security_opt"]) == (
        worker["read_only"],
        worker["cap_drop"],
        worker["security_opt"],
    )
    assert [f"{folder}:{how}" for folder, how in more["tmpfs"].items()] == worker["tmpfs"]
    ends = [volume.split(":", 1)[1] for volume in made["volumes"]]
    assert ends[0] == "/store"
    assert ends[1:] == ["/logs:ro", "/opt/nightshelf/nightshelf.toml:ro"]
    assert made["volumes"][0] == f"{COMPOSE['name']}_store:/store"  # the compose file's volume
    assert ("device_requests" in more) is ("gpu" in name)
    assert "privileged" not in json.dumps(TEMPLATES[name])


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes-gpu"])
def test_a_run_in_kubernetes_has_no_privileges_and_the_same_paths(name: str) -> None:
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
    written = {mount["mountPath"] for mount in box["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/store", "/tmp"}  # noqa: S108
    assert {mount["name"] for mount in box["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_a_cluster_has_the_resources_that_jobs_request() -> None:
    made = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in MANIFESTS}
    assert not [kind for kind, _ in made if kind == "Secret"]
    pod = pod_of("kubernetes")
    for volume in pod["volumes"]:
        if claim := volume.get("persistentVolumeClaim"):
            assert ("PersistentVolumeClaim", claim["claimName"]) in made
    assert ("ServiceAccount", pod["serviceAccountName"]) in made
    assert ("Namespace", rendered("kubernetes")["namespace"]) in made
    spaces = {
        manifest["metadata"].get("namespace") for manifest in MANIFESTS if manifest["kind"] != "Namespace"
    }
    assert spaces == {rendered("kubernetes")["namespace"]}


def test_cluster_workers_serve_the_pools_without_privileges() -> None:
    workers = [
        manifest["spec"]["template"]["spec"] for manifest in MANIFESTS if manifest["kind"] == "Deployment"
    ]
    boxes = [box for pod in workers for box in pod["containers"]]
    assert {box["args"][box["args"].index("--pool") + 1] for box in boxes} == {"nightshelf", "nightshelf-gpu"}
    assert all(pod["securityContext"]["runAsNonRoot"] is True for pod in workers)
    assert all(box["securityContext"]["capabilities"] == {"drop": ["ALL"]} for box in boxes)
    assert all(box["securityContext"]["readOnlyRootFilesystem"] is True for box in boxes)


@pytest.mark.prefect
@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_a_server_accepts_container_pools_and_the_same_deployments(prefect_server: str, kind: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    names = {f"{kind}-test": kind, f"{kind}-test-gpu": f"{kind}-gpu"}
    with get_client(sync_client=True) as client:
        for name, template in names.items():
            wanted = WorkPoolCreate(name=name, type=kind, base_job_template=TEMPLATES[template])
            pool = client.create_work_pool(wanted, overwrite=True)
            assert pool.type == kind
            assert pool.base_job_template == TEMPLATES[template]
    memory = {"docker": "mem_limit=6g", "kubernetes": "memory_limit=6Gi"}[kind]
    arguments = ("--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--name", "nightly")
    variables = {"PREFECT_API_URL": prefect_server, "COLUMNS": "200", "PYTHONPATH": IMPORTABLE}
    completed = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments, "--pool", f"{kind}-test", "--job-variable", memory],
        cwd=ROOT, env=os.environ | variables,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "successfully created" in completed.stdout
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("nightly/nightly")
        assert deployment.work_pool_name == f"{kind}-test"
        assert deployment.job_variables == dict([memory.split("=")])

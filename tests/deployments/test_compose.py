"""The compose file: unprivileged services that wait for each other and share the store."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from worlds.container_files import (
    COMPOSE,
    DEPLOYMENTS,
    HOME,
    OURS,
    POOLS,
    SERVICES,
    USER,
    stages,
)

from tasks.configuration.configuration import load


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_privileges_and_limited_resources(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == ("postgres" if name == "postgres" else USER)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["restart"] == ("on-failure:3" if name == "deploy" else "unless-stopped")
    assert ("healthcheck" in service) is (name != "deploy")  # which ends
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))
    assert re.fullmatch(r"nightshelf:(cpu|cuda)|postgres:\d+\.\d+-alpine", service["image"])


def test_only_the_server_is_exposed_and_only_to_this_machine() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "server": ["127.0.0.1:4200:4200"]
    }
    assert {name for name, service in SERVICES.items() if "database" in service.get("networks", [])} == {
        "postgres",
        "server",
    }
    assert COMPOSE["networks"]["database"]["internal"] is True


def test_services_wait_for_what_they_need() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            assert ends is ("healthcheck" not in SERVICES[needed]), f"{name} waits for {needed}"
    assert {name for name in SERVICES if "worker" in name} == {
        name for name, service in SERVICES.items() if "deploy" in service.get("depends_on", {})
    }


def test_every_pool_of_the_deployments_is_created_and_has_a_worker() -> None:
    from flows.stack.prepare import POOLS as MADE

    served = {
        service["command"][service["command"].index("--pool") + 1]
        for service in OURS.values()
        if "--pool" in service["command"]
    }
    assert MADE.keys() == served == POOLS == {"nightshelf", "nightshelf-gpu"}
    training = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert training == {"training-worker": ["cpu"], "gpu-worker": ["gpu"]}
    assert {tuple(SERVICES[name]["command"]) for name in training} == {
        tuple(SERVICES["gpu-worker"]["command"])
    }


def test_dead_runs_are_detected_and_reported() -> None:
    from flows.stack.automations import HEARTBEAT
    from flows.stack.prepare import WEBHOOK

    assert (
        SERVICES["deploy"]["environment"][WEBHOOK] == f"${{{WEBHOOK}:-}}"
    )  # a secret that no other service needs
    assert [name for name, service in SERVICES.items() if WEBHOOK in service.get("environment", {})] == [
        "deploy"
    ]
    beats = {
        name: service["environment"].get("PREFECT_FLOWS_HEARTBEAT_FREQUENCY")
        for name, service in OURS.items()
        if "worker" in name
    }
    assert set(beats.values()) == {str(HEARTBEAT)}


def test_workers_share_the_store_and_read_logs_and_configuration() -> None:
    workers = [service for name, service in SERVICES.items() if "worker" in name]
    places = {tuple(volume.rsplit(":", 2)[-2:]) for service in workers for volume in service["volumes"]}
    (workdir,) = [line.split()[1] for line in stages()["application"] if line.startswith("WORKDIR")]
    config = {
        deployment["parameters"]["config"]
        for deployment in DEPLOYMENTS
        if deployment["name"] != "train-models"
    }
    assert config == {"nightshelf.toml"}
    assert places == {("store", "/store"), ("/logs", "ro"), (f"{workdir}/nightshelf.toml", "ro")}
    assert all(service["volumes"][0] == "store:/store" for service in workers)


def test_the_example_environment_names_every_variable_and_holds_no_secret() -> None:
    text = (HOME / ".env.example").read_text(encoding="utf-8")
    example = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)", (HOME / "compose.yaml").read_text(encoding="utf-8")))
    assert used | {"COMPOSE_PROFILES"} == example.keys()
    assert {name for name, value in example.items() if not value} >= {
        "POSTGRES_PASSWORD",
        "PREFECT_SERVER_API_AUTH_STRING",
    }


def test_production_is_the_spark_engine_on_the_shared_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTSHELF_SPARK_MASTER", raising=False)
    configuration = load(HOME / "production.toml")
    assert (configuration.engine.name, configuration.engine.spark_master) == ("spark", "local")
    assert configuration.store.path == Path("/store")
    assert str(configuration.sources[0].path).startswith("/logs/")
    assert configuration.train.deployment == "train-models/train-models"
    monkeypatch.setenv("NIGHTSHELF_SPARK_MASTER", "spark://spark:7077")
    assert load(HOME / "production.toml").engine.spark_master == "spark://spark:7077"

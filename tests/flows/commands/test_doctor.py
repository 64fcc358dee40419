"""The command doctor: each check, and the whole command once."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from worlds.command_calls import MAIN, call
from worlds.paths import IMPORTABLE

from tasks.configuration.configuration import load
from tasks.monitoring import machine, readiness
from tasks.store.layout import Store

SOURCE = """
[source]
path = "logs/*.csv"
file_date = "%Y-%m-%d"
columns = { user = "u", item = "i", timestamp = "t" }
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "nightshelf.toml"
    path.write_text(SOURCE + '[items]\npath = "items.csv"\nid = "i"\n')
    (tmp_path / "logs").mkdir()
    for day in (1, 2, 3):
        (tmp_path / "logs" / f"2026-01-0{day}.csv").write_text("u,i,t\n")
    (tmp_path / "items.csv").write_text("i\n")
    return path


def version_of(**versions: str) -> Any:
    """Return a function that looks up the versions of installed packages."""

    def installed(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    return installed


# ---- the machine


def test_pins_are_read_from_a_lock_file_with_hashes_and_markers() -> None:
    text = """
# made by pip-compile
--extra-index-url https://example.org
duckdb==2.0.1 \\
    --hash=sha256:00
uvicorn[standard]==0.30
torch==2.13.0+cpu ; sys_platform == 'linux'
async-timeout==5.0.1 ; python_full_version < '3.11.0'
pendulum==3.3.0 ; python_full_version >= '3.11' and (sys_platform == 'linux' or sys_platform == 'win32') \\
    --hash=sha256:00
pywin32==306 ; sys_platform == "win32"
    # via nightshelf
tomli==2.2.1 ; python_version < "3.11"
numpy==2.4.6 ; sys_platform == "win32" or python_version >= "3.11"
cffi==2.0.0 ; implementation_name != "cpython" and sys_platform == "linux"  # a remark
"""
    pins = {
        "duckdb": "2.0.1",
        "uvicorn": "0.30",
        "torch": "2.13.0+cpu",
        "pendulum": "3.3.0",
        "numpy": "2.4.6",
    }
    assert machine.pins_of(text) == pins


def test_packages_are_compared_with_the_lock_file(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("a==1.0\nb==2.0\n")
    for versions in ({"a": "1.0", "b": "2.0+cpu"}, {"a": "1.0.0", "b": "2"}):
        (check,) = machine.package_checks(lock, version_of(**versions))
        assert (check.state, check.found) == ("ok", "2 as in requirements.lock")
    (unknown,) = machine.package_checks(lock, version_of(a="1.0", b="made by hand"))
    assert (unknown.name, unknown.found) == ("b", "version made by hand, tested with 2.0")
    older, missing = machine.package_checks(lock, version_of(a="0.9"))
    assert (older.name, older.state, older.found) == ("a", "problem", "version 0.9, tested with 1.0")
    assert (missing.state, missing.found, missing.advice) == (
        "problem",
        "not installed",
        "pip install 'b==2.0'",
    )


def test_without_a_lock_file_every_required_package_is_looked_up(tmp_path: Path) -> None:
    required = machine.required()
    assert {"prefect", "duckdb", "great-expectations"} <= set(required)
    assert not {"pytest", "prefect-docker"} & set(required)
    (missing, *_) = machine.package_checks(tmp_path / "none.lock", version_of())
    assert (missing.name, missing.found, missing.advice) == (
        required[0],
        "not installed",
        f"pip install '{required[0]}'",
    )


def test_memory_is_compared_with_the_budget() -> None:
    assert machine.memory_check().state == "ok"
    assert machine.memory_check(2**20).state == "ok"
    too_much = machine.memory_check(2**50)
    assert (too_much.state, too_much.advice) == (
        "problem",
        "set engine.memory to less than the machine's memory",
    )
    assert "engine.memory = 1024.0 TiB" in too_much.found


def test_another_python_than_asked_for_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "python_version", lambda: "3.10.14")
    check = machine.python_check()
    assert check.state == "problem"
    assert check.found.startswith("3.10.14 (")
    assert re.fullmatch(r"make the virtual environment with Python <3\.\d+,>=3\.11", check.advice)


def test_the_python_of_the_tests_passes_and_knows_its_cores_and_zones() -> None:
    assert machine.python_check().state == "ok"
    assert machine.time_zone_check().state == "ok"
    assert machine.cores_check().found.startswith(f"{len(os.sched_getaffinity(0))} cores")


@pytest.mark.parametrize(
    ("script", "state", "found"),
    [
        ("echo 'openjdk version \"17.0.9\" 2023-10-17' >&2", "ok", "version 17; Spark can be used"),
        ("echo 'java version \"1.8.0_392\"' >&2", "missing", "version 8"),
        (None, "missing", "none"),
    ],
)
def test_java_is_optional_unless_spark_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, state: str, found: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if script is not None:
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\n{script}\n")
        java.chmod(0o755)
    check = machine.java_check()
    assert (check.state, check.found) == (state, found)
    if state != "ok":
        assert "install a JDK 17" in check.advice
        assert machine.java_check(needed=True).state == "problem"


def test_a_gpu_is_optional_and_its_absence_is_reported_if_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (plain,), (required,) = machine.gpu_checks(), machine.gpu_checks(cuda_configured=True)
    assert (plain.name, plain.state) == (required.name, required.state) == ("GPU (torch)", "missing")
    assert "train on the CPU" in plain.advice
    assert "with a warning in the manifest" not in plain.advice
    assert "with a warning in the manifest" in required.advice


# ---- the configuration, and the files it names


def test_all_mistakes_of_a_configuration_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_text('[sorce]\npath = "x"\n[engine]\nname = "dask"\nmemory = "99"\n')
    configuration, checks = readiness.configuration_checks(path, is_required=True)
    assert configuration is None
    assert {check.state for check in checks} == {"problem"}
    found = "\n".join(check.found for check in checks)
    for mistake in ("engine.name: ", "engine.memory: ", "source is missing", "unknown key 'sorce'"):
        assert mistake in found


def test_a_missing_configuration_is_a_problem_only_if_it_was_named(tmp_path: Path) -> None:
    path = tmp_path / "nightshelf.toml"
    states = [readiness.configuration_checks(path, is_required)[1][0].state for is_required in (False, True)]
    assert states == ["missing", "problem"]


def test_logs_are_counted_and_dated(config: Path) -> None:
    assert next(readiness.source_checks(load(config))).found == "3 files, 18 B, 2026-01-01 to 2026-01-03"
    for file in (config.parent / "logs").iterdir():
        file.unlink()
    (check,) = readiness.source_checks(load(config))
    assert check.state == "problem"
    assert "no files there" in check.found


def test_rows_of_the_newest_file_are_tried(config: Path) -> None:
    (check,) = readiness.rows_checks(load(config))
    assert (check.state, check.found.partition(" (")[0]) == ("ok", "0 of 0 rows would be accepted")
    newest = config.parent / "logs" / "2026-01-03.csv"
    newest.write_text("u,i,t\na,b,2026-01-03\na,,2026-01-03\na,c,yesterday\n")
    (check,) = readiness.rows_checks(load(config))
    found = "1 of 3 rows would be accepted; item_missing 1, timestamp_unreadable 1"
    assert (check.state, check.found) == ("ok", f"{found} (a sample of {newest})")
    assert "the gate refuses a night if over 20% of all rows are quarantined" in check.advice
    newest.write_text("u,i,t\na,b,yesterday\n")
    (check,) = readiness.rows_checks(load(config))
    assert (check.state, check.found.partition(" (")[0]) == (
        "problem",
        "0 of 1 rows would be accepted; timestamp_unreadable 1",
    )
    newest.write_text("user,i,t\na,b,2026-01-03\n")
    (check,) = readiness.rows_checks(load(config))
    assert (check.state, "expected column 'u'" in check.found) == ("problem", True)
    newest.unlink()
    (config.parent / "logs" / "2026-01-04.csv").write_bytes(b"\x00\xff")
    (check,) = readiness.rows_checks(load(config))
    assert check.state == "problem"


def test_a_missing_catalogue_is_a_problem(config: Path) -> None:
    assert [check.state for check in readiness.catalogue_checks(load(config))] == ["ok"]
    (config.parent / "items.csv").unlink()
    (check,) = readiness.catalogue_checks(load(config))
    assert (check.name, check.state) == ("catalogue of items", "problem")


def test_a_store_is_checked_without_being_created(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store")
    writable, disk = readiness.store_checks(store, needed=1)
    assert (writable.name, writable.state, disk.state) == ("store (does not exist yet)", "ok", "ok")
    assert list(tmp_path.iterdir()) == []
    store.create()
    before = set(store.root.iterdir())
    with store.lock("run for 2026-01-03"):
        held, _ = readiness.store_checks(store, needed=1)
    assert (held.name, held.state) == ("store", "ok")
    assert "in use by run for 2026-01-03" in held.found
    assert {path for path in store.root.iterdir() if path.name != ".lock"} == before


def test_a_full_disk_or_a_file_in_the_way_is_a_problem(tmp_path: Path) -> None:
    _, disk = readiness.store_checks(Store(tmp_path), needed=2**60)
    assert (disk.state, "needs at least" in disk.advice) == ("problem", True)
    (tmp_path / "file").write_text("")
    writable, _ = readiness.store_checks(Store(tmp_path / "file" / "store"), needed=1)
    assert writable.state == "problem"
    assert "cannot write" in writable.found


# ---- the command


def doctor(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("NIGHTSHELF")}
    environment |= {"PYTHONPATH": IMPORTABLE, "PREFECT_HOME": str(folder / "prefect"), **env}
    command = [*MAIN, "doctor", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)


def test_doctor_prints_every_check_as_json(config: Path) -> None:
    result = doctor(config.parent, "--json")
    answer = json.loads(result.stdout)
    problems = [check for check in answer["checks"] if check["state"] == "problem"]
    assert (answer["problems"], result.returncode) == (len(problems), 1 if problems else 0)
    assert {tuple(check) for check in answer["checks"]} == {("name", "state", "found", "advice")}
    assert all(check["advice"] for check in answer["checks"] if check["state"] != "ok")
    states = {check["name"]: check["state"] for check in answer["checks"]}
    for name in ("Python", "memory", "CPU", "time zones", "Prefect", "configuration", "disk", "logs"):
        assert states[name] == "ok", answer
    assert states["Java"] in ("ok", "missing")


def test_doctor_prints_each_problem_with_its_advice(config: Path) -> None:
    config.write_text(SOURCE.replace("logs/", "longs/") + '[engine]\nmemory = "999TiB"\n')
    result = doctor(config.parent, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert result.returncode == 1
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert any(line.startswith(f"ok       Python: {platform.python_version()} (") for line in lines)
    for name in ("memory", "Prefect", "logs"):
        index = next(i for i, line in enumerate(lines) if line.startswith(f"problem  {name}: "))
        assert lines[index + 1].startswith("         -> ")
    assert lines[-1].endswith("problems")


def test_doctor_reports_a_named_configuration_that_is_missing(tmp_path: Path) -> None:
    named = call("doctor", "--json", "-c", str(tmp_path / "none.toml"), code=1)
    check = next(check for check in json.loads(named.stdout)["checks"] if check["name"] == "configuration")
    assert "cannot read the configuration" in check["found"]

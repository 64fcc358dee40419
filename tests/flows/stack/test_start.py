"""`nightshelf up` and `down`: access, password, repetition, port conflicts, and the end."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from worlds.night_world import FIRST, SECOND, Night, shop
from worlds.paths import ROOT
from worlds.stack_world import IMPATIENT, PASSWORD, PATIENCE, Up, call, free_port, until

from flows.stack.processes import RUN, Part, _marked_processes, stack_folder

pytestmark = pytest.mark.prefect


def refusal(url: str, data: bytes | None = None, **headers: str) -> int:
    """Return the HTTP status of a refused request."""
    request = urllib.request.Request(
        url, data, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE)
    with refused.value as answer:
        return answer.code


def family(up: Up) -> list[psutil.Process]:
    """Return the processes of a stack and their children."""
    tops = [process for part in up.stack.parts if (process := part.process())]
    assert len(tops) == len(up.stack.parts)
    return tops + [child for top in tops for child in top.children(recursive=True)]


def test_the_server_refuses_strangers(up: Up) -> None:
    nightly = f"{up.server.url}/api/deployments/name/nightly/nightly"
    assert refusal(nightly) == 401
    assert refusal(nightly, Authorization="Basic c2hvcDpndWVzc2Vk") == 401
    known = up.server.headers["Authorization"]
    forged = {"Content_Type": "application/json", "Authorization": known}
    assert refusal(f"{up.server.url}/api/flow_runs/filter", b"{}", **forged) == 403
    assert isinstance(up.server.ask("flow_runs/filter", {}), list)
    connections = [connection for process in family(up) for connection in process.net_connections()]
    listening = [connection.laddr.ip for connection in connections if connection.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}
    request = urllib.request.Request(
        f"{up.server.url}/api/health", headers={"Origin": "http://elsewhere.example"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.headers.get("access-control-allow-origin") is None


def test_the_password_is_in_no_log_and_on_no_command_line(up: Up) -> None:
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in up.folder.glob("logs/*.log")]
    texts += [str(process.cmdline()) for process in family(up)]
    assert len(texts) >= 8
    assert not [text for text in texts if "open-sesame" in text]
    assert "open-sesame" not in (up.folder / "stack.json").read_text(encoding="utf-8")


def test_the_stack_is_complete_and_a_run_succeeds(up: Up, night: Night) -> None:
    pools = up.server.ask("work_pools/filter", {})
    assert {pool["name"]: pool["status"] for pool in pools} == {
        "nightshelf": "READY",
        "nightshelf-gpu": "READY",
    }
    shown = up.call("up", "--status").stdout
    assert re.search(r"schedule +30 2 \* \* \* in UTC; next run \d{4}-\d\d-\d\d 02:30 UTC", shown), shown
    assert "30 2 * * * in UTC; next run" in up.call("status").stdout
    deployments = up.server.ask("deployments/filter", {})
    assert len(deployments) == 6
    parameters = {deployment["name"]: deployment["parameters"] for deployment in deployments}
    assert {values.get("config") for values in parameters.values()} == {None, str(up.config)}
    assert "config" not in parameters["train-models"]
    automations = up.server.ask("automations/filter", {})
    assert sorted(automation["name"] for automation in automations) == [
        f"nightshelf: {name} runs" for name in ("crashed", "dead", "failed", "late", "stuck")
    ]
    (dead,) = [automation for automation in automations if automation["name"] == "nightshelf: dead runs"]
    assert dead["trigger"]["within"] == 540
    run = up.server.ended(up.server.begin("nightly", as_of=str(FIRST), config=str(night.config)))
    assert run["state_name"] == "Completed", run["state"]["message"]
    assert night.published() == [night.pointed()]


def test_automations_are_not_doubled_and_notify_only_with_a_webhook(up: Up) -> None:
    variables = {"PREFECT_API_URL": f"{up.server.url}/api", "PREFECT_API_AUTH_STRING": PASSWORD}

    def automations() -> dict[str, str]:
        return {found["name"]: found["updated"] for found in up.server.ask("automations/filter", {})}

    before = automations()
    server = up.stack.parts[0].process()
    assert server is not None
    for webhook, blocks in (({}, []), ({"NIGHTSHELF_WEBHOOK_URL": up.webhook}, ["nightshelf-webhook"])):
        environment = server.environ() | variables | webhook
        subprocess.run([sys.executable, "-m", "flows.stack.prepare"], env=environment, check=True, cwd=ROOT)
        after = automations()
        assert {name for name in before if webhook or "dead" in name or "stuck" in name} == after.keys()
        watching = ("nightshelf: dead runs", "nightshelf: stuck runs")
        assert [after[name] for name in watching] == [before[name] for name in watching]
        assert [block["name"] for block in up.server.ask("block_documents/filter", {})] == blocks


def test_a_second_up_changes_nothing(up: Up) -> None:
    before = up.stack
    repeated = up.call("up", "--port", "1")
    assert repeated.returncode == 0, repeated.stderr
    assert f"already up: {up.server.url}" in repeated.stdout
    assert up.stack == before
    assert up.call("up", "--status").returncode == 0


def test_a_port_in_use_is_an_error_and_nothing_stays_running(up: Up, tmp_path: Path) -> None:
    second_shop = shop(tmp_path / "other", tmp_path)
    result = call("up", "--port", str(up.stack.port), "--config", str(second_shop.config), cwd=tmp_path)
    assert result.returncode == 1
    assert f"port {up.stack.port} of 127.0.0.1 cannot be used" in result.stderr
    assert not (stack_folder(second_shop.store.root) / "stack.json").exists()


def test_a_part_that_dies_at_start_is_reported_with_its_log(tmp_path: Path) -> None:
    second_shop = shop(tmp_path / "other", tmp_path)
    nowhere = {"PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path}/none/x.db"}
    result = call(
        "up", "--port", str(free_port()), "--config", str(second_shop.config), cwd=tmp_path, **nowhere
    )
    assert result.returncode == 1
    assert "error: the server ended while the stack started" in result.stderr
    assert "unable to open database file" in result.stderr
    assert not (stack_folder(second_shop.store.root) / "stack.json").exists()


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("a:b", 0o644, "can be read by others"),
        ("nobody", 0o600, "expected user:password"),
        (None, 0, "cannot read it"),
    ],
)
def test_a_password_file_that_others_can_read_or_is_malformed_is_refused(
    tmp_path: Path, content: str | None, mode: int, message: str
) -> None:
    second_shop, secret = shop(tmp_path / "other", tmp_path), tmp_path / "secret"
    if content is not None:
        secret.write_text(content, encoding="utf-8")
        secret.chmod(mode)
    result = call("up", "--auth-file", str(secret), "--config", str(second_shop.config), cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr


def test_a_process_with_a_reused_id_is_not_ours() -> None:
    me = psutil.Process()
    assert Part(name="x", pid=me.pid, created=me.create_time()).process() == me
    assert Part(name="x", pid=me.pid, created=me.create_time() - 1).process() is None


def begin_endless(up: Up, night: Night) -> str:
    """Begin a night that trains for ever; return its id once it trains."""
    endless = ["train.models=['als']", "train.serve=als", "models.als={iterations=1000000}"]
    endless += ["evaluation.enabled=false"]
    run_id = up.server.begin("nightly", as_of=str(SECOND), config=str(night.config), overrides=endless)
    until(lambda: up.server.run(run_id)["state_type"] == "RUNNING", "the run")
    until(lambda: [r for r in night.records() if r.finished("popular_items")], "the training of the night")
    return run_id


def begun(up: Up, state: str) -> str:
    """Return a run of a deployment that a worker would have put into a state."""
    deployment, later = up.server.deployment("nightly")["id"], {"scheduled_time": "2100-01-01T00:00:00Z"}
    body = {"state": {"type": "SCHEDULED", "state_details": later}}
    run_id = str(up.server.ask(f"deployments/{deployment}/create_flow_run", body)["id"])
    up.server.ask(f"flow_runs/{run_id}/set_state", {"state": {"type": state}, "force": True})
    return run_id


def set_in_the_ui(up: Up) -> dict[str, Any]:
    """Change the schedule and a parameter of nights, and add a schedule of backfills."""
    nightly, backfill = up.server.deployment("nightly"), up.server.deployment("backfill")
    (schedule,) = nightly["schedules"]
    changed = {"schedule": {"cron": "15 4 * * 1-5", "timezone": "Europe/Berlin"}, "active": False}
    up.server.ask(f"deployments/{nightly['id']}/schedules/{schedule['id']}", changed, "PATCH")
    values = nightly["parameters"] | {"overrides": ["top_n.n=4"]}
    more = {
        "tags": [*nightly["tags"], "shop"],
        "job_variables": {"env": {"SHOP": "1"}},
        "concurrency_limit": 3,
    }
    more["concurrency_options"] = {"collision_strategy": "CANCEL_NEW"}
    up.server.ask(f"deployments/{nightly['id']}", {"parameters": values} | more, "PATCH")
    weekly = {"interval": 604800.0, "anchor_date": "2026-01-05T00:00:00Z", "timezone": "UTC"}
    dates = {"start": str(FIRST), "end": str(SECOND)}
    added = [{"schedule": weekly, "active": True, "parameters": dates}]
    up.server.ask(f"deployments/{backfill['id']}/schedules", added)
    up.server.ask(f"deployments/{up.server.deployment('evaluate')['id']}/pause_deployment", {})
    settings = settings_of(up)
    assert settings["nightly"][3] == (["nightly", "nightshelf", "shop"], more["job_variables"], 3)
    return settings


def settings_of(up: Up) -> dict[str, Any]:
    """Return what people set of the deployments."""
    settings = {}
    for name in ("nightly", "backfill", "evaluate"):
        deployment = up.server.deployment(name)
        kept = [
            (schedule["schedule"], schedule["active"], schedule["parameters"])
            for schedule in deployment["schedules"]
        ]
        limit = (deployment["global_concurrency_limit"] or {}).get("limit")
        others = (sorted(deployment["tags"]), deployment["job_variables"], limit)
        options = deployment["concurrency_options"]
        settings[name] = (deployment["paused"], deployment["parameters"], kept, others, options)
    return settings


def test_after_a_kill_of_everything_no_run_is_running_and_all_is_as_it_was_set(up: Up, night: Night) -> None:
    before = set_in_the_ui(up)
    killed, submitted, alive = begin_endless(up, night), begun(up, "PENDING"), begun(up, "RUNNING")
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**os.environ, RUN: alive}
    ) as other:
        ours = list(_marked_processes(up.stack.token))
        for process in ours:
            process.kill()
        psutil.wait_procs(ours)
        shown = up.call("up", "--status")
        assert (shown.returncode, "the server is down" in shown.stderr) == (1, True)
        secret, port = up.config.parent / "secret", str(up.stack.port)
        again = up.call("up", "--port", port, "--auth-file", str(secret), **IMPATIENT)
        assert again.returncode == 0, again.stderr
        assert "15 4 * * 1-5 in Europe/Berlin; paused" in again.stdout
        states = {run_id: up.server.run(run_id)["state"] for run_id in (killed, submitted, alive)}
        other.communicate(b"\n")
    assert [state["name"] for state in states.values()] == ["Crashed", "Crashed", "Running"]
    assert "the run was Running" in states[killed]["message"]
    assert "the run was Pending" in states[submitted]["message"]
    tasks = {"flow_runs": {"id": {"any_": [killed]}}, "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    assert up.server.ask("task_runs/filter", tasks) == []
    assert settings_of(up) == before
    pools = {pool["name"]: pool["status"] for pool in up.server.ask("work_pools/filter", {})}
    assert pools == {"nightshelf": "READY", "nightshelf-gpu": "PAUSED"}
    up.server.ask(f"flow_runs/{alive}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


def test_a_part_that_ends_is_started_again(up: Up) -> None:
    (worker,) = (part.process() for part in up.stack.parts if part.name == "worker")
    assert worker is not None
    worker.kill()
    until(lambda: up.stack.dead() == ["worker"], "the end of the worker")
    until(lambda: up.stack.dead() == [], "the next worker")
    supervisor = up.stack.parts[-1].process()
    assert supervisor is not None
    supervisor.kill()
    supervisor.wait()
    assert "the supervisor is down" in up.call("up", "--status").stderr
    assert up.call("up").returncode == 0
    assert up.stack.dead() == []


def test_down_ends_only_its_processes_and_keeps_the_history(up: Up, night: Night) -> None:
    run_id = begin_endless(up, night)
    processes = family(up)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        result = up.call("down")
        assert result.returncode == 0, result.stderr
        assert result.stdout == "ended: server, worker, supervisor\n"
        assert [process for process in processes if process.is_running()] == []
        assert bystander.poll() is None
        bystander.communicate(b"\n")
    with closing(sqlite3.connect(up.folder / "prefect.db")) as history:
        known = dict(history.execute("SELECT id, state_name FROM flow_run").fetchall())
    assert known[run_id] == "Crashed"
    assert night.records()[-1].state in {"running", "failed", "interrupted"}  # all can be resumed
    repeated = up.call("down")
    assert (repeated.returncode, repeated.stdout) == (0, f"nothing was up for {up.config}\n")
    missing = up.call("up", "--status")
    assert missing.returncode == 1
    assert "no stack is up" in missing.stderr

"""`nightshelf up` and `down`: access, password, repetition, port conflicts, and the end."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from worlds.night_world import FIRST, SECOND, Night, shop
from worlds.paths import ROOT
from worlds.stack_world import PASSWORD, Up, call, free_port, until

from flows.stack.processes import Part, stack_folder

pytestmark = pytest.mark.prefect


def refusal(url: str, data: bytes | None = None, **headers: str) -> int:
    """Return the HTTP status of a refused request."""
    request = urllib.request.Request(
        url, data, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    with refused.value as answer:
        return answer.code


def family(up: Up) -> list[psutil.Process]:
    """Return the processes of a stack and their children."""
    tops = [process for part in up.stack.parts if (process := part.process())]
    assert len(tops) == 3
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
    with urllib.request.urlopen(request, timeout=60) as answer:
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
    deployments = up.server.ask("deployments/filter", {})
    assert len(deployments) == 6
    parameters = {deployment["name"]: deployment["parameters"] for deployment in deployments}
    assert {values.get("config") for values in parameters.values()} == {None, str(up.config)}
    assert "config" not in parameters["train-models"]
    automations = up.server.ask("automations/filter", {})
    assert sorted(automation["name"] for automation in automations) == [
        f"nightshelf: {name} runs" for name in ("crashed", "dead", "failed", "late")
    ]
    (dead,) = [automation for automation in automations if automation["name"] == "nightshelf: dead runs"]
    assert dead["trigger"]["within"] == 540
    run = up.server.ended(up.server.begin("nightly", as_of=str(FIRST), config=str(night.config)))
    assert run["state_name"] == "Completed", run["state"]["message"]
    assert night.published() == [night.pointed()]


def test_automations_are_not_doubled_by_a_second_start(up: Up) -> None:
    variables = {"PREFECT_API_URL": f"{up.server.url}/api", "PREFECT_API_AUTH_STRING": PASSWORD}
    before = {automation["id"] for automation in up.server.ask("automations/filter", {})}
    server = up.stack.parts[0].process()
    assert server is not None
    for webhook, blocks in (({}, []), ({"NIGHTSHELF_WEBHOOK_URL": up.webhook}, ["nightshelf-webhook"])):
        environment = server.environ() | variables | webhook
        subprocess.run([sys.executable, "-m", "flows.stack.prepare"], env=environment, check=True, cwd=ROOT)
        assert {automation["id"] for automation in up.server.ask("automations/filter", {})} == before
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


def test_down_ends_only_its_processes_and_keeps_the_history(up: Up, night: Night) -> None:
    endless = ["train.models=['als']", "train.serve=als", "models.als={iterations=1000000}"]
    endless += ["evaluation.enabled=false"]
    run_id = up.server.begin("nightly", as_of=str(SECOND), config=str(night.config), overrides=endless)
    until(lambda: up.server.run(run_id)["state_type"] == "RUNNING", "the run")
    until(lambda: [r for r in night.records() if r.finished("popular_items")], "the training of the night")
    processes = family(up)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        result = up.call("down")
        assert result.returncode == 0, result.stderr
        assert result.stdout == "ended: server, worker, gpu-worker\n"
        assert [process for process in processes if process.is_running()] == []
        assert bystander.poll() is None
        bystander.communicate(b"\n")
    with closing(sqlite3.connect(up.folder / "prefect.db")) as history:
        known = dict(history.execute("SELECT id, state_name FROM flow_run").fetchall())
    assert known[run_id] == "Crashed"
    assert night.records()[-1].state in {"running", "failed"}  # `run --resume` continues from either
    repeated = up.call("down")
    assert (repeated.returncode, repeated.stdout) == (0, f"nothing was up for {up.config}\n")
    missing = up.call("up", "--status")
    assert missing.returncode == 1
    assert "no stack is up" in missing.stderr

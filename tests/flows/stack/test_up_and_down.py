"""`nightshelf up` and `down`: closed to others, with a password, repeated, in the way of others, and gone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from worlds.night_world import FIRST, SECOND, Night, shop, write_logs
from worlds.paths import ROOT
from worlds.stack_world import Up, call, free_port, stack_up, until

from flows.stack.processes import Part, stack_folder

pytestmark = pytest.mark.prefect
PASSWORD = "shop:open-sesame"  # noqa: S105 - of a server that lives for this test


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("shop")
    return shop(folder, write_logs(folder / "logs", days=2))


@pytest.fixture(scope="module")
def up(night: Night) -> Iterator[Up]:
    """Give a stack with a password and both workers."""
    secret = night.folder / "secret"
    secret.write_text(PASSWORD, encoding="utf-8")
    secret.chmod(0o600)
    with stack_up(night.config, "--gpu", "--auth-file", str(secret), auth=PASSWORD) as up:
        yield up


def refusal(url: str, data: bytes | None = None, **headers: str) -> int:
    """Return the status of a request that is refused."""
    request = urllib.request.Request(
        url, data, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    with refused.value as answer:
        return answer.code


def family(up: Up) -> list[psutil.Process]:
    """Return the processes of a stack and what they started."""
    tops = [process for part in up.stack.parts if (process := part.process())]
    assert len(tops) == 3
    return tops + [child for top in tops for child in top.children(recursive=True)]


def test_the_server_is_closed_to_others(up: Up) -> None:
    nightly = f"{up.server.url}/api/deployments/name/nightly/nightly"
    assert refusal(nightly) == 401
    assert refusal(nightly, Authorization="Basic c2hvcDpndWVzc2Vk") == 401
    known = up.server.headers["Authorization"]
    forged = {"Content_Type": "application/json", "Authorization": known}
    assert refusal(f"{up.server.url}/api/flow_runs/filter", b"{}", **forged) == 403
    assert isinstance(up.server.ask("flow_runs/filter", {}), list)
    listening = [
        one.laddr.ip for process in family(up) for one in process.net_connections() if one.status == "LISTEN"
    ]
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


def test_everything_is_there_and_a_run_goes_through(up: Up, night: Night) -> None:
    pools = up.server.ask("work_pools/filter", {})
    assert {pool["name"]: pool["status"] for pool in pools} == {
        "nightshelf": "READY",
        "nightshelf-gpu": "READY",
    }
    deployments = up.server.ask("deployments/filter", {})
    assert len(deployments) == 6
    configs = [one["parameters"]["config"] for one in deployments if one["name"] != "train-models"]
    assert set(configs) == {str(night.config)}
    automations = up.server.ask("automations/filter", {})
    assert sorted(one["name"] for one in automations) == [
        f"nightshelf: {name} runs" for name in ("crashed", "dead", "failed", "late")
    ]
    (dead,) = [one for one in automations if one["name"] == "nightshelf: dead runs"]
    assert dead["trigger"]["within"] == 540
    run = up.server.ended(
        up.server.begin(
            "nightly", as_of=str(FIRST), overrides=["train.models=['popularity']", "train.serve=popularity"]
        )
    )
    assert run["state_name"] == "Completed", run["state"]["message"]
    assert night.published() == [night.pointed()]


def test_automations_are_not_doubled_by_a_second_start(up: Up) -> None:
    given = {"PREFECT_API_URL": f"{up.server.url}/api", "PREFECT_API_AUTH_STRING": PASSWORD}
    code = [sys.executable, "-m", "flows.stack.prepare"]
    before = {one["id"] for one in up.server.ask("automations/filter", {})}
    server = up.stack.parts[0].process()
    assert server is not None
    subprocess.run(code, env=server.environ() | given, check=True, cwd=ROOT)
    assert {one["id"] for one in up.server.ask("automations/filter", {})} == before
    assert up.server.ask("block_documents/filter", {}) == []  # started without a webhook this time


def test_a_second_up_changes_nothing(up: Up) -> None:
    before = up.stack
    again = up.call("up", "--port", "1")
    assert again.returncode == 0, again.stderr
    assert f"already up: {up.server.url}" in again.stdout
    assert up.stack == before
    assert up.call("up", "--status").returncode == 0


def test_a_port_in_use_is_said_and_nothing_is_left(up: Up, tmp_path: Path) -> None:
    other = shop(tmp_path / "other", tmp_path)
    done = call("up", "--port", str(up.stack.port), "--config", str(other.config), cwd=tmp_path)
    assert done.returncode == 1
    assert f"port {up.stack.port} of 127.0.0.1 cannot be used" in done.stderr
    assert not (stack_folder(other.store.root) / "stack.json").exists()


def test_a_part_that_dies_at_the_start_is_told_with_its_log(tmp_path: Path) -> None:
    other = shop(tmp_path / "other", tmp_path)
    nowhere = {"PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path}/none/x.db"}
    done = call("up", "--port", str(free_port()), "--config", str(other.config), cwd=tmp_path, **nowhere)
    assert done.returncode == 1
    assert "error: the server ended while the stack started" in done.stderr
    assert "unable to open database file" in done.stderr
    assert not (stack_folder(other.store.root) / "stack.json").exists()


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("a:b", 0o644, "can be read by others"),
        ("nobody", 0o600, "expected user:password"),
        (None, 0, "cannot read it"),
    ],
)
def test_a_password_file_that_is_no_secret_is_refused(
    tmp_path: Path, content: str | None, mode: int, message: str
) -> None:
    other, secret = shop(tmp_path / "other", tmp_path), tmp_path / "secret"
    if content is not None:
        secret.write_text(content, encoding="utf-8")
        secret.chmod(mode)
    done = call("up", "--auth-file", str(secret), "--config", str(other.config), cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_process_that_got_the_number_of_another_is_not_ours() -> None:
    me = psutil.Process()
    assert Part(name="x", pid=me.pid, created=me.create_time()).process() == me
    assert Part(name="x", pid=me.pid, created=me.create_time() - 1).process() is None


def test_down_ends_its_processes_alone_and_keeps_the_history(up: Up, night: Night) -> None:
    endless = ["train.models=['als']", "train.serve=als", "models.als={iterations=1000000}"]
    endless += ["evaluation.enabled=false"]
    run_id = up.server.begin("nightly", as_of=str(SECOND), overrides=endless)
    until(lambda: up.server.run(run_id)["state_type"] == "RUNNING", "the run")
    until(lambda: [one for one in night.records() if one.as_of == SECOND], "the night")
    processes = family(up)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        done = up.call("down")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "ended: server, worker, gpu-worker\n"
        assert [process for process in processes if process.is_running()] == []
        assert other.poll() is None
        other.communicate(b"\n")
    with closing(sqlite3.connect(up.folder / "prefect.db")) as history:
        known = dict(history.execute("SELECT id, state_name FROM flow_run").fetchall())
    assert known[run_id] == "Crashed"
    assert night.records()[-1].state in {"running", "failed"}  # `run --resume` goes on with either
    again = up.call("down")
    assert (again.returncode, again.stdout) == (0, f"nothing was up for {up.config}\n")
    missing = up.call("up", "--status")
    assert missing.returncode == 1
    assert "no stack is up" in missing.stderr

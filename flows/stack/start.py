"""Start a local stack: a Prefect server for this machine, pools, deployments, workers and a supervisor."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - no proxy between this program and its server

# isort: split
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flows.stack import processes as track
from flows.stack.processes import AUTH, HOST, MARK, SERVER, SUPERVISOR, Stack, StackError
from flows.stack.server import Server

ROOT = Path(__file__).resolve().parents[2]
"""The folder of `flows/`, in the repository or installed; entrypoints are relative to it."""
CPU, GPU = "nightshelf", "nightshelf-gpu"
WEBHOOK = "NIGHTSHELF_WEBHOOK_URL"
DROPPED = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", WEBHOOK)
"""Variables to drop: they point to another server, or hold a secret most parts do not need."""
PID_FILE = "supervisor.pid"
READY_SECONDS = 180.0  # seconds for a part to get ready; the server's first start creates its database
PAUSE = 0.25

Announce = Callable[[str], None]


def start(
    config: Path,
    folder: Path,
    *,
    port: int,
    gpu: bool,
    auth: str | None,
    cron: str | None,
    announce: Announce,
) -> Stack:
    """Start all parts and return once they are ready.

    `auth` is `user:password`, required of every client; None requires none. `cron` replaces the
    schedule of the night.

    Raises
    ------
    StackError
        If the port is taken, or a part does not start (the message has its log). Nothing is left
        running then.
    ConfigurationError
        If the configuration is invalid.
    """
    from tasks.configuration.configuration import load

    configuration = load(config)
    pools = [CPU, *([GPU] if gpu or configuration.train.deployment else [])]
    track.require_free(port)
    stack = Stack(token=secrets.token_hex(8), config=config.resolve(), port=port, password=auth is not None)
    environment = _environment(folder, stack, auth)
    file = _write_deployments(folder, stack.config, configuration.time_zone, cron, pools)
    try:
        announce("starting the Prefect server")
        arguments = ["prefect", "server", "start", "--host", HOST, "--port", str(port)]
        _start_part(folder, stack, SERVER, arguments, environment)
        _wait_until(folder, stack, Server(f"{stack.url}/api", auth).is_healthy)
        announce("creating work pools and automations, and settling runs whose process is gone")
        webhook = {WEBHOOK: os.environ[WEBHOOK]} if os.environ.get(WEBHOOK) else {}
        arguments = ["flows.stack.prepare", "--local", *pools]
        _run_to_end(folder, stack, "prepare", arguments, environment | webhook)
        _start_workers(folder, stack, gpu, environment)
        announce("creating deployments and starting the worker" + ("s" if gpu else ""))
        arguments = ["flows.stack.deploy", str(file), *(["--schedules"] if cron else [])]
        _run_to_end(folder, stack, "deploy", arguments, environment)
        _wait_for_workers(folder, stack)
        supervise(folder, stack, environment)
    except BaseException:
        stop(folder)
        raise
    return stack


def supervise(folder: Path, stack: Stack, environment: Mapping[str, str]) -> None:
    """Start the supervisor of a stack's parts; its process id is in a file for systemd."""
    stack.parts = [part for part in stack.parts if part.name != SUPERVISOR]
    arguments = ["flows.stack.supervise", str(folder.resolve())]
    stack.parts.append(track.start_part(folder, SUPERVISOR, arguments, environment, append=True))
    track.write_stack(folder, stack)
    (folder / PID_FILE).write_text(f"{stack.parts[-1].pid}\n", encoding="ascii")


def _start_workers(folder: Path, stack: Stack, gpu: bool, environment: dict[str, str]) -> None:
    for name, pool in {"worker": CPU, **({"gpu-worker": GPU} if gpu else {})}.items():
        arguments = ["prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", name]
        _start_part(folder, stack, name, arguments, environment)


def _wait_for_workers(folder: Path, stack: Stack) -> None:
    for part in stack.parts[1:]:
        ready = partial(_log_contains, folder, part.name, f"Worker '{part.name}' started!")
        _wait_until(folder, stack, ready)


def stop(folder: Path) -> list[str]:
    """End the stack of a folder and its runs; return the names of the parts. The database stays."""
    stack = track.read_stack(folder)
    if stack is None:
        return []
    ended = track.end(stack)
    (folder / "stack.json").unlink()
    (folder / PID_FILE).unlink(missing_ok=True)
    return ended


def read_secret(path: Path | None) -> str | None:
    """Return `user:password` from a file or, without one, from the environment; None if unset.

    Raises
    ------
    StackError
        If the file is missing or others can read it, or the content is not `user:password`.
    """
    if path is None:
        origin, secret = AUTH[0], next((os.environ[name] for name in AUTH if os.environ.get(name)), None)
        if secret is None:
            return None
    else:
        origin = str(path)
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise StackError(f"{path} can be read by others: chmod 600 {path}")
            secret = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StackError(f"{path}: cannot read it: {error.strerror}") from None
    user, colon, password = secret.partition(":")
    if not (user and colon and password) or any(letter.isspace() for letter in secret):
        raise StackError(f"{origin}: expected user:password in one line, without blanks")
    return secret


def _environment(folder: Path, stack: Stack, auth: str | None) -> dict[str, str]:
    """Return the environment of all parts, with a separate Prefect home and a closed server."""
    inherited = {name: value for name, value in os.environ.items() if name not in {*DROPPED, *AUTH}}
    origins = f"{stack.url},http://localhost:{stack.port}"
    settings = {
        MARK: stack.token,
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": f"{stack.url}/api",
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(stack.port),
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origins,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
    }
    if auth:
        settings |= dict.fromkeys(AUTH, auth)
    # Without heartbeats a killed run stays Running for ever:
    inherited.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "180")
    return inherited | settings


def _start_part(
    folder: Path, stack: Stack, name: str, arguments: list[str], environment: Mapping[str, str]
) -> None:
    """Start a lasting part and record it at once."""
    stack.parts.append(track.start_part(folder, name, arguments, environment))
    track.write_stack(folder, stack)


def _run_to_end(
    folder: Path, stack: Stack, name: str, arguments: list[str], environment: dict[str, str]
) -> None:
    """Run a module to its end; StackError with its log if it fails or a part dies meanwhile."""
    with track.spawn(folder, name, arguments, environment, ROOT) as child:
        try:
            code = child.wait(READY_SECONDS)
        finally:
            child.kill()
    _require_alive(folder, stack)
    if code:
        raise StackError(f"`python -m {' '.join(arguments)}` failed:\n{track.log_tail(folder, name)}")


def _wait_until(folder: Path, stack: Stack, ready: Callable[[], bool]) -> None:
    """Wait until the last part is ready; StackError if a part dies or it takes too long."""
    until = time.monotonic() + READY_SECONDS
    while not ready():
        _require_alive(folder, stack)
        if time.monotonic() > until:
            name = stack.parts[-1].name
            raise StackError(
                f"the {name} was not ready after {READY_SECONDS:.0f} s; its log:\n"
                f"{track.log_tail(folder, name)}"
            )
        time.sleep(PAUSE)


def _require_alive(folder: Path, stack: Stack) -> None:
    for name in stack.dead():
        raise StackError(f"the {name} ended while the stack started:\n{track.log_tail(folder, name)}")


def _log_contains(folder: Path, name: str, text: str) -> bool:
    return text in track.log_path(folder, name).read_text(encoding="utf-8", errors="replace")


def _write_deployments(folder: Path, config: Path, zone: str, cron: str | None, pools: Sequence[str]) -> Path:
    """Write deployments/prefect.yaml with the path and time zone of this configuration, as JSON.

    Deployments on other pools than `pools` are left out: a pool without a worker would be red.
    """
    import yaml

    import deployments

    source = Path(next(iter(deployments.__path__))) / "prefect.yaml"
    content: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    content.pop("definitions", None)
    changes = {"timezone": zone} | ({"cron": cron} if cron else {})
    wanted = [deployment for deployment in content["deployments"] if deployment["work_pool"]["name"] in pools]
    for deployment in wanted:
        if "config" in deployment["parameters"]:
            deployment["parameters"]["config"] = str(config)
        deployment["schedules"] = [schedule | changes for schedule in deployment["schedules"]]
    file = folder / "prefect.yaml"
    file.write_text(json.dumps(content | {"deployments": wanted}, indent=2), encoding="utf-8")
    return file

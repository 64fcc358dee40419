"""Start a local stack: a Prefect server for this machine, pools, deployments and workers."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - no proxy between this program and its server

# isort: split
import base64
import json
import os
import secrets
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flows.stack import processes as track
from flows.stack.processes import HOST, MARK, Part, Stack, StackError

ROOT = Path(__file__).resolve().parents[2]
"""The folder of `flows/`, in the repository or installed; entrypoints are relative to it."""
CPU, GPU = "nightshelf", "nightshelf-gpu"
AUTH = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
WEBHOOK = "NIGHTSHELF_WEBHOOK_URL"
DROPPED = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", WEBHOOK)
"""Variables to drop: they point to another server, or hold a secret most parts do not need."""
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

    zone = load(config).source.time_zone
    track.require_free(port)
    stack = Stack(token=secrets.token_hex(8), config=config.resolve(), port=port, password=auth is not None)
    environment = _environment(folder, stack, auth)
    try:
        announce("starting the Prefect server")
        arguments = ["prefect", "server", "start", "--host", HOST, "--port", str(port)]
        _start_part(folder, stack, "server", arguments, environment)
        _wait_until(folder, stack, lambda: _is_healthy(stack, auth))
        announce("creating work pools and automations")
        webhook = {WEBHOOK: os.environ[WEBHOOK]} if os.environ.get(WEBHOOK) else {}
        _run_to_end(folder, stack, "prepare", ["flows.stack.prepare"], environment | webhook)
        _start_workers(folder, stack, gpu, environment)
        announce("creating deployments and starting the worker" + ("s" if gpu else ""))
        file = _write_deployments(folder, stack.config, zone, cron)
        arguments = ["prefect", "--no-prompt", "deploy", "--prefect-file", str(file), "--all"]
        _run_to_end(folder, stack, "deploy", arguments, environment)
        for part in stack.parts[1:]:
            _wait_until(
                folder, stack, partial(_log_contains, folder, part.name, f"Worker '{part.name}' started!")
            )
    except BaseException:
        stop(folder)
        raise
    return stack


def _start_workers(folder: Path, stack: Stack, gpu: bool, environment: dict[str, str]) -> None:
    for name, pool in {"worker": CPU, **({"gpu-worker": GPU} if gpu else {})}.items():
        arguments = ["prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", name]
        _start_part(folder, stack, name, arguments, environment)


def stop(folder: Path) -> list[str]:
    """End the stack of a folder and its runs; return the names of the parts. The database stays."""
    stack = track.read_stack(folder)
    if stack is None:
        return []
    ended = track.end(stack)
    (folder / "stack.json").unlink()
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


CHILDREN: list[subprocess.Popen[bytes]] = []
"""Keeps references: Python would wait for an unreferenced child, and these outlive the program."""


def _start_part(
    folder: Path, stack: Stack, name: str, arguments: list[str], environment: dict[str, str]
) -> None:
    """Start a lasting part and record it at once."""
    CHILDREN.append(track.spawn(folder, name, arguments, environment, folder))
    stack.parts.append(Part.of(name, CHILDREN[-1]))
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


def _is_healthy(stack: Stack, auth: str | None) -> bool:
    """Return whether the server reports to be healthy, given the password."""
    request = urllib.request.Request(f"{stack.url}/api/health")  # noqa: S310 - our own server
    if auth:
        request.add_header("Authorization", f"Basic {base64.b64encode(auth.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _log_contains(folder: Path, name: str, text: str) -> bool:
    return text in track.log_path(folder, name).read_text(encoding="utf-8", errors="replace")


def _write_deployments(folder: Path, config: Path, zone: str, cron: str | None) -> Path:
    """Write deployments/prefect.yaml with the path and time zone of this configuration, as JSON."""
    import yaml

    import deployments

    source = Path(next(iter(deployments.__path__))) / "prefect.yaml"
    content: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    content.pop("definitions", None)
    changes = {"timezone": zone} | ({"cron": cron} if cron else {})
    for deployment in content["deployments"]:
        if "config" in deployment["parameters"]:
            deployment["parameters"]["config"] = str(config)
        deployment["schedules"] = [schedule | changes for schedule in deployment["schedules"]]
    file = folder / "prefect.yaml"
    file.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return file

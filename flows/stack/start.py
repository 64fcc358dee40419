"""A local stack, started: a Prefect server for this machine alone, and all that runs nights with it."""

from __future__ import annotations

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
"""Where `flows/` lies: the repository, or the folder of an installed package. Entrypoints start here."""
CPU, GPU = "nightshelf", "nightshelf-gpu"
AUTH = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
WEBHOOK = "NIGHTSHELF_WEBHOOK_URL"
FOREIGN = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", WEBHOOK)
"""What would lead the stack's processes elsewhere, or is a secret that most of them need not know."""
PATIENCE = 180.0  # seconds that a part has to be ready: a first start of the server makes its database
PAUSE = 0.25

Told = Callable[[str], None]


def start(
    config: Path, folder: Path, *, port: int, gpu: bool, auth: str | None, cron: str | None, tell: Told
) -> Stack:
    """Start all parts and return once they are ready.

    `auth` is `user:password`, asked of everyone; None: nobody is asked. `cron` replaces the night's time.

    Raises
    ------
    StackError
        If the port is taken, or a part does not start, with its log. Nothing is left running then.
    ConfigurationError
        If the configuration has a mistake.
    """
    from tasks.configuration.configuration import load

    zone = load(config).source.time_zone
    track.require_free(port)
    stack = Stack(token=secrets.token_hex(8), config=config.resolve(), port=port, password=auth is not None)
    environment = _environment(folder, stack, auth)
    try:
        tell("starting the Prefect server")
        words = ["prefect", "server", "start", "--host", HOST, "--port", str(port)]
        _started(folder, stack, "server", words, environment)
        _until(folder, stack, lambda: _answers(stack, auth))
        tell("making work pools and automations")
        webhook = {WEBHOOK: os.environ[WEBHOOK]} if os.environ.get(WEBHOOK) else {}
        _done(folder, stack, "prepare", ["flows.stack.prepare"], environment | webhook)
        for name, pool in {"worker": CPU, **({"gpu-worker": GPU} if gpu else {})}.items():
            words = ["prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", name]
            _started(folder, stack, name, words, environment)
        tell("making deployments and starting the worker" + ("s" if gpu else ""))
        file = _deployments(folder, stack.config, zone, cron)
        words = ["prefect", "--no-prompt", "deploy", "--prefect-file", str(file), "--all"]
        _done(folder, stack, "deploy", words, environment)
        for part in stack.parts[1:]:
            _until(folder, stack, partial(_says, folder, part.name, f"Worker '{part.name}' started!"))
    except BaseException:
        stop(folder)
        raise
    return stack


def stop(folder: Path) -> list[str]:
    """End the stack of a folder, and what its runs started; return what was ended. The database stays."""
    stack = track.read_stack(folder)
    if stack is None:
        return []
    ended = track.end(stack)
    (folder / "stack.json").unlink()
    return ended


def secret_of(path: Path | None) -> str | None:
    """Return `user:password` from a file that only its owner can read, else from the environment, else None.

    Raises
    ------
    StackError
        If the file is missing or readable for others, or what it holds is no `user:password`.
    """
    if path is None:
        where, found = AUTH[0], next((os.environ[name] for name in AUTH if os.environ.get(name)), None)
        if found is None:
            return None
    else:
        where = str(path)
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise StackError(f"{path} can be read by others: chmod 600 {path}")
            found = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StackError(f"{path}: cannot read it: {error.strerror}") from None
    user, colon, password = found.partition(":")
    if not (user and colon and password) or any(letter.isspace() for letter in found):
        raise StackError(f"{where}: expected user:password in one line, without blanks")
    return found


def _environment(folder: Path, stack: Stack, auth: str | None) -> dict[str, str]:
    """Return the environment of all parts: a Prefect home of their own, and a server closed to others."""
    given = {name: value for name, value in os.environ.items() if name not in {*FOREIGN, *AUTH}}
    origins = f"{stack.url},http://localhost:{stack.port}"
    told = {
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
        told |= dict.fromkeys(AUTH, auth)
    given.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "180")  # else a killed run stays Running for ever
    return given | told


STARTED: list[subprocess.Popen[bytes]] = []
"""Kept, as Python waits for a child of which nobody knows; these outlive the program."""


def _started(folder: Path, stack: Stack, name: str, words: list[str], environment: dict[str, str]) -> None:
    """Start a part that stays, and write it down at once."""
    STARTED.append(track.spawn(folder, name, words, environment, folder))
    stack.parts.append(Part.of(name, STARTED[-1]))
    track.keep_stack(folder, stack)


def _done(folder: Path, stack: Stack, name: str, words: list[str], environment: dict[str, str]) -> None:
    """Run something that ends; StackError with its log if it fails, or a part died meanwhile."""
    with track.spawn(folder, name, words, environment, ROOT) as child:
        try:
            code = child.wait(PATIENCE)
        finally:
            child.kill()
    _alive(folder, stack)
    if code:
        raise StackError(f"`python -m {' '.join(words)}` failed:\n{track.tail_of(folder, name)}")


def _until(folder: Path, stack: Stack, ready: Callable[[], bool]) -> None:
    """Wait until the last part is ready; StackError once a part died, or it takes too long."""
    until = time.monotonic() + PATIENCE
    while not ready():
        _alive(folder, stack)
        if time.monotonic() > until:
            name = stack.parts[-1].name
            raise StackError(
                f"the {name} was not ready after {PATIENCE:.0f} s; its log:\n{track.tail_of(folder, name)}"
            )
        time.sleep(PAUSE)


def _alive(folder: Path, stack: Stack) -> None:
    for name in stack.dead():
        raise StackError(f"the {name} ended while the stack started:\n{track.tail_of(folder, name)}")


def _answers(stack: Stack, auth: str | None) -> bool:
    """Tell whether the server says that it is well, to those who know the password."""
    request = urllib.request.Request(f"{stack.url}/api/health")  # noqa: S310 - our own server
    if auth:
        request.add_header("Authorization", f"Basic {base64.b64encode(auth.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _says(folder: Path, name: str, words: str) -> bool:
    return words in track.log_of(folder, name).read_text(encoding="utf-8", errors="replace")


def _deployments(folder: Path, config: Path, zone: str, cron: str | None) -> Path:
    """Write deployments/prefect.yaml for this configuration: its path, its time zone; JSON is YAML too."""
    import yaml

    import deployments

    source = Path(next(iter(deployments.__path__))) / "prefect.yaml"
    content: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    content.pop("definitions", None)
    for one in content["deployments"]:
        if "config" in one["parameters"]:
            one["parameters"]["config"] = str(config)
        one["schedules"] = [
            schedule | {"timezone": zone} | ({"cron": cron} if cron else {}) for schedule in one["schedules"]
        ]
    file = folder / "prefect.yaml"
    file.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return file

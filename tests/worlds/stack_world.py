"""A stack of `nightshelf up` for tests: started as users do, queried as the browser does."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from flows.stack.processes import Stack, read_stack, stack_folder
from worlds.command_calls import MAIN
from worlds.paths import ROOT

PATIENCE = 300.0  # seconds that a test waits for an event, even on a busy machine
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
PASSWORD = "shop:open-sesame"  # noqa: S105 - of a server that runs for a single test
IMPATIENT = {"PREFECT_WORKER_QUERY_SECONDS": "3", "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5"}
"""A worker polls for runs every 3 seconds instead of every 15, the scheduler every 5 instead of every 60."""


def call(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line from a folder outside the repository; return the finished process."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables |= {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        [*MAIN, *words], cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=600
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(poll: Callable[[], Any], what: str) -> Any:
    """Return the first true result of `poll`; fail after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not (result := poll()):
        assert time.monotonic() < end, f"{what} did not come in {PATIENCE:.0f} s"
        time.sleep(0.5)
    return result


def answered(request: urllib.request.Request) -> list[Any]:
    """Return a list of the answer, empty while the server's database is busy (status 503)."""
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 503:
                return []
            raise
    return [json.loads(text) if text else None]


@dataclass
class Server:
    """The API of a Prefect server, with the password and the token against forged requests."""

    url: str
    auth: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.auth:
            self.headers["Authorization"] = f"Basic {base64.b64encode(self.auth.encode()).decode()}"
        client = str(uuid.uuid4())
        token = self.ask(f"csrf-token?client={client}")["token"]
        self.headers |= {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Return the answer to a GET, or to a POST if there is a body."""
        data = None if body is None else json.dumps(body).encode()
        headers = self.headers | {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/{path}", data, headers, method=method)
        return until(lambda: answered(request), f"an answer to {path}")[0]

    def deployment(self, name: str) -> Any:
        return self.ask(f"deployments/name/{name}/{name}")

    def begin(self, name: str, **parameters: Any) -> str:
        """Create a run of a deployment, as its form does; return the run's id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        run = self.ask(f"deployments/{self.deployment(name)['id']}/create_flow_run", body)
        return str(run["id"])

    def run(self, run_id: str) -> Any:
        return self.ask(f"flow_runs/{run_id}")

    def ended(self, run_id: str) -> Any:
        """Wait for a run to end and return it."""
        until(lambda: self.run(run_id)["state_type"] in ENDED, f"the end of run {run_id}")
        return self.run(run_id)


@dataclass(frozen=True)
class Up:
    """A running stack."""

    config: Path
    elsewhere: Path
    server: Server
    webhook: str
    posted: list[Any]

    @property
    def folder(self) -> Path:
        return stack_folder(self.config.parent / "store")

    @property
    def stack(self) -> Stack:
        stack = read_stack(self.folder)
        assert stack is not None
        return stack

    @property
    def is_up(self) -> bool:
        return read_stack(self.folder) is not None

    def call(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return call(*words, "--config", str(self.config), cwd=self.elsewhere, **environment)


@contextmanager
def listening() -> Iterator[tuple[str, list[Any]]]:
    """Yield the URL of an HTTP server and the list of the documents posted to it."""
    posted: list[Any] = []

    class Keeping(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *parts: Any) -> None:
            del parts

    with ThreadingHTTPServer(("127.0.0.1", 0), Keeping) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook/kept-secret", posted
        server.shutdown()
        thread.join()


@contextmanager
def stack_up(config: Path, *words: str, auth: str = "", **environment: str) -> Iterator[Up]:
    """Start a stack from another folder and stop it afterwards; a webhook listens meanwhile."""
    elsewhere = config.parent / "elsewhere"
    elsewhere.mkdir()
    with listening() as (webhook, posted):
        port = free_port()
        environment |= {"NIGHTSHELF_WEBHOOK_URL": webhook, **IMPATIENT}
        command = ("up", "--port", str(port), "--config", os.path.relpath(config, elsewhere), *words)
        try:
            started = call(*command, cwd=elsewhere, **environment)
            assert started.returncode == 0, started.stdout + started.stderr
            assert f"http://127.0.0.1:{port}" in started.stdout
            yield Up(config, elsewhere, Server(f"http://127.0.0.1:{port}", auth), webhook, posted)
        finally:
            ended = call("down", "--config", str(config), cwd=elsewhere)
            assert ended.returncode == 0, ended.stderr

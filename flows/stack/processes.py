"""The processes of a local stack: start, track and end them, and touch no others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, Field

from tasks.runtime.errors import UserError
from tasks.store.files import read_json, write_json_atomically

HOST = "127.0.0.1"  # this machine only; any other address would need TLS in front
MARK = "NIGHTSHELF_STACK"  # in the environment of every process of a stack and their children
AUTH = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
SERVER, SUPERVISOR = "server", "supervisor"
RUN = "PREFECT__FLOW_RUN_ID"  # in the environment of a run's processes, set by Prefect
GRACE = 20.0  # seconds a process gets to end by itself
TAIL = 12  # lines of a log that an error shows


class StackError(UserError):
    """The stack cannot be started, or a part of it has died."""


class Part(BaseModel):
    """A started process; its start time guards against a reused process id."""

    name: str
    pid: int
    created: float
    arguments: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, name: str, started: subprocess.Popen[bytes], arguments: Sequence[str] = ()) -> Part:
        """Return the part for a process that was just started."""
        created = psutil.Process(started.pid).create_time()
        return cls(name=name, pid=started.pid, created=created, arguments=list(arguments))

    def process(self) -> psutil.Process | None:
        """Return the process, None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            ours = process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if ours else None


class Stack(BaseModel):
    """A started stack: `token` marks its processes; `parts` lists them, the server first."""

    token: str
    config: Path
    port: int
    password: bool = False
    parts: list[Part] = Field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of the UI."""
        return f"http://{HOST}:{self.port}"

    @property
    def is_gone(self) -> bool:
        """Whether the server and what would start it again have ended, as after a reboot."""
        return {SERVER, SUPERVISOR} & {part.name for part in self.parts} <= {*self.dead()}

    def dead(self) -> list[str]:
        """Return the names of the parts that have ended."""
        return [part.name for part in self.parts if part.process() is None]


def stack_folder(store: Path) -> Path:
    """Return the folder of a stack's database, logs and process ids, beside the store."""
    return store.with_name(f"{store.name}-prefect")


def read_stack(folder: Path) -> Stack | None:
    """Return the stack of a folder; None if none was started or it has ended."""
    path = folder / "stack.json"
    return Stack.model_validate(read_json(path)) if path.exists() else None


def write_stack(folder: Path, stack: Stack) -> None:
    """Save the record of a stack."""
    write_json_atomically(folder / "stack.json", stack.model_dump(mode="json"))


def log_path(folder: Path, name: str) -> Path:
    """Return the path of a part's log."""
    return folder / "logs" / f"{name}.log"


def log_tail(folder: Path, name: str) -> str:
    """Return the last lines of a log."""
    path = log_path(folder, name)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join([line.rstrip() for line in lines if line.strip()][-TAIL:]) or "(nothing)"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock the folder; StackError if another `up` or `down` is running."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise StackError(f"another `nightshelf up` or `down` is running in {folder}") from None


def require_free(port: int) -> None:
    """Raise StackError if something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackError(
                f"port {port} of {HOST} cannot be used: {error.strerror}; choose another with --port"
            ) from None


CHILDREN: list[subprocess.Popen[bytes]] = []
"""Keeps references: Python would wait for an unreferenced child, and these outlive the program."""


def start_part(
    folder: Path, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, append: bool = False
) -> Part:
    """Start a lasting part."""
    child = spawn(folder, name, arguments, environment, folder, append=append)
    CHILDREN[:] = [earlier for earlier in CHILDREN if earlier.poll() is None] + [child]
    return Part.of(name, child, arguments)


def spawn(
    folder: Path,
    name: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    *,
    append: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a Python module in a new session, with its output in a log."""
    log = log_path(folder, name)
    log.parent.mkdir(exist_ok=True)
    with log.open("ab" if append else "wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own Python, no shell
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )


def end(stack: Stack) -> list[str]:
    """End a stack's processes: runs, then workers, then the server, to which both report.

    The supervisor is first, as it would start the others again.
    """
    parts = [(part.name, process) for part in stack.parts if (process := part.process())]
    _end_all([process for name, process in parts if name == SUPERVISOR])
    _end_all(list(_marked_processes(stack.token, RUN)))
    _end_all([process for name, process in parts if name not in {SERVER, SUPERVISOR}])
    _end_all([process for name, process in parts if name == SERVER])
    _end_all(list(_marked_processes(stack.token)))
    return [name for name, _ in parts]


def _end_all(processes: list[psutil.Process]) -> None:
    """Terminate processes, and kill those that do not end."""
    for method in ("terminate", "kill"):
        for process in processes:
            try:
                getattr(process, method)()
            except psutil.NoSuchProcess:
                continue
        _, processes = psutil.wait_procs(processes, timeout=GRACE)


def _marked_processes(token: str, name: str = "") -> Iterator[psutil.Process]:
    """Yield other processes with the stack's mark and, if given, `name` in their environment."""
    for process in psutil.process_iter():
        try:
            variables = process.environ() if process.pid != os.getpid() else {}
            if variables.get(MARK) == token and (not name or name in variables):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def living_runs() -> set[UUID]:
    """Return the ids of the flow runs that have a process on this machine."""
    ids = set()
    for process in psutil.process_iter():
        try:
            ids.add(UUID(process.environ()[RUN]))
        except (psutil.Error, KeyError, ValueError):
            continue
    return ids

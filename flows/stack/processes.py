"""The processes of a local stack: which they are, whether they live, and their end; no others are touched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, Field

from tasks.runtime.errors import UserError
from tasks.store.files import read_json, write_json_atomically

HOST = "127.0.0.1"  # nobody else's business; another address would need TLS in front of it
MARK = "NIGHTSHELF_STACK"  # in the environment of every process of a stack, and of those that they start
RUN = "PREFECT__FLOW_RUN_ID"  # in the environment of a run's processes, set by Prefect
GRACE = 20.0  # seconds that a process has to end by itself
TAIL = 12  # lines of a log that an error shows


class StackError(UserError):
    """The stack cannot be started, or a part of it has died."""


class Part(BaseModel):
    """One process that was started: its id could be another's by now, with its start time it is not."""

    name: str
    pid: int
    created: float

    @classmethod
    def of(cls, name: str, started: subprocess.Popen[bytes]) -> Part:
        """Return the part that a process is that was just started."""
        return cls(name=name, pid=started.pid, created=psutil.Process(started.pid).create_time())

    def process(self) -> psutil.Process | None:
        """Return the process, None if it has ended."""
        try:
            found = psutil.Process(self.pid)
            ours = found.create_time() == self.created and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return found if ours else None


class Stack(BaseModel):
    """What was started: `token` marks its processes; `parts` the processes, the server first."""

    token: str
    config: Path
    port: int
    password: bool = False
    parts: list[Part] = Field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of the UI."""
        return f"http://{HOST}:{self.port}"

    def dead(self) -> list[str]:
        """Return the names of the parts that have ended."""
        return [part.name for part in self.parts if part.process() is None]


def stack_folder(store: Path) -> Path:
    """Return where a stack keeps its database, logs and process ids: beside the store."""
    return store.with_name(f"{store.name}-prefect")


def read_stack(folder: Path) -> Stack | None:
    """Return the stack of a folder, None if none was started or it was ended."""
    path = folder / "stack.json"
    return Stack.model_validate(read_json(path)) if path.exists() else None


def keep_stack(folder: Path, stack: Stack) -> None:
    """Write down what was started."""
    write_json_atomically(folder / "stack.json", stack.model_dump(mode="json"))


def log_of(folder: Path, name: str) -> Path:
    """Return the log of a part."""
    return folder / "logs" / f"{name}.log"


def tail_of(folder: Path, name: str) -> str:
    """Return the last lines of a log."""
    path = log_of(folder, name)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join([line.rstrip() for line in lines if line.strip()][-TAIL:]) or "(nothing)"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder against another `up` or `down`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise StackError(f"another `nightshelf up` or `down` is at work in {folder}") from None


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


def spawn(
    folder: Path, name: str, words: Sequence[str], environment: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    """Start a Python module in a session of its own, its output in a log."""
    log = log_of(folder, name)
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own Python, no shell
            [sys.executable, "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )


def end(stack: Stack) -> list[str]:
    """End the processes of a stack: runs, then workers, then the server, which they tell how they ended."""
    parts = [(part.name, process) for part in stack.parts if (process := part.process())]
    _end(list(_marked(stack.token, RUN)))
    _end([process for name, process in parts if name != "server"])
    _end([process for name, process in parts if name == "server"])
    _end(list(_marked(stack.token)))
    return [name for name, _ in parts]


def _end(processes: list[psutil.Process]) -> None:
    """Ask processes to end, and kill those that do not."""
    for ask in ("terminate", "kill"):
        for process in processes:
            try:
                getattr(process, ask)()
            except psutil.NoSuchProcess:
                continue
        _, processes = psutil.wait_procs(processes, timeout=GRACE)


def _marked(token: str, name: str = "") -> Iterator[psutil.Process]:
    """Yield the processes with a stack's mark, and this name too, in their environment; but not this one."""
    for process in psutil.process_iter():
        try:
            given = process.environ() if process.pid != os.getpid() else {}
            if given.get(MARK) == token and (not name or name in given):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue

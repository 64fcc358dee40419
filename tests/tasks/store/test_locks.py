"""The holder file of a lock names a running process, never a dead or later one."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.monitoring.status import lock_holder
from tasks.runtime.errors import StoreLockedError
from tasks.store.files import write_json_atomically
from tasks.store.layout import Store
from tasks.store.locks import holder_of, holder_text

LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").create()


def write_holder(store: Store, **changes: Any) -> Path:
    """Write the holder file of the store's lock: this process, now, with `changes`."""
    path = store.root / ".lock.holder.json"
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    facts = {"pid": os.getpid(), "host": socket.gethostname(), "purpose": "run for 2026-01-02", "since": now}
    write_json_atomically(path, facts | changes)
    return path


def dead_pid() -> int:
    """Return the id of a process that has dead_pid."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_message_and_status_name_a_running_holder(store: Store) -> None:
    path = write_holder(store)
    holder = holder_of(path)
    assert holder is not None
    since = holder.since.isoformat()
    host = socket.gethostname()
    assert holder_text(path) == f"pid {os.getpid()} on {host} (run for 2026-01-02) since {since}"
    assert lock_holder(store) == f"run for 2026-01-02 (pid {os.getpid()} on {host} since {since})"


def test_another_users_process_counts_as_running(store: Store) -> None:
    assert holder_of(write_holder(store, pid=1)) is not None


def test_a_process_on_another_machine_counts_as_running(store: Store) -> None:
    assert holder_of(write_holder(store, host="elsewhere", pid=dead_pid(), since=LONG_AGO)) is not None


@pytest.mark.parametrize("case", ["dead", "later", "damaged", "half", "missing"])
def test_a_missing_holder_is_not_named(store: Store, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr("tasks.store.locks.NAMING_SECONDS", 0.0)
    with store.lock("another"):
        if case == "dead":
            path = write_holder(store, pid=dead_pid())
        elif case == "later":  # a later process with the dead process's id
            path = write_holder(store, since=LONG_AGO)
        else:
            path = write_holder(store)
            text = path.read_text(encoding="utf-8")
            path.write_text({"damaged": text.replace("run", "ran"), "half": text[:40]}.get(case, text))
        if case == "missing":
            path.unlink()
        assert holder_of(path) is None
        assert lock_holder(store) is None
        with pytest.raises(StoreLockedError, match="is locked by another process"), store.lock("second"):
            pass


@pytest.mark.parametrize(
    "facts",
    [
        {"pid": "x"},
        {"pid": None},
        {"pid": 0},
        {"pid": -1},
        {"pid": 2**70},
        {"since": "yesterday"},
        {"since": 7},
        {"since": "0001-01-01T00:00:00"},
    ],
    ids=str,
)
def test_a_holder_file_with_invalid_values_names_no_holder(store: Store, facts: dict[str, Any]) -> None:
    assert holder_of(write_holder(store, **facts)) is None

"""Who holds a lock, by the file that says so: a process that runs, and not one that died or came later."""

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
from tasks.store.locks import held_by, holder_of

LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").create()


def note(store: Store, **changes: Any) -> Path:
    """Write the file of who holds the store's lock; this process does now, but for what is changed."""
    path = store.root / ".lock.holder.json"
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    facts = {"pid": os.getpid(), "host": socket.gethostname(), "purpose": "run for 2026-01-02", "since": now}
    write_json_atomically(path, facts | changes)
    return path


def ended() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_runs_is_named_alike_by_the_message_and_by_status(store: Store) -> None:
    path = note(store)
    holder = holder_of(path)
    assert holder is not None
    since = holder.since.isoformat()
    host = socket.gethostname()
    assert held_by(path) == f"pid {os.getpid()} on {host} (run for 2026-01-02) since {since}"
    assert lock_holder(store) == f"run for 2026-01-02 (pid {os.getpid()} on {host} since {since})"


def test_another_users_process_runs_too(store: Store) -> None:
    assert holder_of(note(store, pid=1)) is not None


def test_a_process_of_another_machine_is_taken_to_run(store: Store) -> None:
    assert holder_of(note(store, host="elsewhere", pid=ended(), since=LONG_AGO)) is not None


@pytest.mark.parametrize("who", ["dead", "later", "damaged", "half", "not there"])
def test_nobody_is_named_who_is_not_there(store: Store, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    monkeypatch.setattr("tasks.store.locks.NAMING", 0.0)
    with store.lock("another"):
        if who == "dead":
            path = note(store, pid=ended())
        elif who == "later":  # a process that began after this one died, and got its id
            path = note(store, since=LONG_AGO)
        else:
            path = note(store)
            text = path.read_text(encoding="utf-8")
            path.write_text({"damaged": text.replace("run", "ran"), "half": text[:40]}.get(who, text))
        if who == "not there":
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
def test_facts_that_mean_nothing_name_nobody(store: Store, facts: dict[str, Any]) -> None:
    assert holder_of(note(store, **facts)) is None

"""Log lines as JSON: one object a line with run, date and station; without credentials; else as before."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from worlds.command_calls import MAIN
from worlds.night_world import FIRST, shop, write_logs
from worlds.paths import IMPORTABLE

from tasks.runtime import logs as log_lines
from tasks.runtime.errors import UserError

LOG = logging.getLogger("nightshelf")
FIELDS = ["time", "level", "logger", "message", "run_id", "as_of", "station"]


@contextmanager
def written(wanted: str) -> Iterator[io.StringIO]:
    """Give what is written to stderr by a program whose logging nobody has set up yet."""
    root, own, stream = logging.getLogger(), logging.getLogger("nightshelf"), io.StringIO()
    before = root.handlers[:], own.filters[:], root.level, own.level
    root.handlers[:] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHELF_LOG", wanted)
        patch.setattr(sys, "stderr", stream)
        patch.setattr(sys, "__stderr__", stream)
        try:
            yield stream
        finally:
            root.handlers[:], own.filters[:] = before[:2]
            root.setLevel(before[2])
            own.setLevel(before[3])


def objects(text: str) -> list[dict[str, Any]]:
    """Return the object of each line; a line that is none fails the test."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_is_one_object_that_says_where_it_comes_from() -> None:
    with written("json") as stderr:
        log_lines.write_logs()
        with log_lines.named(run_id="r1", as_of="2026-03-02"), log_lines.named(station="train als"):
            LOG.info("half\ndone: %s", "\u2028é")
        LOG.warning("between")
    first, second = objects(stderr.getvalue())
    assert list(first) == FIELDS
    assert first["message"] == "half\ndone: \u2028é"
    assert [first[name] for name in ("level", "logger")] == ["INFO", "nightshelf"]
    assert [first[name] for name in ("run_id", "as_of", "station")] == ["r1", "2026-03-02", "train als"]
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None
    assert [second[name] for name in ("run_id", "as_of", "station")] == [None, None, None]
    assert set(log_lines.where().values()) == {None}


def test_lines_of_libraries_are_objects_too_and_only_once() -> None:
    library, quiet = logging.getLogger("a.library"), logging.getLogger("quiet.library")
    kept = io.StringIO()
    with written("json") as stderr:
        library.addHandler(logging.StreamHandler(stderr))
        quiet.addHandler(logging.StreamHandler(kept))
        library.propagate = False
        try:
            log_lines.write_logs()
            log_lines.write_logs()
            library.warning("from a library")
            try:
                raise ValueError("to https://user:hunter2@host/logs")
            except ValueError:
                library.exception("failed")
            quiet.error("elsewhere")
        finally:
            library.handlers.clear()
            quiet.handlers.clear()
            library.propagate = True
    lines = objects(stderr.getvalue())
    assert [one["message"] for one in lines] == ["from a library", "failed", "elsewhere"]
    assert "ValueError: to https://***@host/logs" in lines[1]["traceback"]
    assert kept.getvalue() == "elsewhere\n"


@pytest.mark.parametrize("wanted", ["json", "text"])
def test_credentials_reach_no_line(wanted: str) -> None:
    with written(wanted) as stderr:
        log_lines.write_logs()
        LOG.warning("cannot read %s", "https://user:hunter2@host/logs?token=hunter2&page=1")
    assert "hunter2" not in stderr.getvalue()
    assert "https://***@host/logs?token=***&page=1" in stderr.getvalue()


def test_what_another_program_set_up_is_left_alone_as_text() -> None:
    with written("") as stderr:
        theirs = logging.StreamHandler(stderr)
        logging.getLogger().addHandler(theirs)
        log_lines.write_logs()
        assert logging.getLogger().handlers == [theirs]
        LOG.info("as ever")
    assert stderr.getvalue() == "as ever\n"


def test_an_unknown_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_LOG", "jsno")
    with pytest.raises(UserError, match="unknown NIGHTSHELF_LOG 'jsno'; known: text, json"):
        log_lines.write_logs()


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"PYTHONPATH": IMPORTABLE} | environment
    return subprocess.run([*MAIN, *words], env=given, capture_output=True, text=True, check=False)


def test_every_line_of_a_run_is_an_object_its_last_message_too(tmp_path: Path) -> None:
    night = shop(tmp_path / "shop", write_logs(tmp_path / "logs", days=1))
    (tmp_path / "logs" / "items.csv").unlink()
    words = ["run", "--no-prefect", "--config", str(night.config), "--as-of", str(FIRST)]
    done = command(*words, NIGHTSHELF_LOG="json")
    assert done.returncode == 1
    lines = objects(done.stderr)
    assert [one["level"] for one in lines] == ["INFO"] * (len(lines) - 1) + ["ERROR"]
    assert "items.csv" in lines[-1]["message"]
    (record,) = night.records()
    assert {one["run_id"] for one in lines[:-1]} == {record.run_id}
    assert {one["as_of"] for one in lines[:-1]} == {str(FIRST)}
    stations = list(dict.fromkeys(one["station"] for one in lines[:-1]))
    assert stations == ["interactions", "validation_results", "dataset"]


def test_a_wrong_format_ends_a_command_with_one_message() -> None:
    done = command("status", NIGHTSHELF_LOG="jsno")
    assert done.returncode == 1
    assert done.stderr == "error: unknown NIGHTSHELF_LOG 'jsno'; known: text, json\n"

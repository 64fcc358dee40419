"""JSON log lines: an object per line with run, date and station, and without credentials."""

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
def captured_stderr(log_format: str) -> Iterator[io.StringIO]:
    """Yield the stderr of a program whose logging is not set up yet."""
    root, nightshelf, stream = logging.getLogger(), logging.getLogger("nightshelf"), io.StringIO()
    before = root.handlers[:], nightshelf.filters[:], root.level, nightshelf.level
    root.handlers[:] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHELF_LOG", log_format)
        patch.setattr(sys, "stderr", stream)
        patch.setattr(sys, "__stderr__", stream)
        try:
            yield stream
        finally:
            root.handlers[:], nightshelf.filters[:] = before[:2]
            root.setLevel(before[2])
            nightshelf.setLevel(before[3])


def objects(text: str) -> list[dict[str, Any]]:
    """Return the JSON object of each line; a line that is not JSON fails the test."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_line_names_its_run_date_and_station() -> None:
    with captured_stderr("json") as stderr:
        log_lines.write_logs()
        with log_lines.log_fields(run_id="r1", as_of="2026-03-02"), log_lines.log_fields(station="train als"):
            LOG.info("half\ndone: %s", "\u2028é")
        LOG.warning("between")
    first, second = objects(stderr.getvalue())
    assert list(first) == FIELDS
    assert first["message"] == "half\ndone: \u2028é"
    assert [first[name] for name in ("level", "logger")] == ["INFO", "nightshelf"]
    assert [first[name] for name in ("run_id", "as_of", "station")] == ["r1", "2026-03-02", "train als"]
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None
    assert [second[name] for name in ("run_id", "as_of", "station")] == [None, None, None]
    assert set(log_lines.current_fields().values()) == {None}


def test_library_lines_are_json_objects_and_not_repeated() -> None:
    library, quiet = logging.getLogger("a.library"), logging.getLogger("quiet.library")
    kept = io.StringIO()
    with captured_stderr("json") as stderr:
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
    assert [line["message"] for line in lines] == ["from a library", "failed", "elsewhere"]
    assert "ValueError: to https://***@host/logs" in lines[1]["traceback"]
    assert kept.getvalue() == "elsewhere\n"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_line_contains_credentials(log_format: str) -> None:
    with captured_stderr(log_format) as stderr:
        log_lines.write_logs()
        LOG.warning("cannot read %s", "https://user:hunter2@host/logs?token=hunter2&page=1")
    assert "hunter2" not in stderr.getvalue()
    assert "https://***@host/logs?token=***&page=1" in stderr.getvalue()


def test_text_format_keeps_existing_handlers() -> None:
    with captured_stderr("") as stderr:
        handler = logging.StreamHandler(stderr)
        logging.getLogger().addHandler(handler)
        log_lines.write_logs()
        assert logging.getLogger().handlers == [handler]
        LOG.info("as ever")
    assert stderr.getvalue() == "as ever\n"


def test_an_unknown_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_LOG", "jsno")
    with pytest.raises(UserError, match="unknown NIGHTSHELF_LOG 'jsno'; known: text, json"):
        log_lines.write_logs()


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": IMPORTABLE} | environment
    return subprocess.run([*MAIN, *arguments], env=variables, capture_output=True, text=True, check=False)


def test_every_line_of_a_run_is_a_json_object_even_the_last_error(tmp_path: Path) -> None:
    night = shop(tmp_path / "shop", write_logs(tmp_path / "logs", days=1))
    (tmp_path / "logs" / "items.csv").unlink()
    arguments = ["run", "--no-prefect", "--config", str(night.config), "--as-of", str(FIRST)]
    finished = command(*arguments, NIGHTSHELF_LOG="json")
    assert finished.returncode == 1
    lines = objects(finished.stderr)
    assert [line["level"] for line in lines] == ["INFO"] * (len(lines) - 1) + ["ERROR"]
    assert "items.csv" in lines[-1]["message"]
    (record,) = night.records()
    assert {line["run_id"] for line in lines[:-1]} == {record.run_id}
    assert {line["as_of"] for line in lines[:-1]} == {str(FIRST)}
    stations = list(dict.fromkeys(line["station"] for line in lines[:-1]))
    assert stations == ["interactions", "validation_results", "dataset"]


def test_an_unknown_format_ends_a_command_with_a_message() -> None:
    finished = command("status", NIGHTSHELF_LOG="jsno")
    assert finished.returncode == 1
    assert finished.stderr == "error: unknown NIGHTSHELF_LOG 'jsno'; known: text, json\n"

"""Flushing of files: few one by one, many by their file system, and errors are raised."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tasks.store import files


class Library:
    """The C library, with a `syncfs` that records its calls and returns `result`."""

    def __init__(self, result: int) -> None:
        self.result = result
        self.synced: list[int] = []

    def syncfs(self, descriptor: int) -> int:
        self.synced.append(os.fstat(descriptor).st_dev)
        return self.result


def write(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}" for number in range(count)]
    for path in paths:
        path.write_text("x")
    return paths


def test_few_files_are_flushed_one_by_one(tmp_path, monkeypatch):
    flushed: list[Path] = []
    monkeypatch.setattr(files, "sync", flushed.append)
    monkeypatch.setattr(files, "_sync_file_system", pytest.fail)
    paths = write(tmp_path, files.SYNC_ALL_ABOVE)
    files.sync_all(paths)
    assert flushed == paths


def test_many_files_are_flushed_by_their_file_system_at_once(tmp_path, monkeypatch):
    library = Library(0)
    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: library)
    monkeypatch.setattr(files, "sync", pytest.fail)
    files.sync_all(write(tmp_path, files.SYNC_ALL_ABOVE + 1))
    assert library.synced == [tmp_path.stat().st_dev]


def test_a_file_system_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    paths = write(tmp_path, files.SYNC_ALL_ABOVE + 1)
    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: Library(-1))
    monkeypatch.setattr(files.ctypes, "get_errno", lambda: errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        files.sync_all(paths)


def test_the_system_flushes_many_files(tmp_path):
    files.sync_all(write(tmp_path, files.SYNC_ALL_ABOVE + 1))
    with pytest.raises(FileNotFoundError):
        files.sync_all([*write(tmp_path, files.SYNC_ALL_ABOVE), tmp_path / "missing"])

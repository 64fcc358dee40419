"""Sizes and SHA-256 of files, recorded when they are written and checked later, in parallel."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from models.options import workers
from tasks.runtime.progress import Report, silent

_BLOCK: Final = 2**20  # bytes read at a time
_MIB: Final = 2**20
_REPORT_SECONDS: Final = 0.1  # between two progress reports


class FileHash(BaseModel):
    """The hexadecimal SHA-256 of a file and its size in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    bytes: int


def hashes_of(paths: Sequence[Path]) -> list[FileHash]:
    """Return the hashes of files, in their order."""
    with ThreadPoolExecutor(_thread_count(paths)) as pool:
        return list(pool.map(_hash_of, paths))


def difference(path: Path, recorded: FileHash, advance: Callable[[int], None] | None = None) -> str | None:
    """Return how a file differs from its recorded hash, None if it does not.

    `advance` is called with the number of bytes read. A file that cannot be read counts as
    different.
    """
    if path.is_symlink() or not path.is_file():
        return "is missing"
    try:
        size = path.stat().st_size
        if size != recorded.bytes:
            return f"expected {recorded.bytes} bytes, got {size}"
        sha256 = _hash_of(path, advance).sha256
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if sha256 == recorded.sha256 else f"expected sha256 {recorded.sha256}, got {sha256}"


def differences(
    recorded: Mapping[Path, FileHash], report: Report = silent, doing: str = "checking files"
) -> dict[Path, str]:
    """Return the problem of each file that differs from its recorded hash; empty if none does.

    Files are read in parallel, the largest first, so that no large file is left to run alone at the
    end. Progress is in MiB and reported from the caller's thread, whose context it may need.
    """
    largest_first = sorted(recorded, key=lambda path: -recorded[path].bytes)
    whole, read, lock = sum(file_hash.bytes for file_hash in recorded.values()), 0, threading.Lock()

    def advance(count: int) -> None:
        nonlocal read
        with lock:
            read += count

    with ThreadPoolExecutor(_thread_count(largest_first)) as pool:
        futures = {path: pool.submit(difference, path, recorded[path], advance) for path in largest_first}
        pending: Collection[Future[str | None]] = futures.values()
        while pending:
            pending = wait(pending, timeout=_REPORT_SECONDS).not_done
            report(doing, min(read, whole) // _MIB, whole // _MIB)
        return {path: problem for path, future in futures.items() if (problem := future.result())}


def _thread_count(paths: Sequence[Path]) -> int:
    """Return how many files to read at the same time; each occupies a thread."""
    return max(1, min(len(paths), workers()))


def _hash_of(path: Path, advance: Callable[[int], None] | None = None) -> FileHash:
    hasher, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        block = memoryview(bytearray(min(_BLOCK, os.fstat(file.fileno()).st_size + 1)))
        if advance is not None:
            # drop cached pages: they do not prove what is on the disk
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while count := file.readinto(block):
            hasher.update(block[:count])
            size += count
            if advance is not None:
                advance(count)
    return FileHash(sha256=hasher.hexdigest(), bytes=size)

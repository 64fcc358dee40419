"""What a file was when it was written, and whether it still is: sizes and SHA-256, many files at a time."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from tasks.runtime.progress import Report, silent

_BLOCK: Final = 2**20  # bytes read at a time
_MIB: Final = 2**20
_EVERY: Final = 0.1  # seconds between two reports


class FileHash(BaseModel):
    """The hexadecimal SHA-256 of a file and its size in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    bytes: int


def hashes_of(paths: Sequence[Path]) -> list[FileHash]:
    """Return the hashes of files, in their order."""
    with ThreadPoolExecutor(_at_once(paths)) as pool:
        return list(pool.map(_hash_of, paths))


def difference(path: Path, recorded: FileHash, advance: Callable[[int], None] | None = None) -> str | None:
    """Return how a file differs from what was recorded of it, None if it is the same.

    `advance` is told how many bytes were read. A file that the system cannot read is a difference, too.
    """
    if path.is_symlink() or not path.is_file():
        return "is missing"
    try:
        size = path.stat().st_size
        if size != recorded.bytes:
            return f"expected {recorded.bytes} bytes, got {size}"
        found = _hash_of(path, advance).sha256
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if found == recorded.sha256 else f"expected sha256 {recorded.sha256}, got {found}"


def differences(
    recorded: Mapping[Path, FileHash], report: Report = silent, doing: str = "checking files"
) -> dict[Path, str]:
    """Return what is wrong with which of many files; empty if all are as recorded.

    Several are read at a time, the largest first, so that the last one does not run alone. The progress is in
    MiB, and told by the caller's own thread, which may know where it goes.
    """
    largest_first = sorted(recorded, key=lambda path: -recorded[path].bytes)
    whole, read, lock = sum(one.bytes for one in recorded.values()), 0, threading.Lock()

    def advance(count: int) -> None:
        nonlocal read
        with lock:
            read += count

    with ThreadPoolExecutor(_at_once(largest_first)) as pool:
        work = {path: pool.submit(difference, path, recorded[path], advance) for path in largest_first}
        left: Collection[Future[str | None]] = work.values()
        while left:
            left = wait(left, timeout=_EVERY).not_done
            report(doing, min(read, whole) // _MIB, whole // _MIB)
        return {path: problem for path, one in work.items() if (problem := one.result())}


def _at_once(paths: Sequence[Path]) -> int:
    """Return how many files are read at a time: each keeps a processor busy."""
    return max(1, min(len(paths), len(os.sched_getaffinity(0))))


def _hash_of(path: Path, advance: Callable[[int], None] | None = None) -> FileHash:
    hasher, size, block = hashlib.sha256(), 0, memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        if advance is not None:
            # what lies in memory is no proof of what lies on the disk
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while count := file.readinto(block):
            hasher.update(block[:count])
            size += count
            if advance is not None:
                advance(count)
    return FileHash(sha256=hasher.hexdigest(), bytes=size)

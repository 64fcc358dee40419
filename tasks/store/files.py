"""Atomic file writes: no reader and no power cut ever leaves half a file."""

from __future__ import annotations

import ctypes
import datetime as dt
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tasks.runtime.errors import StoreError

SYNC_ALL_ABOVE: Final = 256  # files; flushing a single file takes a millisecond or two
SEAL: Final = "seal"
SEALED_BY: Final = "sealed_by"
_BLANK: Final = "0" * 64  # placeholder for the seal while it is computed
_REASONS: Final = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EIO: "the disk reports an input/output error",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "there is no such folder",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENAMETOOLONG: "a name in it is too long",
    errno.ELOOP: "its links lead in a circle",
}


def readable(size: float) -> str:
    """Return a number of bytes as text, such as '1.5 GiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read as a stream."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(paths: Collection[Path]) -> None:
    """Flush files and folders to the disk; OSError if one cannot be written.

    Many are flushed by one `syncfs` of their file system, which on Linux waits until all of it is
    written and, since 5.8, reports errors, as fsync does (syncfs(2)).
    """
    if len(paths) <= SYNC_ALL_ABOVE:
        for path in paths:
            sync(path)
        return
    for path in {path.stat().st_dev: path for path in paths}.values():
        _sync_file_system(path)


def _sync_file_system(path: Path) -> None:
    """Flush the file system of a path; without `syncfs`, all of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        os.sync()
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if libc.syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of writing below `path` into a StoreError with the reason."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        where = error.filename or path
        raise StoreError(f"cannot write {where}: {_REASONS[error.errno]}") from error


def exchange(first: Path, second: Path) -> bool:
    """Swap two folders of a file system atomically; False, without change, if unsupported."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    cwd = -100  # AT_FDCWD: relative paths start at the working directory
    if renameat2(cwd, os.fsencode(first), cwd, os.fsencode(second), 2) == 0:  # RENAME_EXCHANGE
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):  # such as NFS
        return False
    raise OSError(code, os.strerror(code), str(second))


def write_json_atomically(path: Path, content: Mapping[str, Any]) -> None:
    """Replace `path` with `content` as JSON; a reader sees the whole old or the whole new file.

    Dates and paths become text. NaN and infinity raise ValueError, since JSON has neither. The last
    two keys are `sealed_by` and `seal`: the SHA-256 of the file's bytes with 64 zeros in place of
    the seal. With it `read_json` detects any flipped bit; with two keys it also detects the loss of
    one.
    """
    sealed = {key: value for key, value in content.items() if key not in (SEAL, SEALED_BY)}
    sealed |= {SEALED_BY: "sha256", SEAL: _BLANK}
    text = json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False, default=_as_text) + "\n"
    head, _, tail = text.rpartition(_BLANK)
    write_text_atomically(path, head + hashlib.sha256(text.encode()).hexdigest() + tail)


def write_text_atomically(path: Path, text: str) -> None:
    """Replace `path` with a text; a reader sees the whole old or the whole new file."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    with writing(path):
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, without its seal; StoreError if unreadable or damaged."""
    return read_sealed(path)[0]


def read_sealed(path: Path) -> tuple[dict[str, Any], bool]:
    """Return the object in a JSON file without its seal, and whether it was sealed.

    Files of version 0.1 are not sealed. StoreError if the file is unreadable, is not a JSON object,
    or does not match its seal.
    """
    try:
        data = path.read_bytes()
        content = json.loads(data.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise StoreError(f"expected a JSON object in {path}, got {type(content).__name__}")
    seal, by = content.pop(SEAL, None), content.pop(SEALED_BY, None)
    if (seal, by) == (None, None):
        return content, False
    if not isinstance(seal, str) or by != "sha256" or not _matches_seal(data, seal):
        raise StoreError(f"{path} is damaged: its bytes are not those that were sealed")
    return content, True


def _matches_seal(data: bytes, seal: str) -> bool:
    """Return whether a file's bytes, with zeros in place of the seal, hash to the seal."""
    head, match, tail = data.rpartition(seal.encode())
    return bool(match) and hashlib.sha256(head + _BLANK.encode() + tail).hexdigest() == seal


def _as_text(value: object) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"expected a JSON value, got {type(value).__name__}")

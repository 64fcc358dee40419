"""Compressed files: opened by their suffix, and read only in proportion to their size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePath
from typing import IO, Any

import pyarrow as pa

from sql.errors import SourceError

FREE = 1 << 25  # bytes that any file may expand to, however small
CHUNK = 1 << 16  # bytes
DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0"}
"""How files of each compression begin; a zip file may be many things, and is known by its name."""
SYSTEM = "__MACOSX"  # what macOS adds to archives


def compression(name: str) -> str | None:
    """Return the suffix of a file's compression, None if its name has none."""
    suffix = PurePath(name.lower()).suffix
    return suffix if suffix in OPENERS else None


def hidden_compression(start: bytes) -> str | None:
    """Return the suffix of the compression that a file begins like, None for none."""
    return next((suffix for suffix, magic in MAGIC.items() if start.startswith(magic)), None)


def require_proportion(name: str, held: int, size: int, limit: int) -> None:
    """Raise SourceError if `held` bytes exceed both FREE and `limit` times the file's `size`."""
    if held > max(FREE, size * limit):
        raise SourceError(
            f"{name}: {size:,} bytes expand to more than {held:,}, over {limit} times as many; "
            "if the file is genuine, raise max_expansion"
        )


class Inflated(io.RawIOBase):
    """The content of a compressed file, read only while it is in proportion to the bytes read.

    Parameters
    ----------
    name
        The name of the file, for messages.
    suffix
        The suffix of its compression.
    stream
        The file; closed with this object.
    limit
        How many times its size it may expand to.

    Raises
    ------
    SourceError
        As soon as it is damaged, or expands out of proportion.
    """

    def __init__(self, name: str, suffix: str, stream: IO[bytes], limit: int) -> None:
        super().__init__()
        self._name, self._stream, self._limit = name, stream, limit
        self._suffix = suffix
        self._held = 0
        try:
            self._content = OPENERS[suffix](stream)
        except _UnusableError as error:
            stream.close()
            raise SourceError(f"{name}: {error}") from None
        except DAMAGE as error:
            raise self._damaged(error) from None

    def readable(self) -> bool:
        """Return True: the content can be read."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill a buffer and return the number of bytes written, 0 at the end."""
        try:
            data = self._content.read(min(len(target), CHUNK))
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno:
                raise  # of the disk
            raise self._damaged(error) from None
        target[: len(data)] = data
        self._held += len(data)
        require_proportion(self._name, self._held, self._stream.tell(), self._limit)
        return len(data)

    def _damaged(self, error: Exception) -> SourceError:
        return SourceError(
            f"{self._name}: the {self._suffix} is truncated or corrupt ({error}); deliver it again"
        )

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


class _UnusableError(Exception):
    """An archive is whole, and cannot be read all the same."""


class _Streams:
    """Compressed streams one behind another; what is none is an error, as in a .gz.

    Python's own readers of .bz2 and .xz leave out what they cannot read behind a stream.
    """

    def __init__(self, stream: IO[bytes], decompressor: Callable[[], Any]) -> None:
        self._stream, self._new, self._current = stream, decompressor, decompressor()
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, nothing at the end; EOFError for a stream that does not end."""
        while True:
            if self._current.eof:
                self._rest = self._current.unused_data or self._stream.read(CHUNK)
                padding = not self._rest.strip(b"\0") and len(self._rest) % 4 == 0  # .xz allows it
                if padding:
                    return b""
                self._current = self._new()
            elif self._current.needs_input:
                self._rest = self._rest or self._stream.read(CHUNK)
                if not self._rest:
                    raise EOFError("it ends before its end-of-stream marker")
            data: bytes = self._current.decompress(self._rest, size)
            self._rest = b""
            if data:
                return data


def _zip_member(stream: IO[bytes]) -> Any:
    archive = zipfile.ZipFile(stream)
    members = [part for part in archive.infolist() if not part.is_dir() and SYSTEM not in part.filename]
    if len(members) != 1:
        raise _UnusableError(f"expected one file in the archive, got {len(members)}: unpack it")
    if members[0].flag_bits & 1:
        raise _UnusableError("expected an archive that is not encrypted: unpack it")
    try:
        return archive.open(members[0])
    except NotImplementedError as error:
        raise _UnusableError(f"expected a usual archive: {str(error).rstrip('.')}; unpack it") from None


OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda stream: gzip.GzipFile(fileobj=stream),
    ".zst": lambda stream: pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd"),
    ".bz2": lambda stream: _Streams(stream, bz2.BZ2Decompressor),
    ".xz": lambda stream: _Streams(stream, lzma.LZMADecompressor),
    ".zip": _zip_member,
}
"""What opens a compressed file, by suffix."""

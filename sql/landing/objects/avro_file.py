"""Avro container files: their blocks are expanded here, in bounded memory; fastavro decodes them."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import fastavro
import pyarrow as pa

from sql.errors import SourceError
from sql.landing.compression import FREE, require_proportion
from sql.landing.landing import RawFile
from sql.landing.objects.records import Records, reading

MAGIC = b"Obj\x01"
SYNC = 16  # bytes of the mark behind each block
LARGEST = 1 << 28  # bytes of a header, or of a block before it is expanded
DAMAGE = (ValueError, LookupError, OSError, TypeError, ArithmeticError, RecursionError, zlib.error)


def open_avro(file: RawFile, limit: int) -> Records:
    """Open a container file (Avro specification, "Object Container Files").

    Opening and reading raise a SourceError if it is damaged or cut, holds something else than
    records, or expands to more than `limit` times its size.
    """
    with reading(file, "Avro", DAMAGE), file.path.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise ValueError("it does not begin as one")
        schema = json.loads(_metadata(stream)["avro.schema"])
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise ValueError(f"expected a schema of records, got {str(schema)[:100]}")
        names = tuple(str(field["name"]) for field in schema["fields"])
    return Records(names, _records(file, limit))


def _records(file: RawFile, limit: int) -> Iterator[dict[str, Any]]:
    with reading(file, "Avro", DAMAGE), file.path.open("rb") as stream:
        for record in fastavro.reader(io.BufferedReader(_Joined(_expanded(file.name, stream, limit)))):
            if not isinstance(record, dict):
                raise ValueError(f"expected records, got {type(record).__name__}")
            yield record


class _Joined(io.RawIOBase):
    """A stream of pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Fill a buffer and return the number of bytes written, 0 at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _expanded(name: str, stream: IO[bytes], limit: int) -> Iterator[bytes]:
    """Yield a container's header and blocks, as of a container that is not compressed."""
    size, held = stream.seek(0, 2), 0
    stream.seek(len(MAGIC))
    meta = _metadata(stream)
    codec = meta.pop("avro.codec", b"null").decode()
    if codec not in CODECS:
        raise SourceError(f"{name}: expected an Avro codec of {', '.join(CODECS)}, got {codec[:40]!r}")
    sync = _exactly(stream, SYNC)
    yield MAGIC + _number(1) + _text(b"avro.schema") + _text(meta["avro.schema"]) + _number(0) + sync
    while (count := _long(stream)) is not None:
        room = max(FREE, size * limit) - held
        content = CODECS[codec](_exactly(stream, _long(stream)), max(room, 0) + 1)
        held += len(content) + count  # a record takes a byte, even one of which nothing is written
        require_proportion(name, held, size, limit)
        if _exactly(stream, SYNC) != sync:
            raise ValueError("the mark behind a block is damaged")
        yield _number(count) + _text(content) + sync


def _metadata(stream: IO[bytes]) -> dict[str, bytes]:
    """Return the map in the header."""
    meta = {}
    while count := _long(stream):
        if count < 0:
            _long(stream)  # the bytes of this part of the map
        for _ in range(abs(count)):
            key = _exactly(stream, _long(stream))
            meta[key.decode()] = _exactly(stream, _long(stream))
    return meta


def _exactly(stream: IO[bytes], count: int | None) -> bytes:
    if count is None or not 0 <= count <= LARGEST:
        raise ValueError("a length is damaged")
    data = stream.read(count)
    if len(data) < count:
        raise ValueError("it is cut")  # an EOFError would be the end of the file to fastavro
    return data


def _long(stream: IO[bytes]) -> int | None:
    """Return a number as Avro writes it (zigzag, 7 bits a byte); None at the end of the stream."""
    number = shift = 0
    while byte := stream.read(1):
        number |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return (number >> 1) ^ -(number & 1)
        shift += 7
        if shift > 63:
            raise ValueError("a number is damaged")
    if shift:
        raise ValueError("it is cut")
    return None


def _number(value: int) -> bytes:
    """Return a number of at least 0 as `_long` reads it."""
    rest, data = value << 1, bytearray()
    while rest > 127:
        data.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*data, rest])


def _text(data: bytes) -> bytes:
    return _number(len(data)) + data


def _snappy(data: bytes, room: int) -> bytes:
    """Expand a block of snappy, which begins with its size; a checksum of four bytes follows it."""
    size = shift = 0
    for byte in data[:5]:
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    content: bytes = pa.decompress(data[:-4], min(size, room), codec="snappy", asbytes=True)
    if zlib.crc32(content) != int.from_bytes(data[-4:], "big"):
        raise ValueError("the checksum of a block is wrong")
    return content


def _zstandard(data: bytes, room: int) -> bytes:
    content: bytes = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read(room)
    return content


CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "null": lambda data, _: data,
    "deflate": lambda data, room: zlib.decompressobj(-15).decompress(data, room),
    "snappy": _snappy,
    "zstandard": _zstandard,
    "bzip2": lambda data, room: bz2.BZ2Decompressor().decompress(data, room),
    "xz": lambda data, room: lzma.LZMADecompressor().decompress(data, room),
}
"""What expands a block, up to so many bytes, by the codec's name in the header."""

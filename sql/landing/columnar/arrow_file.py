"""Arrow IPC files and streams (Feather 2 among them), opened in place: what they hold is not copied.

A message says how large its buffers become. That is read here before Arrow expands them, from the
FlatBuffers of Message.fbs and File.fbs of Apache Arrow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from sql.errors import SourceError
from sql.landing.columnar.blocks import HELD, MOST_ROWS, ArrowSource
from sql.landing.compression import require_proportion
from sql.landing.landing import RawFile

MAGIC, FEATHER_1 = b"ARROW1", b"FEA1"
CONTINUATION = 0xFFFFFFFF
DICTIONARY, RECORDS = 2, 3  # kinds of messages
BLOCK = struct.Struct("<qi4xq")  # a message's place in the file: offset, bytes of metadata and of the body
TEXTS = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}


def open_arrow(file: RawFile, limit: int) -> ArrowSource:
    """Open a file or stream of Arrow IPC.

    SourceError if its messages tell of more than `limit` times its size, or for a Feather file of
    version 1. Reading raises ArrowInvalid for damage: Arrow itself would read beyond a buffer.
    """
    content = pa.memory_map(str(file.path))
    data = memoryview(content.read_buffer())
    if data[: len(FEATHER_1)] == FEATHER_1:
        raise SourceError(f"{file.name}: is a Feather file of version 1; expected Arrow IPC (Feather 2)")
    is_file = data[: len(MAGIC)] == MAGIC
    try:
        held = sum(_held(message, body) for message, body in (_blocks if is_file else _stream)(data))
    except (struct.error, IndexError):
        raise ValueError("a message is damaged or cut") from None
    require_proportion(file.name, held, len(data), limit)
    content.seek(0)
    reader = ipc.open_file(content) if is_file else ipc.open_stream(content)
    return ArrowSource(reader.schema, _batches(reader))


def _batches(reader: Any) -> Iterator[Any]:
    """Yield slices of the record batches, each of about HELD bytes."""
    several = hasattr(reader, "num_record_batches")
    batches = map(reader.get_batch, range(reader.num_record_batches)) if several else reader
    for batch in batches:
        for column in batch.columns:
            _require_sound(column)
        rows = int(min(max(HELD * batch.num_rows / max(batch.nbytes, 1), 1), MOST_ROWS))
        yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))


def _require_sound(column: Any) -> None:
    """Raise ArrowInvalid if a column's offsets or indices lead beyond its buffers.

    Texts that are not UTF-8 are no damage here: their rows are quarantined.
    """
    if pa.types.is_dictionary(column.type):
        column.indices.validate(full=True)
        column = column.dictionary
    column = column.view(TEXTS[column.type]) if column.type in TEXTS else column
    column.validate(full=True)


@dataclass(frozen=True)
class _Table:
    """A table of a FlatBuffer: its fields by number, each at a place in the buffer or absent."""

    data: memoryview
    place: int

    def field(self, number: int) -> int | None:
        """Return the place of a field, None if it is absent."""
        (back,) = struct.unpack_from("<i", self.data, self.place)
        start = self.place - back
        (size,) = struct.unpack_from("<H", self.data, start)
        at = 4 + 2 * number
        (offset,) = struct.unpack_from("<H", self.data, start + at) if at < size else (0,)
        return self.place + offset if offset else None

    def number(self, number: int, form: str) -> int:
        """Return a number, 0 if it is absent."""
        place = self.field(number)
        value: int = 0 if place is None else struct.unpack_from(form, self.data, place)[0]
        return value

    def table(self, number: int) -> _Table | None:
        """Return a table inside of this one."""
        place = self.field(number)
        return None if place is None else _Table(self.data, _follow(self.data, place))

    def structs(self, number: int, form: struct.Struct) -> list[tuple[int, ...]]:
        """Return a vector of structs."""
        place = self.field(number)
        if place is None:
            return []
        start = _follow(self.data, place)
        (count,) = struct.unpack_from("<I", self.data, start)
        end = start + 4 + count * form.size
        return list(form.iter_unpack(self.data[start + 4 : end]))


def _follow(data: memoryview, place: int) -> int:
    return place + int(struct.unpack_from("<I", data, place)[0])


def _root(data: memoryview) -> _Table:
    return _Table(data, _follow(data, 0))


def _blocks(data: memoryview) -> Iterator[tuple[_Table, memoryview]]:
    """Yield the messages of a file and their bodies, as its footer lists them."""
    end = len(data) - len(MAGIC) - 4
    (length,) = struct.unpack_from("<i", data, end)
    footer = _root(data[end - length : end])
    for field in (2, 3):
        for offset, head, size in footer.structs(field, BLOCK):
            start = 8 if struct.unpack_from("<I", data, offset)[0] == CONTINUATION else 4
            body = offset + head
            yield _root(data[offset + start : body]), data[body : body + size]


def _stream(data: memoryview) -> Iterator[tuple[_Table, memoryview]]:
    """Yield the messages of a stream and their bodies."""
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if length == CONTINUATION:
            (length,) = struct.unpack_from("<I", data, at)
            at += 4
        if not length:
            return
        message = _root(data[at : at + length])
        body = at + length
        at = body + message.number(3, "<q")
        yield message, data[body:at]


def _held(message: _Table, body: memoryview) -> int:
    """Return the bytes that the rows of a message take: those of its buffers, and one for each row."""
    kind, content = message.number(1, "<B"), message.table(2)
    if kind == DICTIONARY and content is not None:
        content = content.table(1)
    if kind not in {DICTIONARY, RECORDS} or content is None:
        return 0
    held, packed = content.number(0, "<q"), content.field(3) is not None
    for offset, size in content.structs(2, struct.Struct("<qq")):
        expanded = struct.unpack_from("<q", body, offset)[0] if packed and size >= 8 else -1
        held += size if expanded == -1 else expanded
    return held

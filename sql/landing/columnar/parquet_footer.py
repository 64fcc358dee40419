"""The column chunks in a Parquet file's footer, parsed here because Arrow aborts on damaged ones.

The footer is a struct in Thrift's compact protocol (thrift-compact-protocol.md of Apache Thrift),
with the fields of parquet.thrift of Apache Parquet.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAIL = struct.Struct("<I4s")  # the footer's length, and PAR1
DICTIONARY = {2, 8}  # the encodings PLAIN_DICTIONARY and RLE_DICTIONARY
WIDTH = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 4}  # bytes of a value by type; 7 states its own
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)


@dataclass(frozen=True)
class Chunk:
    """One column of one row group: its path, rows, values (more than rows if nested) and bytes.

    `held` is the least number of bytes its decoded values take, `width` that of a single value.
    """

    path: tuple[str, ...]
    rows: int
    values: int
    held: int
    width: int
    dictionary: bool


def chunks(path: Path) -> list[Chunk]:
    """Return all column chunks of a Parquet file.

    Raises
    ------
    ValueError
        If the footer is damaged.
    """
    data = _footer(path)
    try:
        metadata = _Reader(data).read(STRUCT)
        leaves = [element for element in metadata[2] if 1 in element]
        return [
            _chunk(column[3], leaf, group[3])
            for group in metadata[4]
            for column, leaf in zip(group[1], leaves, strict=True)
        ]
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        raise ValueError("its footer is damaged") from None


def _footer(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - TAIL.size, 0))
        length, magic = TAIL.unpack(file.read().rjust(TAIL.size, b"\0"))
        if magic != b"PAR1" or length + TAIL.size > size:
            raise ValueError("its footer is damaged")
        file.seek(size - TAIL.size - length)
        return file.read(length)


def _chunk(column: dict[int, Any], leaf: dict[int, Any], rows: int) -> Chunk:
    width = WIDTH.get(column[1]) or leaf.get(2, 1)
    return Chunk(
        path=tuple(name.decode() for name in column[3]),
        rows=rows,
        values=column[5],
        held=max(column[6], column[5] * width),
        width=width,
        dictionary=bool(DICTIONARY.intersection(column[2])),
    )


class _Reader:
    """Reads one value after another; a struct becomes a dictionary by field number."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._readers: dict[int, Callable[[], Any]] = {
            # booleans take a byte in lists only; in structs the kind is the value
            **dict.fromkeys((TRUE, FALSE, BYTE), self._byte),
            **dict.fromkeys((I16, I32, I64), self._number),
            **dict.fromkeys((LIST, SET), self._list),
            DOUBLE: lambda: self._bytes(8),
            UUID: lambda: self._bytes(16),
            BINARY: lambda: self._bytes(self._varint()),
            MAP: self._map,
            STRUCT: self._struct,
        }

    def read(self, kind: int) -> Any:
        """Return the next value, given its kind in the compact protocol."""
        return self._readers[kind]()

    def _struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            field = field + step if step else self._number()
            fields[field] = kind == TRUE if kind in {TRUE, FALSE} else self.read(kind)
        return fields

    def _list(self) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._varint()
        return [self.read(kind) for _ in range(count)]

    def _map(self) -> None:
        count = self._varint()
        kinds = self._byte() if count else 0
        for _ in range(count):
            self.read(kinds >> 4)
            self.read(kinds & 15)

    def _number(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        number = shift = 0
        while (byte := self._byte()) & 128:
            number |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a varint of more than 64 bits")
        return number | byte << shift

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte

    def _bytes(self, count: int) -> bytes:
        octets = self._data[self._at : self._at + count]
        if len(octets) < count:
            raise ValueError("truncated")
        self._at += count
        return octets

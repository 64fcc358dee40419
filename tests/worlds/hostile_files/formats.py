"""Arrow, Avro, ORC and workbooks."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import fastavro
import openpyxl
import pyarrow as pa
import pyorc
from pyarrow import feather, ipc

from worlds.hostile_files.case import AT, BIG, Case, T, as_text, event, events, refused, text

UTC_AT = AT.replace(tzinfo=UTC)


def arrow(table: Mapping[str, Any], compression: str = "uncompressed") -> bytes:
    out = io.BytesIO()
    feather.write_feather(pa.table(table), out, compression=compression)
    return out.getvalue()


def stream(table: Mapping[str, Any]) -> bytes:
    out, content = io.BytesIO(), pa.table(table)
    with ipc.new_stream(out, content.schema) as writer:
        writer.write_table(content)
    return out.getvalue()


def arrow_rows(data: bytes) -> int:
    source = ipc.open_file(data) if data.startswith(b"ARROW1") else ipc.open_stream(data)
    return int(source.read_all().num_rows)


def avro(rows: Sequence[Any], codec: str = "null", *, user: Any = "string", time: Any = "string") -> bytes:
    fields = [("user", user), ("item", "string"), ("time", time)]
    schema = {"type": "record", "name": "event", "fields": [{"name": n, "type": kind} for n, kind in fields]}
    out = io.BytesIO()
    fastavro.writer(out, schema, rows, codec=codec, sync_marker=b"0123456789abcdef")
    return out.getvalue()


def avro_rows(data: bytes) -> int:
    return sum(1 for _ in fastavro.reader(io.BytesIO(data)))


def orc(rows: Sequence[Any], user: str = "string", time: str = "string") -> bytes:
    out = io.BytesIO()
    with pyorc.Writer(out, f"struct<user:{user},item:string,time:{time}>") as writer:
        writer.writerows(rows)
    return out.getvalue()


def orc_rows(data: bytes) -> int:
    return len(pyorc.Reader(io.BytesIO(data)))


def workbook(**sheets: Sequence[Sequence[Any]]) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(out)
    return out.getvalue()


def sheet_rows(data: bytes) -> int:
    """Count the rows with a value below the first of each sheet."""
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    filled = [[row for row in sheet.values if any(cell is not None for cell in row)] for sheet in book]
    return sum(len(rows) - 1 for rows in filled if rows)


def damaged(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return data in which `old`, which it has once, is `new`."""
    assert data.count(old) == 1
    assert len(old) == len(new)
    return data.replace(old, new)


ARROW = arrow(events(["ar1", "ar2", "ar3"]))
OFFSETS = struct.pack("<4i", 0, 3, 6, 9)  # of the three users
AVRO = avro([event("av1"), event("av2")])
HEAD = ["user", "item", "time"]
NULLS = {
    "type": "record",
    "name": "nothing",
    "fields": [{"name": name, "type": "null"} for name in HEAD],
}


def endless() -> bytes:
    """Return an Avro file of a block that claims 2^40 records of no bytes."""
    out = io.BytesIO()
    fastavro.writer(out, NULLS, [dict.fromkeys(HEAD)], sync_marker=b"0123456789abcdef")
    count = bytearray()
    rest = 2**41
    while rest > 127:
        count.append(rest & 127 | 128)
        rest >>= 7
    count.append(rest)
    head = out.getvalue()[: -SYNC - 2]
    return head + bytes(count) + b"\0" + b"0123456789abcdef"


SYNC = 16
FORMATS = [
    Case("Arrow file", "ids.arrow", arrow(events([BIG + 2, 107])), arrow_rows, kept=(str(BIG + 2), "107")),
    Case("Feather with lz4", "lz4.feather", arrow(events(["fe1"]), "lz4"), arrow_rows, kept=("fe1",)),
    Case("Arrow stream", "stream.arrows", stream(events(["as1", None])), arrow_rows, {"user_missing": 1}),
    Case(
        "Arrow text that is not UTF-8",
        "utf8.arrow",
        arrow(events([b"ok", b"\xff"]) | {"user": as_text([b"ok", b"\xff"])}),
        arrow_rows,
        {"bad_encoding": 1},
        kept=("ok",),
    ),
    Case(
        "Arrow offsets that lead out of the file",
        "offsets.arrow",
        damaged(ARROW, OFFSETS, struct.pack("<4i", 0, 3, 6, 2**30)),
        refused,
        refused="not a readable Arrow IPC file",
    ),
    Case("Arrow cut in the middle", "cut.arrow", ARROW[: len(ARROW) // 2], refused, refused="not a readable"),
    Case(
        "Arrow cut in its footer", "end.arrow", ARROW[:-4], refused, refused="not a readable Arrow IPC file"
    ),
    Case(
        "Feather of version 1", "one.feather", b"FEA1" + ARROW, refused, refused="Feather file of version 1"
    ),
    Case(
        "Arrow that expands out of proportion",
        "bomb.arrow",
        arrow(events(["b"]) | {"pad": ["x" * (40 << 20)]}, "zstd"),
        refused,
        refused="if the file is genuine, raise max_expansion",
    ),
    Case("Avro", "rows.avro", AVRO, avro_rows, kept=("av1", "av2")),
    *(
        Case(f"Avro with {codec}", f"{codec}.avro", avro([event(codec)], codec), avro_rows, kept=(codec,))
        for codec in ("deflate", "snappy", "bzip2", "xz")
    ),
    Case(
        "Avro with ids as numbers and times of a logical type",
        "types.avro",
        avro(
            [event(BIG + 4, time=UTC_AT), event(None, time=UTC_AT)],
            user=["null", "long"],
            time={"type": "long", "logicalType": "timestamp-micros"},
        ),
        avro_rows,
        {"user_missing": 1},
        kept=(str(BIG + 4),),
    ),
    Case(
        "Avro with large ids as doubles",
        "large.avro",
        avro([event(2.0**52), event(2.0**53 + 2)], user="double"),
        avro_rows,
        {"inexact_id": 1},
        kept=(str(2**52),),
    ),
    Case("Avro cut in the middle", "cut.avro", AVRO[:-20], refused, refused="not a readable Avro file"),
    Case(
        "Avro with a damaged mark",
        "mark.avro",
        AVRO[:-1] + b"?",
        refused,
        refused="the mark behind a block is damaged",
    ),
    Case(
        "Avro that expands out of proportion",
        "bomb.avro",
        avro([event("b" * (40 << 20))], "deflate"),
        refused,
        refused="if the file is genuine, raise max_expansion",
    ),
    Case(
        "Avro with records of no bytes",
        "endless.avro",
        endless(),
        refused,
        refused="if the file is genuine, raise max_expansion",
    ),
    Case("ORC", "rows.orc", orc([(BIG + 6, "i", T)], "bigint"), orc_rows, kept=(str(BIG + 6),)),
    Case("ORC without a user", "null.orc", orc([(None, "i", T)]), orc_rows, {"user_missing": 1}),
    Case(
        "ORC times beyond nanoseconds",
        "years.orc",
        orc([("or1", "i", UTC_AT), ("or2", "i", datetime(9999, 1, 1, tzinfo=UTC))], time="timestamp"),
        orc_rows,
        {"timestamp_out_of_range": 1},
        kept=("or1",),
    ),
    Case(
        "ORC cut in the middle",
        "cut.orc",
        orc([("u", "i", T)] * 99)[:200],
        refused,
        refused="not a readable ORC file",
    ),
    Case(
        "workbook with numbers, times and a blank row",
        "book.xlsx",
        workbook(Sheet=[HEAD, [17851.0, "85123A", AT], [None, None, None], [13047, 22633, AT]]),
        sheet_rows,
        kept=("17851", "13047"),
    ),
    Case(
        "workbook of several sheets",
        "sheets.xlsx",
        workbook(A=[HEAD, ["sh1", "i", T]], B=[HEAD, ["sh2", "i", T]], C=[]),
        sheet_rows,
        kept=("sh1", "sh2"),
    ),
    Case(
        "workbook of different sheets",
        "others.xlsx",
        workbook(A=[HEAD, ["u", "i", T]], Notes=[["remark"], ["none"]]),
        refused,
        refused="expected the same columns in each sheet, got others in 'Notes'",
    ),
    Case(
        "workbook with large ids",
        "large.xlsx",
        workbook(A=[HEAD, [2.0**53 * 3, "i", T], ["sh3", "i", T]]),
        sheet_rows,
        {"inexact_id": 1},
        kept=("sh3",),
    ),
    Case("text named .xlsx", "text.xlsx", text("u,i,t"), refused, refused="not a readable workbook"),
]

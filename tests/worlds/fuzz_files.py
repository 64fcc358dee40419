"""Files of every format, drawn by Hypothesis, and damage to their bytes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any

import fastavro
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pyorc
from hypothesis import strategies as st
from pyarrow import feather, ipc

MAPPED = ["user", "item", "time"]
T = "2026-03-01 10:00:00"
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CELL = st.one_of(
    st.sampled_from(
        ["u1", "i1", T, "", " ", "\\N", '"', '""', "a\nb", "a\rb", "\0", "\ufeff", "NaN", "-1", "x" * 300]
    ),
    st.integers(-(2**70), 2**70).map(str),
    LETTERS,
)
ENCODINGS = st.sampled_from(
    ["utf-8", "latin-1", "cp1252", "utf-16", "utf-16-be", "utf-8-sig", "shift_jis", "utf-7"]
)
HEADERS = st.sampled_from(
    [["user", "item", "time", "more"], ["time", "more", "item", "user"], ["user"], ["user", "user"]]
)
JSON_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([T, "a\0", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(st.sampled_from([*MAPPED, "more", "x", ""]), JSON_VALUE, max_size=5)
ROW = st.fixed_dictionaries(
    {"user": JSON_VALUE, "item": JSON_VALUE, "time": st.just(T) | JSON_VALUE, "more": JSON_VALUE}
)
COLUMN = st.sampled_from(
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.binary(4),
        pa.int8(),
        pa.uint64(),
        pa.int64(),
        pa.float16(),
        pa.float32(),
        pa.float64(),
        pa.bool_(),
        pa.date32(),
        pa.date64(),
        pa.time64("us"),
        pa.null(),
        pa.timestamp("s"),
        pa.timestamp("ns", "Europe/London"),
        pa.duration("s"),
        pa.decimal128(20, 3),
        pa.dictionary(pa.int8(), pa.string()),
        pa.list_(pa.int32()),
        pa.struct([("a", pa.string())]),
        pa.map_(pa.string(), pa.int32()),
        pa.list_(pa.list_(pa.string())),
    ]
)
CHANGE = st.tuples(
    st.sampled_from(["flip", "cut", "drop", "insert", "repeat"]), st.integers(0, 2**31), st.binary(max_size=6)
)
CHANGES = st.just([]) | st.lists(CHANGE, max_size=4)


def changed(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    """Return damaged bytes."""
    for kind, number, more in changes:
        at = number % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << number % 8)]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "drop":
            data = data[:at] + data[at + 1 + number % 7 :]
        elif kind == "insert":
            data = data[:at] + more + data[at:]
        elif kind == "repeat":
            data = data[:at] + data[max(0, at - 20) :]
    return data


@st.composite
def csv_files(draw: Any) -> tuple[str, bytes, dict[str, Any]]:
    """Draw a CSV file and its reading settings, which mostly match."""
    delimiter, encoding = draw(st.sampled_from([",", ";", "\t", "::", "¦"])), draw(ENCODINGS)
    rows = draw(st.lists(st.lists(CELL, min_size=3, max_size=5), max_size=12))
    rows = [*rows, *draw(st.lists(st.tuples(CELL, CELL, st.just(T), CELL).map(list), max_size=6))]
    out = io.StringIO(newline="")
    if draw(st.booleans()) and len(delimiter) == 1:
        end = draw(st.sampled_from(["\n", "\r\n"]))
        csv.writer(out, delimiter=delimiter, lineterminator=end).writerows([draw(HEADERS), *rows])
    else:
        out.write("\n".join(delimiter.join(row) for row in [draw(HEADERS), *rows]))
    data = changed(out.getvalue().encode(encoding, "replace"), draw(CHANGES))
    return _packed(draw, "log.csv", data, {"delimiter": delimiter, "encoding": encoding})


@st.composite
def json_files(draw: Any) -> tuple[str, bytes, dict[str, Any]]:
    """Draw a file of JSON lines."""
    values = draw(st.lists(ROW | OBJECT | JSON_VALUE, max_size=10))
    lines = [*map(json.dumps, values), *draw(st.lists(LETTERS, max_size=2))]
    deep = draw(st.sampled_from([0, 0, 0, 300, 900, 985, 990, 994, 996, 998, 1000, 5000]))
    if deep:
        lines.append(
            '{"user": ' + "[" * deep + "]" * deep + ', "item": ' + '{"a":' * deep + "1" + "}" * deep + "}"
        )
    data = "\n".join(draw(st.permutations(lines))).encode("utf-8", "replace")
    return _packed(draw, "log.jsonl", changed(data, draw(CHANGES)), {})


@st.composite
def parquet_files(draw: Any) -> tuple[str, bytes, dict[str, Any]]:
    """Draw a Parquet file of any types, often damaged."""
    rows = draw(st.integers(0, 20))
    columns = {name: _column(draw, rows) for name in (*MAPPED, "more")}
    out = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        out,
        compression=draw(st.sampled_from(["none", "snappy", "gzip", "zstd", "brotli", "lz4"])),
        use_dictionary=draw(st.booleans()),
        write_page_checksum=draw(st.booleans()),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
        row_group_size=draw(st.sampled_from([1, 3, 1000])),
        store_schema=draw(st.booleans()),
    )
    return "log.parquet", changed(out.getvalue(), draw(CHANGES)), {}


def _column(draw: Any, rows: int) -> Any:
    kind = draw(COLUMN)
    plain = {
        "string": draw(st.lists(st.none() | CELL, min_size=rows, max_size=rows)),
        "number": draw(st.lists(st.none() | st.integers(0, 100), min_size=rows, max_size=rows)),
    }
    for values in (plain["string"], plain["number"]):
        try:
            return pa.array(values, kind)
        except (pa.ArrowException, TypeError, ValueError, AttributeError):
            continue
    return pa.array([None] * rows, kind) if draw(st.booleans()) else pa.array(plain["string"])


@st.composite
def arrow_files(draw: Any) -> tuple[str, bytes, dict[str, Any]]:
    """Draw an Arrow file or stream of any types, often damaged."""
    rows, out = draw(st.integers(0, 20)), io.BytesIO()
    table = pa.table({name: _column(draw, rows) for name in (*MAPPED, "more")})
    compression, size = draw(st.sampled_from(["uncompressed", "lz4", "zstd"])), draw(st.integers(1, 30))
    if draw(st.booleans()):
        feather.write_feather(table, out, compression=compression, chunksize=size)
    else:
        packed = None if compression == "uncompressed" else compression
        with ipc.new_stream(out, table.schema, options=ipc.IpcWriteOptions(compression=packed)) as writer:
            writer.write_table(table, max_chunksize=size)
    return "log.arrow", changed(out.getvalue(), draw(CHANGES)), {}


ROWS_OF_TEXT = st.lists(
    st.tuples(CELL, CELL, CELL | st.just(T), st.integers(-(2**63), 2**63 - 1)), max_size=12
)


@st.composite
def avro_files(draw: Any) -> tuple[str, bytes, dict[str, Any]]:
    """Draw an Avro file, often damaged."""
    rows, out = draw(ROWS_OF_TEXT), io.BytesIO()
    fields = [{"name": name, "type": ["null", "string"]} for name in MAPPED]
    schema = {"type": "record", "name": "r", "fields": [*fields, {"name": "more", "type": "long"}]}
    records = [dict(zip((*MAPPED, "more"), row, strict=True)) for row in rows]
    codec = draw(st.sampled_from(["null", "deflate", "snappy", "bzip2", "xz"]))
    fastavro.writer(out, schema, records, codec=codec, sync_interval=100, sync_marker=b"0123456789abcdef")
    return "log.avro", changed(out.getvalue(), draw(CHANGES)), {}


KIND = pyorc.CompressionKind
ORC_KINDS = (KIND.NONE, KIND.ZLIB, KIND.SNAPPY, KIND.ZSTD)


@st.composite
def orc_files(draw: Any) -> tuple[str, bytes, dict[str, Any]]:
    """Draw an ORC file, often damaged."""
    out, kind = io.BytesIO(), draw(st.sampled_from(ORC_KINDS))
    columns = "struct<user:string,item:string,time:string,more:bigint>"
    with pyorc.Writer(out, columns, compression=kind) as writer:
        writer.writerows(draw(ROWS_OF_TEXT))
    return "log.orc", changed(out.getvalue(), draw(CHANGES)), {}


@st.composite
def workbooks(draw: Any) -> tuple[str, bytes, dict[str, Any]]:
    """Draw a workbook, often damaged."""
    book, out = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    cell = (
        st.none()
        | st.booleans()
        | st.floats(allow_nan=False)
        | st.sampled_from(["a", T, "007", "", "x" * 99])
    )
    for number in range(draw(st.integers(1, 2))):
        sheet = book.create_sheet(f"s{number}")
        for row in [draw(HEADERS), *draw(st.lists(st.lists(cell, min_size=1, max_size=4), max_size=6))]:
            sheet.append(row)
    book.save(out)
    return "log.xlsx", changed(out.getvalue(), draw(CHANGES)), {}


def _packed(draw: Any, name: str, data: bytes, reading: dict[str, Any]) -> tuple[str, bytes, dict[str, Any]]:
    if draw(st.integers(0, 3)):
        return name, data, reading
    return f"{name}.gz", changed(gzip.compress(data, mtime=0), draw(CHANGES)), reading


FILES = {
    "csv": csv_files(),
    "jsonl": json_files(),
    "parquet": parquet_files(),
    "arrow": arrow_files(),
    "avro": avro_files(),
    "orc": orc_files(),
    "sheets": workbooks(),
}

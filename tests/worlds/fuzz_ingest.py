"""Fuzzes the landing of one format and the ingest behind it for some seconds; a process of its own.

A crash of a library or a hang ends the process; the file that did it is left in the folder.
"""

from __future__ import annotations

import csv
import faulthandler
import gzip
import io
import json
import shutil
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sql.engines.duckdb_engine import DuckDBEngine
from sql.landing.landed_file import LandedFile, land_file
from sql.landing.landing import RawFile, SourceError, is_ascii_based
from sql.source import Reading
from tasks.configuration.configuration import Configuration
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import InputError
from tasks.store.layout import Store

PATIENCE = 60.0  # seconds for one example, on a machine that does other work too
MAPPED = ["user", "item", "time"]
SOURCE = {"columns": {"user": "user", "item": "item", "timestamp": "time"}, "attributes": {"more": "more"}}
T = "2026-03-01 10:00:00"
ROWS = 100  # examples between two looks at the clock

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
    """Return bytes after some accidents."""
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
    """Draw a CSV file, and how it is to be read: mostly as it was written."""
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
    found = draw(st.lists(ROW | OBJECT | JSON_VALUE, max_size=10))
    lines = [*map(json.dumps, found), *draw(st.lists(LETTERS, max_size=2))]
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


def _packed(draw: Any, name: str, data: bytes, reading: dict[str, Any]) -> tuple[str, bytes, dict[str, Any]]:
    if draw(st.integers(0, 3)):
        return name, data, reading
    return f"{name}.gz", changed(gzip.compress(data, mtime=0), draw(CHANGES)), reading


FILES = {"csv": csv_files(), "jsonl": json_files(), "parquet": parquet_files()}


class Fuzzer:
    """Lands files, and takes some of them in; counts what became of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, Counter[str]()
        self.engine = DuckDBEngine(folder / "engine", 2**28, 1)
        (folder / "landed").mkdir()

    def try_one(self, name: str, data: bytes, reading: dict[str, Any], whole: bool) -> None:
        """Land a file, or take it in as a source; anything but an error of ours goes up."""
        path = self.folder / name
        path.write_bytes(data)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        self.count["examples"] += 1
        if whole:
            self._take_in(path, reading)
        else:
            self._land(path, data, reading)
        faulthandler.cancel_dump_traceback_later()
        path.unlink()

    def _land(self, path: Path, data: bytes, reading: dict[str, Any]) -> None:
        try:
            landed = land_file(
                RawFile(1, path, path.name), Reading(**reading), MAPPED, self.folder / "landed"
            )
        except SourceError as error:
            require_one_line(path, str(error))
            self.count["refused"] += 1
            return
        self.count["landed"] += 1
        require_every_line(landed, path, data, reading)

    def _take_in(self, path: Path, reading: dict[str, Any]) -> None:
        store = Store(self.folder / "store").create()
        source = {**SOURCE, **reading, "path": str(path)}
        configuration = Configuration.model_validate({"source": source, "store": {"path": store.root}})
        try:
            done = ingest(configuration, store, self.engine, date(2026, 3, 2))
        except InputError as error:
            require_one_line(path, str(error))
            self.count["refused"] += 1
        else:
            self.count["taken in"] += 1
            assert done.counts.residual() == 0
            stored = sum(pq.read_metadata(part).num_rows for part in Ledger.read(store).parts())
            kept = sum(pq.read_metadata(part).num_rows for part in store.quarantine.rglob("*.parquet"))
            assert (stored, kept) == (done.counts.accepted, done.counts.quarantined)
        shutil.rmtree(store.root)


def require_one_line(path: Path, message: str) -> None:
    """Require that the message of a refusal names the file and is one line."""
    assert path.name in message
    assert len(message.splitlines()) == 1, message


def require_every_line(landed: LandedFile, path: Path, data: bytes, reading: dict[str, Any]) -> None:
    """Require that every line is in a row, a reject, the header or blank; in Parquet, every row."""
    rows = [] if landed.path is None else pq.read_table(landed.path).to_pylist()
    rejects = [] if landed.rejects is None else pq.read_table(landed.rejects).to_pylist()
    assert len(rows) == landed.rows
    assert Counter(row["rule"] for row in rejects) == landed.rejected
    numbers = [row["line"] for row in rows] + [row["line"] for row in rejects]
    assert len(set(numbers)) == len(numbers), "a line has two outcomes"
    if path.suffix == ".parquet":
        assert sorted(numbers) == list(range(1, pq.read_metadata(io.BytesIO(data)).num_rows + 1))
        return
    plain = gzip.decompress(data) if path.suffix == ".gz" else data
    encoding = reading.get("encoding", "utf-8")
    if not is_ascii_based(encoding):
        plain = plain.decode(encoding).encode()
    taken = set(numbers)
    if ".csv" in path.name:
        for row in rows:
            texts = [text for name, text in row.items() if name.startswith("c") and text]
            taken.update(range(row["line"], row["line"] + 1 + sum(text.count("\n") for text in texts)))
    left = [
        line
        for number, line in enumerate(plain.split(b"\n"), 1)
        if number not in taken
        and line.removeprefix(b"\xef\xbb\xbf").strip(b"\r" if ".csv" in path.name else b" \t\r")
    ]
    if ".csv" in path.name:
        left = left[1:]  # the header
    assert left == [], "lines without an outcome"


def main(form: str, seconds: float, folder: Path, start: int) -> None:
    """Fuzz one format until the time is up; print what became of the files."""
    fuzzer, until, turn = Fuzzer(folder), time.monotonic() + seconds, start

    @settings(
        max_examples=ROWS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(FILES[form], st.integers(0, 9).map(lambda number: number == 7))
    def fuzz(file: tuple[str, bytes, dict[str, Any]], whole: bool) -> None:
        fuzzer.try_one(*file, whole)

    while time.monotonic() < until:
        seed(turn)(fuzz)()
        turn += 1
    print(json.dumps(fuzzer.count))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))

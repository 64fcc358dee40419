"""Hostile input files, each with what has to become of it; docs/input.md lists them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

T = "2026-03-01 10:00:00"
AT = datetime.fromisoformat(T)
HEADER = "user,item,time\n"
COLUMNS = {"user": "user", "item": "item", "timestamp": "time"}
WEIGHED = {"columns": {**COLUMNS, "weight": "weight"}}
SOURCES: dict[str, dict[str, Any]] = {
    "plain": {},
    "int64": {"user_id_type": "int64", **WEIGHED},
    "epoch_s": {"timestamp_format": "epoch_s"},
    "epoch_ms": {"timestamp_format": "epoch_ms"},
    "London": {"time_zone": "Europe/London"},
    "latin-1": {"encoding": "latin-1"},
    "utf-16": {"encoding": "utf-16"},
}
"""What of [source] differs from a plain one, by the name that a case gives."""


@dataclass(frozen=True)
class Case:
    """One file: its content, and its outcome.

    `count` counts its raw rows with another tool than ours. `rules` are the rows that each rule decides
    about; the others are accepted, except `duplicates`. `refused` is in the message of a file that is
    refused as a whole. `kept` are values that the accepted rows must have, in order.
    """

    name: str
    file: str
    data: bytes
    count: Callable[[bytes], int]
    rules: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    source: str = "plain"
    refused: str = ""
    kept: tuple[Any, ...] = ()

    @property
    def quarantined(self) -> int:
        return sum(self.rules.values())

    @property
    def outcome(self) -> str:
        """What docs/input.md says of it."""
        if self.refused:
            return f"refused: {self.refused}"
        found = [f"{rule} {rows}" for rule, rows in self.rules.items()]
        found += [f"duplicates {self.duplicates}"] if self.duplicates else []
        accepted = self.count(self.data) - self.quarantined - self.duplicates
        return ", ".join([f"accepted {accepted}", *found])

    def write(self, folder: Path) -> Path:
        path = folder / self.file
        path.write_bytes(self.data)
        return path


def records(data: bytes, encoding: str = "utf-8-sig") -> int:
    """Count the rows of a CSV file as Python's csv module does."""
    with io.StringIO(data.decode(encoding), newline="") as text:
        return sum(1 for row in csv.reader(text) if row) - 1


def lines(data: bytes) -> int:
    """Count the lines after the header that are not blank: where quotes or bytes make no CSV."""
    return sum(1 for line in data.split(b"\n") if line.strip(b"\r")) - 1


def unzipped(data: bytes) -> int:
    return records(gzip.decompress(data))


def values(data: bytes) -> int:
    """Count the lines of JSON lines that are not blank."""
    return sum(1 for line in data.splitlines() if line.strip())


def parquet_rows(data: bytes) -> int:
    return int(pq.read_metadata(io.BytesIO(data)).num_rows)


def none(data: bytes) -> int:
    """Count nothing: the file is refused."""
    return 0


def text(*rows: str, header: str = HEADER) -> bytes:
    return (header + "".join(row + "\n" for row in rows)).encode()


def jsonl(*rows: Any) -> bytes:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


def one(user: Any, item: Any = "i", time: Any = T, **more: Any) -> dict[str, Any]:
    return {"user": user, "item": item, "time": time, **more}


def parquet(table: Mapping[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), out, **options)
    return out.getvalue()


def events(users: Any, **more: Any) -> dict[str, Any]:
    """Return the columns of a Parquet file with these users."""
    return {"user": users, "item": ["i"] * len(users), "time": [T] * len(users), **more}


def as_text(octets: list[bytes]) -> Any:
    """Return bytes as a column that calls itself text, whatever they are."""
    return pa.Array.from_buffers(
        pa.string(), len(octets), pa.array(octets, pa.binary()).buffers(), null_count=0
    )


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def in_london(local: str) -> datetime:
    """Return a local time in UTC, as Python understands it."""
    there = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/London"), fold=0)
    return there.astimezone(UTC).replace(tzinfo=None)


MANY = gz(text(*(f"gz{n},i,{T}" for n in range(500))))
CHECKED = parquet(events([f"pq{n}" for n in range(500)]), write_page_checksum=True, compression="none")
HOURS = tuple(
    f"2026-{day} 0{hour}:{at}:00" for day in ("03-29", "10-25") for hour in (0, 1, 2) for at in (15, 45)
)
NFC, NFD = "caf\u00e9", "cafe\u0301"
BIG = 2**53 + 1

CASES = [
    # lines and bytes
    Case("clean", "clean.csv", text(f"a1,i,{T}", f"a2,i,{T}"), records),
    Case("byte order mark", "bom.csv", b"\xef\xbb\xbf" + text(f"bom1,i,{T}"), records, kept=("bom1",)),
    Case("CRLF", "crlf.csv", text(f"crlf1,i,{T}", f"crlf2,i,{T}").replace(b"\n", b"\r\n"), records),
    Case("LF and CRLF mixed", "mixed.csv", text(f"mix1,i,{T}\r", f"mix2,i,{T}"), records),
    Case("no end of the last line", "noend.csv", text(f"noend1,i,{T}")[:-1], records),
    Case("blank lines", "blank.csv", text("", f"blank1,i,{T}", "\r", "", f"blank2,i,{T}", ""), records),
    Case(
        "half a line at the end",
        "half.csv",
        text(f"half1,i,{T}", "half2,i")[:-1],
        records,
        {"ragged_line": 1},
    ),
    Case(
        "last line cut in its time",
        "cut.csv",
        text(f"cut1,i,{T}", "cut2,i,2026-03-0")[:-1],
        records,
        {"timestamp_unreadable": 1},
    ),
    Case(
        "CR alone", "cr.csv", text(f"cr1,i,{T}").replace(b"\n", b"\r"), none, refused="lines end in CR alone"
    ),
    Case(
        "CR in the middle of a line",
        "midcr.csv",
        text(f"mid\rcr,i,{T}", f"midcr2,i,{T}"),
        lines,
        {"malformed_record": 1},
    ),
    Case("NUL byte", "nul.csv", text(f"nul\0,i,{T}", f"nul2,i,{T}"), lines, {"nul_byte": 1}, kept=("nul2",)),
    Case(
        "latin-1 where UTF-8 is expected",
        "latin.csv",
        text(f"lat2,i,{T}") + f"caf\u00e9,i,{T}\n".encode("latin-1"),
        lines,
        {"bad_encoding": 1},
    ),
    Case(
        "bytes that are never UTF-8",
        "invalid.csv",
        text(f"inv1,i,{T}") + b"\xff\xfe,i,x\n\xc0\x80,i,x\n",
        lines,
        {"bad_encoding": 2},
    ),
    Case(
        "surrogates written as UTF-8",
        "cesu.csv",
        text(f"cesu1,i,{T}") + b"\xed\xa0\xbd\xed\xb8\x80,i,x\n",
        lines,
        {"bad_encoding": 1},
    ),
    Case(
        "UTF-16 where UTF-8 is expected",
        "utf16.csv",
        text(f"u,i,{T}").decode().encode("utf-16"),
        none,
        refused="expected a header line, got nul_byte in line 1",
    ),
    Case(
        "latin-1, as configured",
        "islatin.csv",
        text(f"caf\u00e9,i,{T}").decode().encode("latin-1"),
        lambda data: records(data, "latin-1"),
        source="latin-1",
        kept=("caf\u00e9",),
    ),
    Case(
        "UTF-16, as configured",
        "isutf16.csv",
        text(f"\U0001f600,i,{T}").decode().encode("utf-16"),
        lambda data: records(data, "utf-16"),
        source="utf-16",
        kept=("\U0001f600",),
    ),
    Case(
        "UTF-16 cut in a character",
        "half16.csv",
        text(f"u,i,{T}").decode().encode("utf-16") + b"\0",
        none,
        source="utf-16",
        refused="cannot be read as utf-16 text",
    ),
    Case(
        "line of more than 1 MiB",
        "long.csv",
        text(f"{'x' * (1 << 20)},i,{T}", f"long2,i,{T}"),
        lines,
        {"line_too_long": 1},
        kept=("long2",),
    ),
    Case(
        "line separators of Unicode",
        "u2028.csv",
        text(f"a\u2028b\u0085c\x0c,i,{T}"),
        lambda data: data.count(b"\n") - 1,
        kept=("a\u2028b\u0085c\x0c",),
    ),
    Case("empty file", "empty.csv", b"", none, refused="the file is empty (0 bytes)"),
    Case(
        "blank lines alone",
        "blanks.csv",
        b"\n\r\n\n",
        none,
        refused="expected a header line, got blank lines",
    ),
    Case(
        "an archive named .csv",
        "zip.csv",
        b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(256)),
        none,
        refused="expected a header line, got nul_byte",
    ),
    # gzip
    Case("gz", "whole.csv.gz", gz(text(f"gz-1,i,{T}")), unzipped),
    Case(
        "gz in two members",
        "two.csv.gz",
        gz(text(f"two1,i,{T}")) + gz(f"two2,i,{T}\n".encode()),
        unzipped,
        kept=("two1", "two2"),
    ),
    Case(
        "gz cut in the middle",
        "cutgz.csv.gz",
        MANY[: len(MANY) // 2],
        none,
        refused="the .gz is truncated or corrupt",
    ),
    Case(
        "gz cut in its last byte", "cutend.csv.gz", MANY[:-1], none, refused="the .gz is truncated or corrupt"
    ),
    Case(
        "gz with a wrong CRC",
        "crc.csv.gz",
        flipped(MANY, len(MANY) - 6),
        none,
        refused="the .gz is truncated or corrupt",
    ),
    Case(
        "gz with a flipped bit",
        "bit.csv.gz",
        flipped(MANY, len(MANY) // 2),
        none,
        refused="the .gz is truncated or corrupt",
    ),
    Case(
        "gz with more behind its end",
        "tail.csv.gz",
        MANY + b"u,i,x\n",
        none,
        refused="the .gz is truncated or corrupt",
    ),
    Case(
        "gz named .csv",
        "isgz.csv",
        MANY,
        none,
        refused="is compressed by gzip; expected a name that ends in .gz",
    ),
    Case("text named .gz", "notgz.csv.gz", text(f"u,i,{T}"), none, refused="the .gz is truncated or corrupt"),
    Case(
        "gz after valid lines",
        "blob.csv",
        text(f"blob1,i,{T}") + gz(b"x").replace(b"\n", b"") + b"\n",
        lines,
        {"nul_byte": 1},
    ),
    # quotes, columns
    Case(
        "quoted line ends",
        "nl.csv",
        text(f'"a\nb\r\nc",i,{T}', f"nl2,i,{T}"),
        records,
        kept=("a\nb\r\nc", "nl2"),
    ),
    Case(
        "quoted delimiters and quotes", "quoted.csv", text(f'"a, ""b""",i,"{T}"'), records, kept=('a, "b"',)
    ),
    Case(
        "quote that never closes",
        "open.csv",
        text(f'"open1,i,{T}', f"open2,i,{T}", f"open3,i,{T}"),
        lines,
        {"malformed_record": 1},
    ),
    Case(
        "quote open at the end",
        "openend.csv",
        text(f"oe1,i,{T}", f'oe2,i,"{T}')[:-1],
        lines,
        {"malformed_record": 1},
    ),
    Case(
        "text after a closing quote",
        "after.csv",
        text(f'"after"1,i,{T}', f"after2,i,{T}"),
        lines,
        {"malformed_record": 1},
    ),
    Case(
        "every line opens a quote",
        "each.csv",
        text(*(f'each{n}",x,"{T}' for n in range(50))),
        lines,
        {"malformed_record": 50},
    ),
    Case(
        "ragged rows",
        "ragged.csv",
        text("rag1,i", f"rag2,i,{T}", f"rag3,i,{T},x"),
        records,
        {"ragged_line": 2},
        kept=("rag2",),
    ),
    Case(
        "columns in another order",
        "order.csv",
        text(f"{T},i,ord1", header="time,item,user\n"),
        records,
        kept=("ord1",),
    ),
    Case("a further column", "more.csv", text(f"more1,i,{T},x", header="user,item,time,more\n"), records),
    Case("spaces around names", "names.csv", text(f"names1,i,{T}", header=" user , item,time \n"), records),
    Case(
        "column named twice",
        "twice.csv",
        text(f"u,i,{T},v", header="user,item,time,user\n"),
        none,
        refused="column 'user' is there 2 times; expected once",
    ),
    Case(
        "column missing",
        "lacks.csv",
        text("u,i", header="user,item\n"),
        none,
        refused="expected column 'time'; known: user, item",
    ),
    Case(
        "another delimiter",
        "semi.csv",
        text("u;i;t", header="user;item;time\n"),
        none,
        refused="expected column 'user'; known: user;item;time",
    ),
    Case("header alone", "header.csv", text(), records),
    Case(
        "header again among rows",
        "again.csv",
        text(f"again1,i,{T}", "user,item,time"),
        records,
        {"timestamp_unreadable": 1},
    ),
    # ids
    Case(
        "ids missing or of spaces",
        "missing.csv",
        text(f",i,{T}", f"   ,i,{T}", f"miss3,,{T}", "miss4,i,"),
        records,
        {"user_missing": 2, "item_missing": 1, "timestamp_missing": 1},
    ),
    Case(
        "007 and 7 are two text ids",
        "zeros.csv",
        text(f"007,z,{T}", f"7,z,{T}", f"7.0,z,{T}"),
        records,
        kept=("007", "7", "7.0"),
    ),
    Case(
        "whole numbers as int64",
        "whole.csv",
        text(
            f"007,i,{T},1",
            f"{BIG},i,{T},1",
            f"{BIG - 1},i,{T},1",
            f"{2**63 - 1},i,{T},1",
            f"{-(2**63)},i,{T},1",
            f"17850.0,i,{T},1",
            header="user,item,time,weight\n",
        ),
        records,
        source="int64",
        kept=(7, BIG, BIG - 1, 2**63 - 1, -(2**63), 17850),
    ),
    Case(
        "no whole numbers as int64",
        "nowhole.csv",
        text(
            *(
                f"{user},i,{T},1"
                for user in (2**63, -(2**63) - 1, "7.5", "1e3", "u8", " 8", "0x8", "\u0668", "1_0", "+9")
            ),
            header="user,item,time,weight\n",
        ),
        records,
        {"user_unreadable": 10},
        source="int64",
    ),
    Case("exact repeats", "repeat.csv", text(*[f"rep1,i,{T}"] * 3, f"rep2,i,{T}"), records, duplicates=2),
    Case("both normal forms", "forms.csv", text(f"{NFC},i,{T}", f"{NFD},i,{T}"), records, kept=(NFC, NFD)),
    Case(
        "emoji and planes beyond the first",
        "emoji.csv",
        text(f"\U0001f468\u200d\U0001f469\u200d\U0001f467,i,{T}", f"\U00020000,i,{T}"),
        records,
    ),
    Case(
        "zero-width and bidi characters",
        "bidi.csv",
        text(*(f"z{mark}w,i,{T}" for mark in ("", "\u200b", "\u202e", "\ufeff"))),
        records,
        kept=("zw", "z\u200bw", "z\u202ew", "z\ufeffw"),
    ),
    Case(
        "spaces around ids",
        "spaces.csv",
        text(f" sp,i,{T}", f"sp ,i,{T}", f"\tsp,i,{T}"),
        records,
        kept=(" sp", "sp ", "\tsp"),
    ),
    Case(
        "formulas and SQL as ids",
        "formula.csv",
        text(f"=1+1,i,{T}", f"'; DROP TABLE x; --,i,{T}"),
        records,
        kept=("=1+1", "'; DROP TABLE x; --"),
    ),
    # times
    Case(
        "seconds where ISO is expected",
        "sec.csv",
        text("sec1,i,1772359200"),
        records,
        {"timestamp_unreadable": 1},
    ),
    Case(
        "times that are none",
        "notime.csv",
        text(
            *(
                f"nt{n},i,{time}"
                for n, time in enumerate(
                    ("2026-02-30", "2026-03-01 24:00:00", "yesterday", f" {T}", f"{T} EST", "01/03/2026")
                )
            )
        ),
        records,
        {"timestamp_unreadable": 6},
    ),
    Case(
        "offsets",
        "offset.csv",
        text(
            "off1,i,2026-03-01T12:00:00+02:00",
            "off2,i,2026-03-01T10:00:00Z",
            "off3,i,2026-03-01 04:30:00-05:30",
        ),
        records,
    ),
    Case(
        "1970 and 2200",
        "range.csv",
        text("rng1,i,1970-01-01", "rng2,i,2200-01-01", "rng3,i,1989-12-31", "rng4,i,1990-01-01"),
        records,
        {"timestamp_out_of_range": 3},
        kept=("rng4",),
    ),
    Case(
        "10 digits as seconds",
        "ten.csv",
        text(
            "ten1,i,1772359200",
            "ten2,i,1772359200.5",
            "ten3,i,0",
            "ten4,i,-1",
            "ten5,i,7258118400",
            "ten6,i,nan",
            f"ten7,i,{T}",
        ),
        records,
        {"timestamp_out_of_range": 4, "timestamp_unreadable": 1},
        source="epoch_s",
    ),
    Case(
        "13 digits as seconds",
        "thirteen.csv",
        text("thr1,i,1772359200000"),
        records,
        {"timestamp_out_of_range": 1},
        source="epoch_s",
    ),
    Case("13 digits as milliseconds", "ms.csv", text("ms1,i,1772359200000"), records, source="epoch_ms"),
    Case(
        "10 digits as milliseconds",
        "tenms.csv",
        text("tms1,i,1772359200"),
        records,
        {"timestamp_out_of_range": 1},
        source="epoch_ms",
    ),
    Case(
        "hours skipped and repeated",
        "hours.csv",
        text(*(f"h{n},i,{hour}" for n, hour in enumerate(HOURS))),
        records,
        source="London",
    ),
    # numbers
    Case(
        "weights that are none",
        "weight.csv",
        text(
            *(
                f"{n},i,{T},{w}"
                for n, w in enumerate(("-1", "inf", "-inf", "nan", "1e400", "x", "", "0", "2.5"), 100)
            ),
            header="user,item,time,weight\n",
        ),
        records,
        {"weight_negative": 1, "weight_not_finite": 4, "weight_unreadable": 1},
        source="int64",
    ),
    # JSON lines
    Case(
        "nested values and arrays",
        "nested.jsonl",
        jsonl(one("js1", tags=["a", {"b": [1]}]), one({"id": 1})),
        values,
        kept=("js1", '{"id": "1"}'),
    ),
    Case(
        "keys missing",
        "keys.jsonl",
        jsonl(one("key1"), {"item": "i", "time": T}, one(None), one("")),
        values,
        {"user_missing": 3},
    ),
    Case(
        "key that no line has",
        "nokey.jsonl",
        jsonl({"user": "u", "item": "i", "zeit": T}),
        none,
        refused="expected key 'time', which no row has",
    ),
    Case(
        "lines that are no objects",
        "broken.jsonl",
        jsonl(one("bro1"), '{"user": "x"', "[1, 2]", "7", "null", "{}}", "'x'"),
        values,
        {"malformed_json": 6},
    ),
    Case(
        "one array of all",
        "array.json",
        b"[" + jsonl(one("u")).strip() + b"]\n",
        values,
        {"malformed_json": 1},
    ),
    Case(
        "nested 100,000 deep",
        "deep.jsonl",
        jsonl(one("deep1"), '{"user": ' + "[" * 100_000 + "]" * 100_000 + "}", "[" * 100_000),
        values,
        {"malformed_json": 2},
    ),
    Case(
        "half a surrogate pair",
        "half.jsonl",
        jsonl(one("hs1"), '{"user": "\\ud83d", "item": "i", "time": "x"}'),
        values,
        {"bad_encoding": 1},
    ),
    Case("NUL as an escape", "nul.jsonl", jsonl(one("jn1"), one("a\0b")), values, {"nul_byte": 1}),
    Case(
        "key named twice",
        "dup.jsonl",
        jsonl(f'{{"user": "dup1", "user": "dup2", "item": "i", "time": "{T}"}}'),
        values,
        kept=("dup2",),
    ),
    Case(
        "numbers beyond doubles",
        "numbers.jsonl",
        jsonl(
            f'{{"user": {BIG}, "item": 1e400, "time": "{T}"}}', f'{{"user": NaN, "item": 007, "time": "{T}"}}'
        ),
        values,
        {"malformed_json": 1},
        kept=(str(BIG),),
    ),
    Case(
        "mixed types under one key",
        "types.jsonl",
        jsonl(*(one(user, "m") for user in (7, "7", 7.0, True, [7]))),
        values,
        duplicates=1,
        kept=("7", "7.0", "true", '["7"]'),
    ),
    Case(
        "JSON with a mark and CRLF",
        "bom.jsonl",
        b"\xef\xbb\xbf" + jsonl(one("jb1"), "", one("jb2")).replace(b"\n", b"\r\n"),
        lambda data: data.count(b"{"),
        kept=("jb1", "jb2"),
    ),
    Case(
        "JSON cut in the middle",
        "cut.jsonl",
        jsonl(one("jc1"), one("jc2"))[:-9],
        values,
        {"malformed_json": 1},
    ),
    # Parquet
    Case("ids as int64", "ints.parquet", parquet(events([BIG, 7])), parquet_rows, kept=(str(BIG), "7")),
    Case(
        "ids as text",
        "texts.parquet",
        parquet(events(["t007", "\U0001f600t"])),
        parquet_rows,
        kept=("t007", "\U0001f600t"),
    ),
    Case(
        "ids as doubles",
        "doubles.parquet",
        parquet(events([17850.0, 17850.5, None])),
        parquet_rows,
        {"user_missing": 1},
        kept=("17850", "17850.5"),
    ),
    Case("ids as bytes", "bytes.parquet", parquet(events([b"\x00\xff"])), parquet_rows, kept=("00ff",)),
    Case(
        "times with a zone",
        "zone.parquet",
        parquet(events(["pz"]) | {"time": pa.array([AT], pa.timestamp("ns", "America/New_York"))}),
        parquet_rows,
        kept=("pz",),
    ),
    Case(
        "times as dates",
        "dates.parquet",
        parquet(events(["pd"]) | {"time": [date(2026, 3, 1)]}),
        parquet_rows,
        kept=("pd",),
    ),
    Case(
        "nested columns",
        "nested.parquet",
        parquet(events(["pn"], tags=[[{"a": [1]}]])),
        parquet_rows,
        kept=("pn",),
    ),
    Case(
        "Parquet text that is not UTF-8",
        "utf8.parquet",
        parquet(events(as_text([b"pu1", b"\xff"]))),
        parquet_rows,
        {"bad_encoding": 1},
        kept=("pu1",),
    ),
    Case(
        "Parquet text with NUL",
        "nul.parquet",
        parquet(events(["pnul", "a\0b"])),
        parquet_rows,
        {"nul_byte": 1},
        kept=("pnul",),
    ),
    Case(
        "value of more than 1 MiB",
        "long.parquet",
        parquet(events(["pl", "x" * ((1 << 20) + 1)])),
        parquet_rows,
        {"line_too_long": 1},
        kept=("pl",),
    ),
    Case(
        "Parquet without rows",
        "norows.parquet",
        parquet(pa.table({name: pa.array([], pa.string()) for name in ("user", "item", "time")})),
        parquet_rows,
    ),
    Case(
        "Parquet cut in the middle",
        "cut.parquet",
        CHECKED[: len(CHECKED) // 2],
        none,
        refused="not a readable Parquet file",
    ),
    Case(
        "Parquet without its last bytes",
        "tail.parquet",
        CHECKED[:-5],
        none,
        refused="not a readable Parquet file",
    ),
    Case(
        "Parquet with a flipped bit",
        "bit.parquet",
        flipped(CHECKED, 1500),
        none,
        refused="not a readable Parquet file",
    ),
    Case(
        "Parquet with a flipped bit in its footer",
        "foot.parquet",
        flipped(CHECKED, len(CHECKED) - 8),
        none,
        refused="not a readable Parquet file",
    ),
    Case(
        "Parquet column named twice",
        "twice.parquet",
        parquet(pa.table([["u"], ["i"], ["t"], ["v"]], names=["user", "item", "time", "user"])),
        none,
        refused="column 'user' is there 2 times; expected once",
    ),
    Case(
        "text named .parquet", "text.parquet", text(f"u,i,{T}"), none, refused="not a readable Parquet file"
    ),
    Case("another format", "log.xlsx", b"PK", none, refused="expected .csv, .jsonl or .parquet"),
]

QUICK = {"bom.csv", "nul.csv", "nl.csv", "order.csv", "zeros.csv", "emoji.csv", "range.csv", "offset.csv"}
QUICK |= {"nested.jsonl", "ints.parquet", "utf8.parquet", "bit.csv.gz", "bit.parquet"}
"""Files of the cases that Spark takes in whenever tests are run: it takes a second for each."""

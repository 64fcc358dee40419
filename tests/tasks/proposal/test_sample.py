"""The beginnings of files: bounded, decompressed, cut between records."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.proposal.sample import HEAD, MOST_LINES, TAIL, cut, format_of, head_of
from tasks.runtime.errors import InputError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_the_encoding_is_one_in_which_the_bytes_are_text(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes("user,item\nJosé,Café\n".encode(encoding))
    head = head_of(path, "log.csv")
    assert head.text == "user,item\nJosé,Café\n"
    assert head.encoding == encoding.replace("-sig", "")


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.csv", b"user,item\n", "csv"),
        ("a.log", b'{"user": 1}\n', "jsonl"),
        ("a.txt", b'[{"user": 1}]', "jsonl"),
        ("a.json", b' [\n{"user": 1}]', "jsonl"),
        ("a.dat", b"1::2::3\n", "csv"),
        ("part-0", b"PAR1....", "parquet"),
    ],
)
def test_the_format_is_told_by_the_content(tmp_path: Path, name: str, content: bytes, form: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert format_of(path, name) == form


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_a_large_file_is_cut_between_lines_and_its_end_is_added_unless_it_is_compressed(
    tmp_path: Path, ending: str
) -> None:
    path, text = (
        tmp_path / f"log{ending}",
        "user,item\n" + "".join(f"u{n},{'i' * 300}\n" for n in range(9000)),
    )
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith(".gz") else text.encode())
    beginning = cut(path, path.name, "csv", "utf-8", tmp_path / "cut")
    kept = beginning.read_text().splitlines(keepends=True)
    assert beginning.name == "log.csv"
    lines = text.splitlines(keepends=True)
    gap = (
        next(number for number, line in enumerate(kept) if line != lines[number])
        if ending == ".csv"
        else len(kept)
    )
    assert kept[:gap] == lines[:gap]
    assert 1 < gap <= MOST_LINES
    assert kept[gap:] == lines[len(lines) - len(kept) + gap :]
    assert (len(kept) > gap) == (ending == ".csv")
    assert sum(map(len, kept)) <= HEAD + TAIL


def test_a_small_file_is_kept_to_the_byte_even_where_it_is_no_text(tmp_path: Path) -> None:
    path, data = tmp_path / "log.csv", b"user,item\nJos\xe9,\xff\xfe\r\nlast without an end"
    path.write_bytes(data)
    assert cut(path, "log.csv", "csv", "utf-8", tmp_path / "cut").read_bytes() == data


def test_a_quoted_record_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,text\n" + "".join(f'u{n},"a\nb\nc"\n' for n in range(2000)))
    kept = cut(path, "log.csv", "csv", "utf-8", tmp_path / "cut").read_text()
    assert kept.endswith('c"\n')


def test_no_line_is_kept_twice(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    lines = ["user,item", *(f"u{n},i" for n in range(MOST_LINES + 5))]
    path.write_text("\n".join(lines))
    kept = cut(path, "log.csv", "csv", "utf-8", tmp_path / "cut").read_text()
    assert kept == "\n".join(lines)


def test_an_array_is_cut_between_its_records_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps([{"user": f"u{n}", "note": "x" * 500} for n in range(5000)], indent=1))
    kept = json.loads(cut(path, "log.json", "jsonl", "utf-8", tmp_path / "cut").read_text())
    assert kept[0]["user"] == "u0"
    assert 1 < len(kept) < 5000


def test_the_first_rows_of_parquet_keep_their_types(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    times = pa.array(range(5000), pa.timestamp("ns"))
    table = pa.table({"time": times, "id": pa.array([b"x"] * 5000)})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    kept = pq.ParquetFile(cut(path, "log.parquet", "parquet", "utf-8", tmp_path / "cut"))
    assert kept.metadata.num_rows == MOST_LINES
    assert kept.schema.column(0).physical_type == "INT96"
    assert kept.schema_arrow.field("id").type == pa.binary()


def test_damaged_files_are_one_message(tmp_path: Path) -> None:
    gz, parquet = tmp_path / "log.csv.gz", tmp_path / "log.parquet"
    gz.write_bytes(b"no gzip")
    parquet.write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"log\.csv\.gz"):
        head_of(gz, "log.csv.gz")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        cut(parquet, "log.parquet", "parquet", "utf-8", tmp_path / "cut")

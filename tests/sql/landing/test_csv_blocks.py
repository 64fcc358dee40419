"""CSV to rows of text: exact line numbers for any content, and equal rows for any block size."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.errors import SourceError
from sql.landing import csv_blocks
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted
from sql.reading import Reading

PIECES = ["a", "b", ",", ";", '"', "\n", "\r\n", "\t", "é", "漢", " ", "0", "."]
FIELDS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(FIELDS, min_size=width, max_size=width), max_size=30)
)


def land(folder: Path, data: bytes, name: str = "log.csv", mapped=(), **reading):
    """Return the rows (line, values) and rejects (line, rule, raw) of a file containing `data`."""
    path = folder / name
    path.write_bytes(data)
    target = folder / "landed"
    target.mkdir(exist_ok=True)
    landed = land_file(RawFile(1, path, name), Reading(**reading), Wanted(tuple(mapped)), target)
    rows, rejects = [], []
    if landed.path is not None:
        table = pq.read_table(landed.path).drop_columns(["file_id"]).to_pylist()
        rows = sorted((row.pop("line"), tuple(row.values())) for row in table)
        landed.path.unlink()
    if landed.rejects is not None:
        rejects = sorted(
            (row["line"], row["rule"], row["raw"]) for row in pq.read_table(landed.rejects).to_pylist()
        )
        landed.rejects.unlink()
    assert landed.rows == len(rows)
    assert sum(landed.rejected.values()) == len(rejects)
    return rows, rejects


@pytest.fixture
def rows_of(tmp_path):
    return lambda data, **options: land(tmp_path, data, **options)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("csv")


def as_csv(table: list[list[str]], **form) -> tuple[bytes, list[tuple[int, tuple[str | None, ...]]]]:
    """Return a table as CSV, and its rows with their first lines, according to csv.writer."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, **form)
    expected = []
    for row in table:
        line = 1 + out.getvalue().count("\n")
        writer.writerow(row)
        expected.append((line, tuple(value or None for value in row)))
    return out.getvalue().encode(), expected


@settings(max_examples=150)
@given(
    TABLES,
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([40, 200, 1 << 23]),
)
def test_every_table_is_read_back_with_its_lines(scratch, table, quoting, newline, block):
    header = [f"column {index}" for index in range(len(table[0]) if table else 2)]
    data, expected = as_csv([header, *table], quoting=quoting, lineterminator=newline)
    old = csv_blocks.BLOCK, csv_blocks.MORE
    csv_blocks.BLOCK, csv_blocks.MORE = block, 16
    try:
        rows, rejects = land(scratch, data)
    finally:
        csv_blocks.BLOCK, csv_blocks.MORE = old
    assert rejects == []
    assert rows == expected[1:]


def test_a_file_of_multiline_records_is_read_in_several_blocks(monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK", 1000)
    monkeypatch.setattr(csv_blocks, "MORE", 100)
    data = b'"a\nb",1\n' * 2000
    form = csv_blocks.CsvForm(2, ",", "utf-8")
    blocks = list(csv_blocks.csv_blocks(io.BytesIO(data), 1, form))
    assert sum(len(block.lines) for block in blocks) == 2000
    assert max(len(block.lines) for block in blocks) < 250


def test_a_record_that_does_not_end_is_given_up(rows_of):
    unclosed = b'a,b\n"' + b"x\n" * (1 << 20) + b'",1\n2,3\n'
    with pytest.raises(SourceError, match="lines are not rows, most by rule ragged_line"):
        rows_of(unclosed)
    rows, rejects = rows_of(b'a,b\n"' + (b"x" * 2000 + b"\n") * 600 + b'",1\n2,3\n')
    assert rows == [(603, ("2", "3"))]
    assert rejects[0][:2] == (2, "malformed_record")
    assert len(rejects) == 601


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(), st.sampled_from(["x", "", "ü", "a b"])), min_size=1, max_size=50))
def test_clean_files_agree_with_the_reader_of_duckdb(scratch, table):
    data = "".join(["number,text\n", *(f"{number},{text}\n" for number, text in table)]).encode()
    rows, rejects = land(scratch, data)
    query = f"SELECT * FROM read_csv('{scratch}/log.csv', all_varchar = true, header = true, delim = ',')"
    assert [values for _, values in rows] == duckdb.sql(query).fetchall()
    assert [line for line, _ in rows] == list(range(2, len(table) + 2))
    assert rejects == []


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(
            ["1,2", "1", "1,2,3", "", '"', '"a\n', 'x"y,2', '"a,b', '"c",d', "\0,1", "a\rb,c", "é,1"]
        ),
        max_size=12,
    )
)
def test_every_line_is_a_row_part_of_a_row_a_reject_or_blank(scratch, lines):
    data = ("a,b\n" + "".join(line + "\n" for line in lines)).encode()
    rows, rejects = land(scratch, data)
    numbers = [line for line, _ in rows] + [line for line, _, _ in rejects]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(range(2, data.count(b"\n") + 1))
    plain = {2 + at for at, line in enumerate(data.decode().split("\n")[1:-1]) if line == "1,2"}
    inside = sum(values[0].count("\n") + (values[1] or "").count("\n") for _, values in rows if values[0])
    assert len(plain - set(numbers)) <= inside  # a clean line is only lost inside a quoted field


def test_ragged_lines_are_rejected_with_their_text(rows_of):
    rows, rejects = rows_of(b"a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert rows == [(2, ("1", "2")), (5, ("7", "8"))]
    assert rejects == [(3, "ragged_line", "3"), (4, "ragged_line", "4,5,6")]


def test_a_file_with_only_ragged_lines_has_no_rows(rows_of):
    assert rows_of(b"a,b\n1\n2\n") == ([], [(2, "ragged_line", "1"), (3, "ragged_line", "2")])


def test_an_unclosed_quote_costs_one_row(rows_of):
    rows, rejects = rows_of(b'a,b\n1,2\n"3,4\n5,6\n7,8\n')
    assert rows == [(2, ("1", "2")), (4, ("5", "6")), (5, ("7", "8"))]
    assert rejects == [(3, "malformed_record", '"3,4')]


def test_two_stray_quotes_cost_two_rows_but_not_the_rows_between(rows_of):
    rows, rejects = rows_of(b'a,b\n"1,2\n3,4\n5,6\n"7,8\n9,0\n')
    assert rows == [(3, ("3", "4")), (4, ("5", "6")), (6, ("9", "0"))]
    assert rejects == [(2, "malformed_record", '"1,2'), (5, "malformed_record", '"7,8')]


def test_many_unclosed_quotes_cost_a_row_each(rows_of):
    data = b"a,b\n" + b"".join(b'"x,%d\n"y",%d\n' % (n, n) for n in range(200))
    rows, rejects = rows_of(data)
    assert len(rows) + len(rejects) == 400
    assert {rule for _, rule, _ in rejects} == {"malformed_record"}


@pytest.mark.parametrize(
    ("line", "rule", "raw"),
    [
        (b"1,\x002", "nul_byte", "1,\x002"),
        (b"1,\xff2", "bad_encoding", "1,\\xff2"),
        (b"1,a\rb", "malformed_record", "1,a\rb"),
        (b'1,"a"b', "malformed_record", '1,"a"b'),
    ],
)
def test_a_bad_line_is_rejected_by_its_rule_without_costing_other_lines(rows_of, line, rule, raw):
    rows, rejects = rows_of(b"a,b\n1,\xc3\xa9\n" + line + b"\n3,4\n")
    assert rows == [(2, ("1", "é")), (4, ("3", "4"))]
    assert rejects == [(3, rule, raw)]


def test_a_bad_line_inside_a_quoted_field_ends_the_record(rows_of):
    rows, rejects = rows_of(b'a,b\n"1,2\n\x00\n3,4\n5,"6"\n')
    assert rows == [(4, ("3", "4")), (5, ("5", "6"))]
    assert [(line, rule) for line, rule, _ in rejects] == [(2, "malformed_record"), (3, "nul_byte")]


@pytest.mark.parametrize("length", [(1 << 20) + 10, 9 << 20, 20 << 20])
def test_an_overlong_line_is_rejected_with_its_start_only(rows_of, length):
    rows, rejects = rows_of(b"a,b\n1,2\n" + b"x" * length + b"\n3,4\n")
    assert rows == [(2, ("1", "2")), (4, ("3", "4"))]
    [(line, rule, raw)] = rejects
    assert (line, rule) == (3, "line_too_long")
    assert set(raw) == {"x"}
    assert len(raw) == 2000


def test_blank_lines_are_not_rows_but_count_as_lines(rows_of):
    assert rows_of(b"\n\na,b\n\n1,2\n\n\n3,4\n\n") == ([(5, ("1", "2")), (8, ("3", "4"))], [])


def test_a_byte_order_mark_is_not_part_of_the_first_column(rows_of):
    assert rows_of(b"\xef\xbb\xbfa,b\n1,2\n", mapped=["a"]) == ([(2, ("1", "2"))], [])


def test_the_last_line_needs_no_line_end(rows_of):
    assert rows_of(b"a,b\n1,2") == ([(2, ("1", "2"))], [])


@pytest.mark.parametrize("data", [b"a,b\n", b"a,b", b"a,b\r\n"])
def test_a_file_with_only_a_header_has_no_rows(rows_of, data):
    assert rows_of(data) == ([], [])


def test_line_ends_can_be_mixed(rows_of):
    assert rows_of(b"a,b\r\n1,2\n3,4\r\n") == ([(2, ("1", "2")), (3, ("3", "4"))], [])


def test_quotes_are_plain_text_with_a_delimiter_of_several_characters(rows_of):
    rows, rejects = rows_of(b'a::b\n1::"x\n2::y:z\n3\n4::\x1f\n', delimiter="::")
    assert rows == [(2, ("1", '"x')), (3, ("2", "y:z"))]
    assert [(line, rule) for line, rule, _ in rejects] == [(4, "ragged_line"), (5, "nul_byte")]


def test_a_delimiter_of_several_bytes_is_a_single_character(rows_of):
    rows, rejects = rows_of('a¦b\n1¦"x¦\ny"\n2¦3\n4¦5¦6\n'.encode(), delimiter="¦")
    assert rows == [(2, ("1", "x¦\ny")), (4, ("2", "3"))]
    assert rejects == [(5, "ragged_line", "4¦5¦6")]


ENCODINGS = ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "utf-7", "gb18030", "cp037"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_other_encodings_than_utf8_are_read(rows_of, encoding):
    rows, rejects = rows_of('a,b\n1,é\n2,"ü\n"\n'.encode(encoding), encoding=encoding)
    assert rows == [(2, ("1", "é")), (3, ("2", "ü\n"))]
    assert rejects == []


def test_a_line_that_is_invalid_in_the_encoding_is_rejected(rows_of):
    rows, rejects = rows_of(b"a,b\n1,\x81\n2,3\n", encoding="cp1252")
    assert rows == [(3, ("2", "3"))]
    assert rejects == [(2, "bad_encoding", "1,\\x81")]


def test_without_a_header_the_columns_are_the_configured_ones(rows_of):
    assert rows_of(b"1,2\n", header=False, column_names=["a", "b"], mapped=["b"]) == ([(1, ("1", "2"))], [])


def test_a_file_is_decompressed_by_its_suffix(rows_of):
    assert rows_of(gzip.compress(b"a,b\n1,2\n"), name="log.csv.gz") == ([(2, ("1", "2"))], [])


def test_a_file_of_blank_lines_has_no_rows(rows_of):
    assert rows_of(b"\n\r\n \n") == ([], [])


def corrupt(data: bytes) -> bytes:
    return data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("log.csv", b"", r"log\.csv: the file is empty \(0 bytes\); expected rows"),
        ("log.csv", b"\n" * (1 << 20) + b"\n\n", "expected a header line, got 1 MiB of blank lines"),
        ("log.csv", b"a,\0b\n", "expected a header line, got nul_byte in line 1"),
        ("log.csv", b'a,"b\n', "expected a header line, got"),
        ("log.csv", b"user,time\n", "expected column 'item'; known: user, time"),
        ("log.csv", b"item,user,item\n", "expected column 'item' once, got it 2 times"),
        ("log.csv.gz", gzip.compress(b"item\n" * 999, mtime=0)[:-20], r"the \.gz is truncated or corrupt"),
        ("log.csv.gz", corrupt(gzip.compress(b"item\n" * 999, mtime=0)), r"the \.gz is truncated or corrupt"),
        ("log.csv.gz", b"item\n1\n", r"the \.gz is truncated or corrupt"),
        ("log.xyz", b"item\n1\n", r"log\.xyz: expected \.csv, \.tsv, .*\(text also .*\), or "),
    ],
)
def test_the_error_says_why_a_file_cannot_be_read(rows_of, name, data, message):
    with pytest.raises(SourceError, match=message):
        rows_of(data, name=name, mapped=["item"])


def test_the_error_says_that_a_file_is_missing(tmp_path):
    with pytest.raises(SourceError, match=r"x\.csv: cannot be read: No such file"):
        land_file(RawFile(1, tmp_path / "x.csv", "x.csv"), Reading(), Wanted(("a",)), tmp_path)


def test_the_error_says_that_text_is_not_utf16(rows_of):
    with pytest.raises(SourceError, match="cannot be read as utf-16"):
        rows_of("a,b\n1,2\n".encode("utf-16") + b"\x00", encoding="utf-16")

"""CSV files of other programs: their delimiters, preambles, quotes, widths and filled values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sql.errors import SourceError
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted
from sql.landing.row_writer import LandedFile
from sql.reading import Reading

WANTED = Wanted(("user", "item", "time"), scalars=frozenset({"user", "item", "time"}), times=("time",))
DAY = "2026-01-05"


@pytest.fixture
def land(tmp_path: Path) -> Any:
    """Return what lands text: its rows as (line, values...) and its rejects as (line, rule)."""

    def landed(text: str, name: str = "log.csv", **reading: Any) -> tuple[list[Any], list[Any]]:
        (tmp_path / name).write_bytes(text.encode())
        wanted, partitions = reading.pop("wanted", WANTED), reading.pop("partitions", {})
        raw = RawFile(1, tmp_path / name, name, partitions)
        return rows_of(land_file(raw, Reading(**reading), wanted, tmp_path))

    return landed


def rows_of(file: LandedFile) -> tuple[list[Any], list[Any]]:
    rows, rejects = [], []
    if file.path is not None:
        table = pq.read_table(file.path).drop_columns(["file_id"])
        rows = sorted(tuple(row.values()) for row in table.to_pylist())
    if file.rejects is not None:
        rejects = sorted((row["line"], row["rule"]) for row in pq.read_table(file.rejects).to_pylist())
    return rows, rejects


def test_tsv_means_tabs_unless_configured(land: Any) -> None:
    assert land(f"user\titem\ttime\nu,1\ti\t{DAY}\n", "a.TSV") == ([(2, "u,1", "i", DAY)], [])
    assert land(f"user,item,time\nu,i,{DAY}\n", "b.tsv", delimiter=",") == ([(2, "u", "i", DAY)], [])


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_excels_line_with_the_delimiter_is_not_the_header(land: Any, start: str, line_end: str) -> None:
    text = line_end.join([start, "user;item;time", f"u;i;{DAY}", ""])
    assert land(text) == ([(3, "u", "i", DAY)], [])


def test_lines_before_the_header_are_skipped_and_counted(land: Any) -> None:
    text = f'# a report, of "today\n\nuser,item,time\nu,i,{DAY}\n'
    assert land(text, skip_lines=2) == ([(4, "u", "i", DAY)], [])


def test_columns_without_a_name_are_read_over(land: Any) -> None:
    rows, rejects = land(f"user,item,time,,\nu,i,{DAY},,x\n")
    assert (rows, rejects) == ([(2, "u", "i", DAY, None, "x")], [])


def test_quotes_can_be_text(land: Any) -> None:
    text = f'user,item,time\n"u,"i",{DAY}\nu"2,i,{DAY}\n'
    rows, rejects = land(text, quoting="none")
    assert rows == [(2, '"u', '"i"', DAY), (3, 'u"2', "i", DAY)]
    assert rejects == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (r'"12\" pan"', '12" pan'),
        (r'"a\\"', "a\\"),
        (r'"\"x\",\"y\""', '"x","y"'),
        (r'"a""b\"c"', 'a"b"c'),
        (r"C:\\x", r"C:\\x"),  # outside of quotes it is text
        (r'"a\nb"', r"a\nb"),  # before other letters, too
        ('"two\\"\nlines"', 'two"\nlines'),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_an_escape_counts_before_quotes_and_itself_inside_of_quotes(
    land: Any, field: str, value: str, place: int
) -> None:
    cells, expected = ['"q"', DAY], ["q", DAY]
    cells.insert(place, field)
    expected.insert(place, value)
    rows, rejects = land(f"user,item,time\n{','.join(cells)}\n", escape="\\")
    assert (rows, rejects) == ([(2, *expected)], [])


def test_a_backslash_is_an_escape_only_where_a_line_is_no_row_without_it(land: Any) -> None:
    text = f'user,item,time\n"a\\",i,{DAY}\n"b\\" c",i,{DAY}\n"d\\"",i,{DAY}\nu,i,{DAY}\n'
    rows, rejects = land(text)
    assert [row[1] for row in rows] == ["a\\", 'b" c', 'd"', "u"]
    assert rejects == []


def test_without_quotes_an_escape_comes_before_a_delimiter(land: Any) -> None:
    text = f"user\titem\ttime\na\\\tb\tc\\\\d\t{DAY}\n\\N\ti\t{DAY}\n"
    rows, rejects = land(text, "a.tsv", quoting="none", escape="\\")
    assert (rows, rejects) == ([(2, "a\tb", "c\\d", DAY), (3, None, "i", DAY)], [])


def quoted(*between: str) -> str:
    """Return a log in which a title opens a quote that the last line closes."""
    lines = [f'u1,i1,{DAY},"open', *between, f'u9,i9,{DAY},12"', f"u10,i10,{DAY},end"]
    return "user,item,time,title\n" + "".join(line + "\n" for line in lines)


@pytest.mark.parametrize(
    "between", [[], [f"u2,i2,{DAY},plain"], ["ragged", *[f"u{n},i,{DAY},x" for n in "234"]]]
)
def test_a_quote_that_encloses_rows_costs_one_row(land: Any, between: list[str]) -> None:
    rows, rejects = land(quoted(*between))
    assert rejects[0] == (2, "open_quote")
    assert [row[1] for row in rows if row[1] != "ragged"][-2:] == ["u9", "u10"]
    assert len(rows) + len(rejects) == 3 + len(between)


@pytest.mark.parametrize(
    "note", ["two\nlines", "a, b, and c\nd, e, and f\n", f"\n{DAY}\n", "x,y,z,v\nx,y,z,v"]
)
def test_a_text_of_several_lines_is_one_value(land: Any, note: str) -> None:
    rows, rejects = land(f'user,item,time,title\nu,i,{DAY},"{note}"\n')
    assert (rows, rejects) == ([(2, "u", "i", DAY, note)], [])


@pytest.mark.parametrize(
    ("last", "accepted"),
    [
        (f"u3,i3,{DAY}", True),  # as long as the others
        ("u3,i3,2026-01-0", False),
        (f"u3,i3,{DAY}T10:00:00", False),
        (f'u3,i3,"{DAY[:7]}"', True),
        ("u3,i3,", False),
    ],
)
@pytest.mark.parametrize("note", [False, True])
def test_a_last_line_without_an_end_is_a_row_if_no_cut_can_have_changed_it(
    land: Any, last: str, accepted: bool, note: bool
) -> None:
    ends = ",note\n" if note else "\n"
    text = f"user,item,time{ends}u1,i1,{DAY}{ends}u2,i2,{DAY}{ends}{last}{',no' if note else ''}"
    rows, rejects = land(text)
    assert len(rows) == (3 if accepted or note else 2)
    assert rejects == ([] if accepted or note else [(4, "unended_line")])


def test_ids_are_trimmed_and_lowered_only_if_configured(land: Any) -> None:
    ids = Wanted(WANTED.columns, ids=frozenset({"user", "item"}))
    text = f"user,item,time\n U\u00a0,İ, {DAY}\n  ,i,{DAY}\n"
    assert land(text, wanted=ids)[0][0][1:3] == (" U\u00a0", "İ")
    rows, _ = land(text, wanted=ids, trim_ids=True, lower_ids=True)
    assert rows == [(2, "u", "i", f" {DAY}"), (3, None, "i", DAY)]


ORDERS = """order,user,time,item
1,ann,2026-01-05,a
1,,,b
1,,,c
2,,2026-01-06,d
2,,,e
3,bob,2026-01-07,f
"""


def test_values_are_filled_down_within_an_order(land: Any) -> None:
    rows, _ = land(ORDERS, fill_down=("user", "time"), fill_down_within="order")
    assert [row[2:] for row in rows] == [
        ("ann", "2026-01-05", "a"), ("ann", "2026-01-05", "b"), ("ann", "2026-01-05", "c"),
        (None, "2026-01-06", "d"), (None, "2026-01-06", "e"), ("bob", "2026-01-07", "f"),
    ]  # fmt: skip
    rows, _ = land(ORDERS, fill_down=("user",))
    assert [row[2] for row in rows] == ["ann"] * 5 + ["bob"]
    with pytest.raises(SourceError, match="expected column 'basket' of fill_down_within"):
        land(ORDERS, fill_down=("user",), fill_down_within="basket")


def test_values_are_filled_through_blocks_and_around_quoted_lines(
    land: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sql.landing.csv_blocks.BLOCK", 60)
    body = "".join(f'{"x" if n % 7 == 0 else ""},"i{n}",{DAY}\n,j{n},{DAY}\n' for n in range(20))
    rows, rejects = land(f"user,item,time\n{body}", fill_down=("user",))
    assert [row[0] for row in rows] == list(range(2, 42))
    assert {row[1] for row in rows} == {"x"}
    assert rejects == []


def test_the_columns_of_a_very_wide_file_that_are_not_mapped_become_one(land: Any) -> None:
    extra = [f"c{n}" for n in range(3000)]
    text = f"{','.join(extra)},user,item,time\n"
    text += "".join(f"{','.join(extra)},u{n},i,{DAY}\n" for n in range(2))
    rows, rejects = land(text)
    assert [row[:4] for row in rows] == [(2, "u0", "i", DAY), (3, "u1", "i", DAY)]
    assert rows[0][4] == "\x1f".join(extra)
    assert rejects == []


def test_a_column_that_folders_tell_is_added_to_files_that_lack_it(land: Any) -> None:
    told = {"item": "from a folder", "time": None, "other": "not wanted"}
    rows, _ = land("user\nu\n", partitions=told)
    assert rows == [(2, "u", "from a folder", None)]
    rows, _ = land(f"user,item,time\nu,own,{DAY}\n", partitions=told)
    assert rows == [(2, "u", "own", DAY)]
    line = '{"user": "u", "time": "t"}\n'
    assert land(line, "log.jsonl", partitions=told)[0] == [(1, "u", "from a folder", "t", None)]

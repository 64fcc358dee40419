"""Paths into objects and lists: the same rows from JSON lines, JSON arrays and Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sql.errors import SourceError
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted
from sql.reading import Reading
from sql.source import list_of

ORDERS = [
    {
        "user": {"id": "u1"},
        "order": {"items": [{"sku": "a", "price": 1}, {"sku": "b", "price": 2}]},
        "at": "t1",
    },
    {"user": {"id": "u2"}, "order": {"items": []}, "at": "t2"},
    {
        "user": {"id": "u3"},
        "order": {"items": [{"sku": "a", "price": 1}, {"sku": "a", "price": 1}]},
        "at": "t3",
    },
    {"user": None, "order": None, "at": "t4"},
]
PATHS = ("user.id", "order.items[].sku", "at", "order.items[].price")
ROWS = [
    (1, "u1", "a", "t1", "1", "1"),
    (1, "u1", "b", "t1", "2", "2"),
    (2, "u2", None, "t2", None, "0"),
    (3, "u3", "a", "t3", "1", "1"),
    (3, "u3", "a", "t3", "1", "2"),
    (4, None, None, "t4", None, "0"),
]


def wanted(*paths: str, **more: Any) -> Wanted:
    return Wanted(paths, frozenset(paths), scalars=frozenset(paths), list_of=list_of(paths), **more)


def land(folder: Path, name: str, columns: Wanted) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Return the rows of a file by column, and its rejects as (line, rule)."""
    landed = land_file(RawFile(1, folder / name, name), Reading(), columns, folder)
    rows, rejects = [], []
    if landed.path is not None:
        table = pq.read_table(landed.path)
        names = ["file_id", "line", *landed.columns]
        rows = [dict(zip(names, row.values(), strict=True)) for row in table.to_pylist()]
    if landed.rejects is not None:
        rejects = [(row["line"], row["rule"]) for row in pq.read_table(landed.rejects).to_pylist()]
    return rows, rejects


def as_jsonl(folder: Path, rows: list[Any]) -> str:
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return "a.jsonl"


def as_array(folder: Path, rows: list[Any]) -> str:
    (folder / "a.json").write_text(",\n".join(map(json.dumps, rows)).join("[]"), encoding="utf-8")
    return "a.json"


def as_parquet(folder: Path, rows: list[Any]) -> str:
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    return "a.parquet"


@pytest.mark.parametrize("write", [as_jsonl, as_array, as_parquet])
def test_each_element_of_a_list_is_a_row_and_no_line_is_lost(tmp_path: Path, write: Any) -> None:
    rows, rejects = land(tmp_path, write(tmp_path, ORDERS), wanted(*PATHS))
    assert [(row["line"], *(row[name] for name in (*PATHS, "[]"))) for row in rows] == ROWS
    assert rejects == []


@pytest.mark.parametrize("write", [as_jsonl, as_parquet])
def test_elements_can_be_values_themselves(tmp_path: Path, write: Any) -> None:
    name = write(tmp_path, [{"u": "u", "ids": ["a", "b"]}, {"u": "v", "ids": []}, {"u": "w", "ids": ["c"]}])
    rows, _ = land(tmp_path, name, wanted("u", "ids[]"))
    assert [(row["u"], row["ids[]"]) for row in rows] == [("u", "a"), ("u", "b"), ("v", None), ("w", "c")]


def test_a_key_that_is_written_like_a_path_comes_first(tmp_path: Path) -> None:
    name = as_jsonl(tmp_path, [{"a.b": "whole", "a": {"b": "inner"}}, {"a": {"b": "inner"}}])
    rows, _ = land(tmp_path, name, wanted("a.b"))
    assert [row["a.b"] for row in rows] == ["whole", "inner"]


def test_what_is_no_list_or_no_value_is_rejected(tmp_path: Path) -> None:
    lines = [{"x": {"id": "a"}}, {"x": [{"id": ["a"]}]}, {"x": [{"id": "a"}]}, {"x": "a"}, {"x": ["a"]}]
    rows, rejects = land(tmp_path, as_jsonl(tmp_path, lines), wanted("x[].id"))
    assert rejects == [(1, "not_a_list"), (2, "nested_value"), (4, "not_a_list")]
    assert [(row["line"], row["x[].id"]) for row in rows] == [(3, "a"), (5, None)]


def test_a_column_of_another_kind_or_name_is_an_error(tmp_path: Path) -> None:
    name = as_parquet(tmp_path, [{"x": {"id": "a"}, "y": "b"}])
    with pytest.raises(
        SourceError, match=r"expected a list in column 'x' for 'x\[\].id', got struct<id: string>"
    ):
        land(tmp_path, name, wanted("x[].id"))
    with pytest.raises(SourceError, match=r"expected one value a row in column 'x', got struct"):
        land(tmp_path, name, wanted("x"))
    with pytest.raises(SourceError, match=r"expected column 'x.no'; known: x, y"):
        land(tmp_path, name, Wanted(("x.no",)))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("a[].b", "c[].d"), r"got a\[\], c\[\]"),
        (("a[].b[].c",), r"got 'a\[\].b\[\].c'"),
        (("[].a",), r"got \[\]"),
    ],
)
def test_paths_go_through_one_list(paths: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list_of(paths)


def test_values_in_one_cell_are_rows(tmp_path: Path) -> None:
    text = "user,items\nu1,a; b;;c \nu2,\nu3,;\nu4,a;a\nu5,d\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    rows, _ = land(tmp_path, "a.csv", wanted("user", "items", split=("items", ";")))
    assert [(row["line"], row["items"], row["[]"]) for row in rows] == [
        (2, "a", "1"), (2, "b", "2"), (2, "c", "3"), (3, None, "1"), (4, None, "1"), (5, "a", "1"),
        (5, "a", "2"), (6, "d", "1"),
    ]  # fmt: skip

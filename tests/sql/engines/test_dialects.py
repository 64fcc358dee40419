"""Each expression of a dialect on both engines, compared with Python's result."""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

KEY = b"key".ljust(64, b"\0")


def values(engine: Any, expression: str) -> list[Any]:
    """Return the values of an expression over the relation `sample`, in the order of `n`."""
    column: list[Any] = engine.fetch(f"SELECT {expression} AS v FROM sample ORDER BY n")["v"].to_pylist()
    return column


def test_json_row_keeps_names_quotes_and_nulls(engine):
    texts = ['q"', "back\\slash", "漢", None]
    engine.table("sample", pa.table({"n": range(4), "t": pa.array(texts, pa.string())}))
    rows = values(engine, engine.dialect.json_row({"a'b": "t", "": "t"}))
    assert [json.loads(row) for row in rows] == [{"a'b": text, "": text} for text in texts]


def test_hash_row_is_equal_for_equal_rows_and_64_bits_long(engine):
    table = {"n": range(5), "a": ["x", "x", "y", "x", None], "b": ["1", "1", "1", "2", "1"]}
    engine.table("sample", pa.table(table))
    first, repeat, *different = values(engine, engine.dialect.hash_row(["a", "b"]))
    assert first == repeat
    assert len({first, *different}) == 4
    assert max(abs(value) for value in (first, *different)) > 2**40


def test_keyed_hash_is_pythons_hmac(engine):
    texts = ["u1", "", "漢", "it's"]
    pads = {name: [bytes(byte ^ mask for byte in KEY)] * 4 for name, mask in (("i", 0x36), ("o", 0x5C))}
    engine.table("sample", pa.table({"n": range(4), "t": texts, **pads}))
    expected = [hmac.digest(b"key", text.encode(), "sha256").hex() for text in texts]
    assert values(engine, engine.dialect.keyed_hash("t", "i", "o")) == expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("iso", "2026-03-01 10:00:00"),
        ("iso", "2026-03-01T12:00:00+02:00"),
        ("%d.%m.%Y %H:%M", "01.03.2026 10:00"),
        ("%Y-%m-%dT%H:%M:%S%z", "2026-03-01T09:00:00-0100"),
    ],
)
def test_parse_time_reads_its_pattern_and_nothing_else(engine, pattern, text):
    engine.table("sample", pa.table({"n": range(3), "t": [text, f"{text}x", "yesterday"]}))
    parsed = values(engine, f"unix_micros({engine.dialect.parse_time('t', pattern)})")
    assert parsed == [datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp() * 10**6, None, None]


def test_matches_and_rewrite_read_a_regular_expression_alike(engine):
    texts = ["a1", "a1\n", "b", "xa1", "$1", None]
    engine.table("sample", pa.table({"n": range(6), "t": pa.array(texts, pa.string())}))
    assert values(engine, engine.dialect.matches("t", "a|a[0-9]")) == [True, False, False, False, False, None]
    swapped = values(engine, engine.dialect.rewrite("t", "^([a-z])([0-9])", "$2.$1"))
    assert swapped == ["1.a", "1.a\n", "b", "xa1", "$1", None]


def test_cast_time_reads_offsets_and_no_empty_text(engine):
    texts = ["2026-03-01 12:00:00+02:00", "2026-03-01T10:00:00Z", "", None]
    engine.table("sample", pa.table({"n": range(4), "t": pa.array(texts, pa.string())}))
    ten = datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp() * 10**6
    assert values(engine, f"unix_micros({engine.dialect.cast_time('t')})") == [ten, ten, None, None]

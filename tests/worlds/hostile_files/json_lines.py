"""Files of JSON lines, and of JSON arrays."""

from __future__ import annotations

import json
from typing import Any

from worlds.hostile_files.case import (
    BIG,
    Case,
    T,
    event,
    jsonl,
    refused,
    values,
)


def array(*records: Any, indent: int | None = None) -> bytes:
    return (json.dumps(records, indent=indent) + "\n").encode()


def elements(data: bytes) -> int:
    return len(json.loads(data))


JSON_LINES = [
    Case(
        "nested values and arrays",
        "nested.jsonl",
        jsonl(event("js1", tags=["a", {"b": [1]}]), event({"id": 1})),
        values,
        {"nested_value": 1},
        kept=("js1",),
    ),
    Case(
        "keys missing",
        "keys.jsonl",
        jsonl(event("key1"), {"item": "i", "time": T}, event(None), event("")),
        values,
        {"user_missing": 3},
    ),
    Case(
        "key that no line has",
        "nokey.jsonl",
        jsonl({"user": "u", "item": "i", "zeit": T}),
        refused,
        refused="expected column 'time', which no file has",
    ),
    Case(
        "lines that are no objects",
        "broken.jsonl",
        jsonl(event("bro1"), '{"user": "x"', "[1, 2]", "7", "null", "{}}", "'x'"),
        values,
        {"malformed_json": 6},
    ),
    Case(
        "one array of all",
        "array.json",
        array(event("ja1"), event("ja2")),
        elements,
        kept=("ja1", "ja2"),
    ),
    Case(
        "an array over many lines, and another",
        "pretty.json",
        b"\xef\xbb\xbf" + array(event("jp1"), event("jp2", tags=["]", "[{"]), indent=2) + array(event("jp3")),
        lambda data: data.count(b'"user"'),
        kept=("jp1", "jp2", "jp3"),
    ),
    Case(
        "an array with records that are none",
        "odd.json",
        array(event("jo1"), 7, [event("jo2")], None, event("jo3\0")).replace(b"null", b'{"user": "x" "y"}'),
        lambda data: 5,
        {"malformed_json": 3, "nul_byte": 1},
        kept=("jo1",),
    ),
    Case("an empty array", "none.json", b"[\n]\n", elements),
    Case(
        "an array cut in the middle",
        "cut.json",
        array(event("u"), event("u"), indent=2)[:-9],
        refused,
        refused="the JSON array is damaged",
    ),
    Case(
        "rows behind an array",
        "behind.json",
        array(event("u"), indent=2) + jsonl(event("u")),
        refused,
        refused="the JSON array is damaged in line 8: expected nothing behind its end",
    ),
    Case(
        "nested 100,000 deep",
        "deep.jsonl",
        jsonl(event("deep1"), '{"user": ' + "[" * 100_000 + "]" * 100_000 + "}", "[" * 100_000),
        values,
        {"malformed_json": 2},
    ),
    Case(
        "half a surrogate pair",
        "half.jsonl",
        jsonl(event("hs1"), '{"user": "\\ud83d", "item": "i", "time": "x"}'),
        values,
        {"bad_encoding": 1},
    ),
    Case("NUL as an escape", "nul.jsonl", jsonl(event("jn1"), event("a\0b")), values, {"nul_byte": 1}),
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
        jsonl(*(event(user, "m") for user in (7, "7", 7.0, True, [7]))),
        values,
        {"nested_value": 1},
        duplicates=1,
        kept=("7", "7.0", "true"),
    ),
    Case(
        "JSON with a mark and CRLF",
        "bom.jsonl",
        b"\xef\xbb\xbf" + jsonl(event("jb1"), "", event("jb2")).replace(b"\n", b"\r\n"),
        lambda data: data.count(b"{"),
        kept=("jb1", "jb2"),
    ),
    Case(
        "JSON cut in the middle",
        "cut.jsonl",
        jsonl(event("jc1"), event("jc2"))[:-9],
        values,
        {"malformed_json": 1},
    ),
]

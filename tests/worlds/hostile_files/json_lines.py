"""Files of JSON lines."""

from __future__ import annotations

from worlds.hostile_files.case import (
    BIG,
    Case,
    T,
    event,
    jsonl,
    refused,
    values,
)

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
        refused="expected key 'time', which no row has",
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
        b"[" + jsonl(event("u")).strip() + b"]\n",
        values,
        {"malformed_json": 1},
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

"""A JSON array is read record by record: the rows do not depend on how it is written or buffered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sql.errors import SourceError
from sql.landing.landing import RawFile, Wanted, open_text
from sql.landing.objects import json_rows
from sql.reading import Reading

TEXTS = st.text(st.sampled_from('ab"\\[]{},: \n\u00e9\U0001f600'), max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers() | st.none() | st.booleans(), lambda inner: st.lists(inner, max_size=2)
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["user", "x", "y"]), VALUES) | st.integers(), max_size=6)


def rows(path: Path, **reading):
    """Return (line, user) of the rows of a file of arrays, and (line, rule) of its rejects."""
    file, options = RawFile(1, path, path.name), Reading.model_validate(reading)
    assert json_rows.is_array(file, options)
    accepted, rejects = [], []
    with open_text(file, options) as stream:
        for lines, values, rejected in json_rows.array_batches(file, stream, options, Wanted(("user",))):
            accepted += [(line, value[0]) for line, value in zip(lines, values, strict=True)]
            rejects += [(reject.line, reject.rule) for reject in rejected]
    return accepted, rejects


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(RECORDS, st.sampled_from([None, 0, 2]), st.sampled_from([1, 3, 1 << 18]))
@example([{"user": "\\"}, 12, {"user": "}]"}], None, 1)
def test_every_record_is_read_with_its_line_and_values(tmp_path, monkeypatch, records, indent, chunk):
    monkeypatch.setattr(json_rows, "CHUNK", chunk)
    text = json.dumps(records, indent=indent, ensure_ascii=False)
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    accepted, rejects = rows(tmp_path / "a.json")
    as_text = json.loads(text, parse_int=str)
    expected = [json_rows.json_values(record, "", Wanted(("user",))) for record in as_text]
    assert [user for _, user in accepted] == [values[0][0] for values in expected if isinstance(values, list)]
    assert [rule for _, rule in rejects] == [values[0] for values in expected if isinstance(values, tuple)]
    if indent is not None:
        lines = text.split("\n")
        for line, _ in accepted:
            assert lines[line - 1].strip().startswith("{")


def test_broken_and_overlong_records_cost_only_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "CHUNK", 7)
    monkeypatch.setattr(json_rows, "LONGEST_LINE", 60)
    records = [
        '{"user": "u1"}',
        '{"user": "]}," oops, "x": [1, {"y": "\\"]"}]}',
        '{"user": "u2"}',
        '{"user": "' + "x" * 100 + '"}',
        '{"user" ' + '"long" ' * 30 + "}",
        '{"user": "\\ud83d"}',
        '{"user": "u3"}',
    ]
    path = tmp_path / "a.json"
    path.write_bytes(b"[\n" + b",\n".join(record.encode() for record in records) + b",\n\xff]\n")
    assert rows(path) == (
        [(2, "u1"), (4, "u2"), (8, "u3")],
        [
            (3, "malformed_json"),
            (5, "line_too_long"),
            (6, "line_too_long"),
            (7, "bad_encoding"),
            (9, "malformed_json"),
        ],
    )


def test_text_in_the_encoding_of_the_file_is_read(tmp_path):
    path = tmp_path / "a.json"
    for encoding in ("latin-1", "utf-16", "shift-jis"):
        path.write_bytes('[{"user": "\u00b4"}]'.encode(encoding))
        assert rows(path, encoding=encoding) == ([(1, "\u00b4")], [])
    path.write_bytes(b'[{"user": "\xe9"}, {"user": "u"}]')
    assert rows(path) == ([(1, "u")], [(1, "bad_encoding")])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"user": 1}', "line 1: it does not end with ]; is the file whole?"),
        ('[{"user": 1},\n', "line 2: it does not end with ]; is the file whole?"),
        ('[{"user": 1},\n{"user": "', "line 2: it does not end with ]"),
        ('[\n{"user": 1}\n{"user": 2}]', "line 3: expected , or ] after a record, got '{\"user\": 2}]'"),
        ('[\n{"user": 1}]\n{"user": 2}', "line 3: expected nothing behind its end, got"),
    ],
)
def test_a_damaged_array_is_refused_with_its_line(tmp_path, text, problem):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SourceError) as caught:
        rows(path)
    assert f"a.json: the JSON array is damaged in {problem}" in str(caught.value)


@pytest.mark.parametrize("text", ['[1]\n{"user": 1}\n', '{"user": [1]}\n', "", "\n\n", '"[1]"'])
def test_lines_are_no_array(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    assert not json_rows.is_array(RawFile(1, path, path.name), Reading())


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1e3", "1000"),
        ("1.5E+15", "1500000000000000"),
        ("-2e0", "-2"),
        ("9007199254740992e0", "9007199254740992"),
        ("1e17", "1e+17"),
        ("1.5e-3", "0.0015"),
        ("0.10", "0.10"),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_numbers_keep_all_digits_that_they_tell(tmp_path, number, text):
    (tmp_path / "a.json").write_text(f'[{{"user": {number}}}]', encoding="utf-8")
    assert rows(tmp_path / "a.json") == ([(1, text)], [])

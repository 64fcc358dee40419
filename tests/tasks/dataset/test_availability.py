"""Spellings of true and false in a catalogue; any other is an error, never a guess."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tasks.dataset.availability import available_of
from tasks.runtime.errors import InputError


def read(*texts: str | None) -> list[bool]:
    column = pa.chunked_array([pa.array(texts, pa.string())])
    lines = pa.chunked_array([pa.array(range(2, len(texts) + 2), pa.int64())])
    return list(available_of(column, lines, "items.csv").to_pylist())


@pytest.mark.parametrize(
    "text", ["1", "1.0", "+2", ".5", "17", "0.01", "true", "T", "Yes", "y", " on ", "TRUE\t"]
)
def test_an_item_is_available(text: str) -> None:
    assert read(text) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "0.0",
        "0.",
        ".0",
        "-0",
        "00",
        "-3",
        "-.5",
        "false",
        " false",
        "F",
        "No",
        "n\u00a0",
        "OFF",
        "False\r",
    ],
)
def test_an_item_is_not_available(text: str) -> None:
    assert read(text) == [False]


def test_without_a_value_an_item_is_available() -> None:
    assert read(None, "no", None) == [True, False, True]
    assert read() == []


@pytest.mark.parametrize(
    "text", ["x", "", "sold out", "nan", "inf", "1e3", "0,0", "0x0", "--1", ".", "1 0", "nö"]
)
def test_anything_else_is_an_error_that_names_the_first_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^\[items\] available: expected true, t, .*, got ") as caught:
        read("yes", text, None, "maybe")
    assert f"got {text!r} in line 3 of items.csv (and 1 more)" in str(caught.value)

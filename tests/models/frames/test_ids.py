"""Ids of any type are numbered in order, matched across types, and returned in their own type."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.frames.ids import Ids, encode_ids
from models.frames.source import open_frame, to_column

WORDS = ["b", "a", "b", "ü", "c"]
TYPES: dict[str, tuple[Any, Any]] = {
    "int8": (pa.array([3, -1, 3, 2, 7], pa.int8()), [-1, 2, 3, 7]),
    "int64": (pa.array([3, -1, 3, 2, 2**62]), [-1, 2, 3, 2**62]),
    "uint64": (pa.array([3, 2**64 - 1, 3], pa.uint64()), [3, 2**64 - 1]),
    "whole floats": (pa.array([3.0, -1.0, 3.0]), [-1.0, 3.0]),
    "string": (pa.array(WORDS), ["a", "b", "c", "ü"]),
    "large_string": (pa.array(WORDS, pa.large_string()), ["a", "b", "c", "ü"]),
    "string_view": (pa.array(WORDS, pa.string_view()), ["a", "b", "c", "ü"]),
    "dictionary": (pa.array(WORDS).dictionary_encode(), ["a", "b", "c", "ü"]),
    "dictionary of views": (
        pa.DictionaryArray.from_arrays(
            pa.array([1, 0, 1], pa.uint8()), pa.array(["b", "a"], pa.string_view())
        ),
        ["a", "b"],
    ),
    "binary": (pa.array([b"b", b"\xff", b"b"]), [b"b", b"\xff"]),
    "binary(2)": (pa.array([b"bb", b"\xffb", b"bb"], pa.binary(2)), [b"bb", b"\xffb"]),
    "uuid": (pa.array([uuid.UUID(int=9), uuid.UUID(int=3)]), [uuid.UUID(int=3), uuid.UUID(int=9)]),
}


def ids_of(values: Any) -> tuple[Ids, np.ndarray]:
    return encode_ids(to_column("user_id", values))


@pytest.mark.parametrize("name", TYPES)
def test_ids_are_numbered_in_order_and_returned_in_their_type(name: str) -> None:
    array, distinct = TYPES[name]
    ids, codes = ids_of(array)
    assert ids.take(np.arange(len(ids))).to_pylist() == distinct
    back = ids.take(codes)
    assert back.type == array.type
    assert back.to_pylist() == array.to_pylist()


@given(st.lists(st.text(max_size=3) | st.just("ß"), min_size=1))
def test_text_is_sorted_by_its_bytes(words: list[str]) -> None:
    ids, codes = ids_of(words)
    expected = sorted(set(words), key=str.encode)
    assert ids.values.to_pylist() == expected
    assert [expected[code] for code in codes] == words


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_are_sorted_by_value(numbers: list[int]) -> None:
    ids, codes = ids_of(numbers)
    expected = sorted(set(numbers))
    assert ids.values.to_pylist() == expected
    assert [expected[code] for code in codes] == numbers


def test_equal_ids_of_other_types_match_and_others_do_not() -> None:
    known, _ = ids_of(pa.array([5, 7, 2**62]))
    for kind in (pa.int8(), pa.uint64(), pa.float64()):
        queried, _ = ids_of(pa.array([1, 5, 7], kind))
        assert known.codes(queried, "ids").tolist() == [-1, 0, 1]
    huge, _ = ids_of(pa.array([7, 2**64 - 1], pa.uint64()))
    assert known.codes(huge, "ids").tolist() == [1, -1]
    assert huge.codes(known, "ids").tolist() == [-1, 0, -1]
    words, _ = ids_of(pa.array(["a", "b"], pa.string_view()))
    queried, _ = ids_of(pd.Series(["b", "z"], dtype="category"))
    assert words.codes(queried, "ids").tolist() == [1, -1]
    with pytest.raises(ModelError, match=r"^expected ids as whole numbers, got text$"):
        known.codes(words, "ids")


def test_categories_keep_their_order_and_unused_values() -> None:
    kind = pd.CategoricalDtype(["z", "b", "a"], ordered=True)
    source = open_frame(pd.DataFrame({"user": pd.Series(["a", "b"], dtype=kind)}))
    ids, _ = encode_ids(source.column("user"))
    assert ids.form.dtype == kind
    assert ids.values.to_pylist() == ["a", "b"]


def test_an_index_that_is_too_narrow_for_the_categories_is_widened() -> None:
    words = pa.array([f"u{number:03}" for number in range(200)])
    ids, _ = ids_of(pa.DictionaryArray.from_arrays(pa.array(range(100), pa.int8()), words))
    assert len(ids) == 100
    more = Ids(words.cast(pa.large_string()), ids.type)
    assert more.take(np.arange(200)).to_pylist() == words.to_pylist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, None, 2, None], r"expected an id in every row of 'user_id', got 2 nulls, the first in row 1"),
        (
            np.array([1.0, np.nan]),
            r"expected an id in every row of 'user_id', got 1 null, the first in row 1",
        ),
        (
            pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None])),
            "expected an id in every row of 'user_id', got 1 null, the first in row 1",
        ),
        ([None, None], "got 2 nulls, the first in row 0"),
        (
            [1.0, 2.5, 3.5],
            r"whole numbers as ids in 'user_id', got 2\.5 in row 1 \(from 0\), and others in 1",
        ),
        ([2.0**53], r"expected ids of less than 2\^53, if as floats, in 'user_id', got 9007199254740992\.0"),
        ([np.inf], r"ids of less than 2\^53, if as floats, in .user_id., got inf"),
        ([True, False], "expected ids as whole numbers or text in 'user_id', got bool"),
        (np.array(["2026-01-01"], "M8[s]"), r"whole numbers or text in 'user_id', got timestamp\[s\]"),
        ([[1], [2]], "whole numbers or text in 'user_id', got list"),
    ],
)
def test_rows_without_a_valid_id_are_refused(values: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ids_of(values)


def test_objects_of_polars_are_refused_as_their_addresses_are_no_ids() -> None:
    frame = pl.DataFrame({"item": pl.Series([uuid.UUID(int=5)], dtype=pl.Object)})
    with pytest.raises(ModelError, match=r"expected ids as whole numbers or text in 'item', got Object$"):
        encode_ids(open_frame(frame).column("item"))


@pytest.mark.parametrize(("kind", "power"), [("f2", 11), ("f4", 24), ("f8", 53)])
def test_floats_are_ids_only_where_each_whole_number_is_another_float(kind: str, power: int) -> None:
    ids, _ = ids_of(np.array([2**power - 1, 2**power - 2], kind))
    assert ids.values.to_pylist() == [2**power - 2, 2**power - 1]
    with pytest.raises(ModelError, match=rf"expected ids of less than 2\^{power}, if as floats,"):
        ids_of(np.array([2**power], kind))

"""Ids of users or items: distinct and ascending, so the index of an id is its rank."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import ModelError
from models.frames.columns import decode, is_text, refuse_nulls, refuse_rows
from models.frames.source import Column, Form

Longs = npt.NDArray[np.int64]
LARGEST_FLOATS = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}
"""The power of two from which on neighbouring whole numbers are one float."""
WIDE = pa.decimal128(20, 0)  # holds int64 and uint64
FAMILIES = {
    pa.int64(): "whole numbers",
    pa.uint64(): "whole numbers",
    pa.large_string(): "text",
    pa.large_binary(): "bytes",
}


@dataclass(frozen=True, eq=False)
class Ids:
    """Distinct ids in ascending order: numbers by value, text by its UTF-8 bytes.

    ``values`` pyarrow array (n,) of int64, uint64, large_string or large_binary; ``type`` their
    original Arrow type, in which they are returned; ``form`` their type in a pandas or polars
    frame.
    """

    values: Any
    type: Any
    form: Form = field(default_factory=Form)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, codes: npt.NDArray[np.integer]) -> Any:
        """Return the ids at some indices, (n_codes,), as a pyarrow array of their original type."""
        return _restore_type(self.values.take(pa.array(codes)), self.type)

    def subset(self, codes: Longs) -> Ids:
        """Return the ids at some indices, which must be distinct and ascending."""
        return Ids(self.values.take(pa.array(codes)), self.type, self.form)

    def codes(self, queried: Ids, what: str) -> Longs:
        """Return the index of each of the ``queried`` ids, int64 (len(queried),), -1 if unknown.

        Raises
        ------
        ModelError
            When one side has numbers and the other text, so nothing could match.
        """
        known, values = self.values, queried.values
        if FAMILIES[known.type] != FAMILIES[values.type]:
            raise ModelError(f"expected {what} as {FAMILIES[known.type]}, got {FAMILIES[values.type]}")
        if known.type != values.type:
            known, values = known.cast(WIDE), values.cast(WIDE)
        indices = pc.index_in(values, value_set=known).fill_null(-1)
        return np.asarray(indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def encode_ids(column: Column) -> tuple[Ids, Longs]:
    """Return the distinct ids of a column, and the index of each row's id, int64 (n_rows,).

    Ids are whole numbers, text, bytes or UUIDs, or categories of these. Whole floats count as whole
    numbers below 2^53 (float64), 2^24 (float32) or 2^11 (float16).

    Raises
    ------
    ModelError
        When a row has no id, or an id has another type.
    """
    values = decode(column)
    if str(column.form.dtype) == "Object":  # of polars: Arrow gets the addresses of the objects
        raise ModelError(f"expected ids as whole numbers or text in {column.name!r}, got Object")
    refuse_nulls(column, "an id", values)
    coded = _plain(column, values).dictionary_encode().combine_chunks()
    order = pc.sort_indices(coded.dictionary).to_numpy()
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.arange(len(order))
    ids = Ids(coded.dictionary.take(pa.array(order)), column.values.type, column.form)
    return ids, numbers[coded.indices.to_numpy()]


def _plain(column: Column, values: Any) -> Any:
    """Return the ids as int64, uint64, large_string or large_binary."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid":
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], kind.storage_type)
        kind = values.type
    if pa.types.is_integer(kind):
        return _numbers(values)
    if pa.types.is_floating(kind):
        return _from_floats(column, values)
    if is_text(kind):
        return values.cast(pa.large_string())
    if pa.types.is_fixed_size_binary(kind) or kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        return values.cast(pa.large_binary())
    raise ModelError(f"expected ids as whole numbers or text in {column.name!r}, got {column.values.type}")


def _numbers(values: Any) -> Any:
    """Return whole numbers as int64, or as uint64 if any exceeds int64."""
    if pa.types.is_uint64(values.type) and len(values) and pc.max(values).as_py() >= 2**63:
        return values
    return values.cast(pa.int64())


def _from_floats(column: Column, values: Any) -> Any:
    numbers = values.cast(pa.float64()).to_numpy()
    refuse_rows(column, numbers != np.floor(numbers), "whole numbers as ids", numbers)
    power = LARGEST_FLOATS[values.type]
    wide = np.abs(numbers) >= 2**power
    refuse_rows(column, wide, f"ids of less than 2^{power}, if as floats,", numbers)
    return pa.chunked_array([pa.array(numbers.astype(np.int64))])


def _restore_type(values: Any, kind: Any) -> Any:
    """Return int64, uint64, large_string or large_binary values in their original type."""
    if values.type == kind:
        return values
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, values.cast(kind.storage_type))
    if not pa.types.is_dictionary(kind):
        return values.cast(kind)
    categories = values.dictionary_encode()
    dictionary = _restore_type(categories.dictionary, kind.value_type)
    fits = len(dictionary) <= 2 ** (kind.index_type.bit_width - 1)
    index = kind.index_type if fits else pa.int32()
    return pa.DictionaryArray.from_arrays(categories.indices.cast(index), dictionary, ordered=kind.ordered)

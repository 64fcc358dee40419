"""Ids of users or items: each distinct id once, ascending, so that its number is its place in the order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import ModelError
from models.frames.columns import decoded, is_text, refuse_nulls, refuse_rows
from models.frames.source import Column, Form

Longs = npt.NDArray[np.int64]
LARGEST_FLOAT = 2**53  # from here on, neighbouring whole numbers are one float
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

    ``values`` pyarrow array (n,) of int64, uint64, large_string or large_binary; ``type`` the Arrow type in
    which they came and are given back; ``form`` what they were in a frame of pandas or polars.
    """

    values: Any
    type: Any
    form: Form = field(default_factory=Form)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, codes: npt.NDArray[np.integer]) -> Any:
        """Return the ids of some numbers, (n_codes,), as a pyarrow array of the type in which they came."""
        return _as_came(self.values.take(pa.array(codes)), self.type)

    def only(self, codes: Longs) -> Ids:
        """Return the ids of some numbers, which are distinct and ascending."""
        return Ids(self.values.take(pa.array(codes)), self.type, self.form)

    def codes(self, others: Ids, what: str) -> Longs:
        """Return the number here of each of ``others``, int64 (len(others),), -1 where it is unknown.

        Raises
        ------
        ModelError
            When one side is numbers and the other text: nothing would be known.
        """
        own, asked = self.values, others.values
        if FAMILIES[own.type] != FAMILIES[asked.type]:
            raise ModelError(f"expected {what} as {FAMILIES[own.type]}, got {FAMILIES[asked.type]}")
        if own.type != asked.type:
            own, asked = own.cast(WIDE), asked.cast(WIDE)
        places = pc.index_in(asked, value_set=own).fill_null(-1)
        return np.asarray(places.to_numpy(zero_copy_only=False), dtype=np.int64)


def encoded(column: Column) -> tuple[Ids, Longs]:
    """Return the distinct ids of a column, and the number of the id in each row, int64 (n_rows,).

    Ids are whole numbers, text, bytes or UUIDs, also as categories. Whole floats below 2^53 are taken for
    the numbers they are.

    Raises
    ------
    ModelError
        When a row has no id, or an id is something else.
    """
    values = decoded(column)
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
    """Return whole numbers as int64, or as uint64 where some are larger."""
    if pa.types.is_uint64(values.type) and len(values) and pc.max(values).as_py() >= 2**63:
        return values
    return values.cast(pa.int64())


def _from_floats(column: Column, values: Any) -> Any:
    numbers = values.cast(pa.float64()).to_numpy()
    refuse_rows(column, numbers != np.floor(numbers), "whole numbers as ids", numbers)
    refuse_rows(column, np.abs(numbers) >= LARGEST_FLOAT, "ids of less than 2^53, if as floats,", numbers)
    return pa.chunked_array([pa.array(numbers.astype(np.int64))])


def _as_came(values: Any, kind: Any) -> Any:
    """Return int64, uint64, large_string or large_binary in the type in which the ids came."""
    if values.type == kind:
        return values
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, values.cast(kind.storage_type))
    if not pa.types.is_dictionary(kind):
        return values.cast(kind)
    categories = values.dictionary_encode()
    dictionary = _as_came(categories.dictionary, kind.value_type)
    fits = len(dictionary) <= 2 ** (kind.index_type.bit_width - 1)
    index = kind.index_type if fits else pa.int32()
    return pa.DictionaryArray.from_arrays(categories.indices.cast(index), dictionary, ordered=kind.ordered)

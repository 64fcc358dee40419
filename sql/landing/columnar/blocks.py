"""Record batches of Arrow to rows of text in bounded memory, whatever file they come from."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sql.errors import SourceError
from sql.landing.compression import require_proportion
from sql.landing.landing import RawFile, Wanted
from sql.landing.nested import Expansion
from sql.landing.text_rows import EXACT_DOUBLE, EXCERPT, LONGEST_LINE, Reject, as_text, excerpt, is_text

MOST_ROWS = 1 << 18  # in a batch
HELD = 1 << 25  # bytes of values in memory at a time, approximately
RULES = ("", "line_too_long", "nul_byte", "bad_encoding", "inexact_id")
EXACT = {pa.float64(): float(EXACT_DOUBLE), pa.float32(): 2.0**24, pa.float16(): 2.0**11}
"""Up to here, each whole number is one of its type, and not the nearest one to another."""


@dataclass(frozen=True)
class ArrowSource:
    """An opened file: its schema, and its record batches in order, each of about HELD bytes.

    `instants` are columns of times in UTC, though nothing in the schema says so.
    """

    schema: pa.Schema
    batches: Iterable[Any]
    instants: frozenset[str] = frozenset()


@dataclass
class ArrowBlock:
    """Rows: their numbers from 1 (int64) and text columns, and the quarantined rows."""

    lines: npt.NDArray[np.int64]
    columns: list[Any]
    rejects: list[Reject]


def arrow_blocks(
    file: RawFile, source: ArrowSource, expansion: Expansion, *, limit: int, wanted: Wanted
) -> Iterator[ArrowBlock]:
    """Yield the rows of a file in blocks of some MiB of text.

    SourceError if a column that holds one value a row is nested, or if the rows exceed `limit`
    times the file's size.
    """
    _require_scalars(file.name, source.schema, wanted.scalars)
    first, held, size = 1, 0, file.path.stat().st_size
    for batch in source.batches:
        arrays, parents = expansion.expand(batch)
        named = dict(zip(expansion.names, arrays, strict=True))
        columns = [
            _texts(_in_utc(column) if name in source.instants else column) for name, column in named.items()
        ]
        numbers = first + parents
        first += batch.num_rows
        inexact = [_inexact(column) for name, column in named.items() if name in wanted.ids]
        kept, rejects = _checked(columns, numbers, np.logical_or.reduce(inexact) if inexact else None)
        if rejects:
            columns, numbers = [column.filter(pa.array(kept)) for column in columns], numbers[kept]
        ends = np.cumsum(sum((_lengths(column) for column in columns), np.zeros(len(numbers), np.int64)))
        held += int(ends[-1]) if len(ends) else 0
        require_proportion(file.name, held, size, limit)
        for start, stop in _spans(ends):
            decoded = [_decoded(column.slice(start, stop - start)) for column in columns]
            yield ArrowBlock(numbers[start:stop], decoded, rejects if start == 0 else [])
        if not len(ends):
            yield ArrowBlock(numbers, [_decoded(column) for column in columns], rejects)


def _require_scalars(name: str, schema: pa.Schema, scalars: frozenset[str]) -> None:
    for field in schema:
        if field.name in scalars and pa.types.is_nested(field.type):
            raise SourceError(
                f"{name}: expected one value a row in column {field.name!r}, got {str(field.type)[:200]}"
            )


def _in_utc(column: Any) -> Any:
    return column.cast(pa.timestamp(column.type.unit, "UTC"))


def _inexact(column: Any) -> npt.NDArray[np.bool_]:
    """Return where a column of numbers is infinite, or too large to be one whole number only."""
    bound = EXACT.get(column.type)
    if bound is None:
        return np.zeros(len(column), np.bool_)
    return _flags(pc.greater(pc.abs(column.cast(pa.float64())), bound))


def _texts(column: Any) -> Any:
    """Return a column as text or a dictionary of text; nested values as JSON, fixed binary as hex."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType) and kind != pa.uuid():
        return _texts(column.storage)
    if pa.types.is_dictionary(kind) and not pa.types.is_nested(kind.value_type):
        return pa.DictionaryArray.from_arrays(column.indices, _texts(column.dictionary))
    if pa.types.is_string(kind):
        return column
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):  # as Hive and Impala write text
        return pc.cast(column, options=pc.CastOptions(target_type=pa.string(), allow_invalid_utf8=True))
    if not pa.types.is_fixed_size_binary(kind) and kind != pa.uuid():
        with suppress(pa.ArrowNotImplementedError):  # nested, or a type that Arrow cannot cast to text
            return _reals(column) if kind in EXACT else _scalars(column)
    return pa.array([_text(value) for value in column.to_pylist()], pa.string())


def _text(value: Any) -> str | None:
    """Return a value that Arrow cannot cast as text: bytes as hex, an UUID as usual, else as JSON."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, uuid.UUID) else as_text(value)


def _reals(column: Any) -> Any:
    """Cast to text; whole numbers have all their digits, no exponent and no fraction."""
    numbers = column.cast(pa.float64())
    whole = pc.and_(pc.less_equal(pc.abs(numbers), EXACT[column.type]), pc.equal(pc.trunc(numbers), numbers))
    digits = pc.if_else(whole, numbers, None).cast(pa.int64()).cast(pa.string())
    return pc.coalesce(digits, column.cast(pa.string()))


def _scalars(column: Any) -> Any:
    """Cast to text; timestamps in UTC without a look at the zone for each, a seventh of the time."""
    if pa.types.is_timestamp(column.type) and column.type.tz == "UTC":
        local = column.cast(pa.timestamp(column.type.unit))
        return pc.binary_join_element_wise(local.cast(pa.string()), "Z", "")
    return column.cast(pa.string())


def _checked(
    columns: Sequence[Any], numbers: npt.NDArray[np.int64], inexact: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.bool_], list[Reject]]:
    """Return which rows to keep, and a reject for each other row: its first bad value."""
    broken = np.zeros(len(numbers), np.int8)
    rejects: list[Reject] = []
    if inexact is not None and inexact.any():
        for row in np.flatnonzero(inexact):
            texts = (_decoded(column.slice(row, 1))[0].as_py() for column in columns)
            rejects.append(
                Reject(int(numbers[row]), "inexact_id", ", ".join(text or "" for text in texts)[:EXCERPT])
            )
        broken[inexact] = RULES.index("inexact_id")
    for column in columns:
        rules = np.where(broken == 0, _rules(column), 0).astype(np.int8)
        for row in np.flatnonzero(rules):
            value = _decoded(column.slice(row, 1)).cast(pa.binary())[0].as_py()
            rejects.append(Reject(int(numbers[row]), RULES[rules[row]], excerpt(value)))
        broken += rules
    return broken == 0, rejects


def _rules(column: Any) -> npt.NDArray[np.int8]:
    """Return for each value the index in RULES of the rule it breaks, 0 for none."""
    if pa.types.is_dictionary(column.type):
        return _per_row(column, _rules(column.dictionary))
    rules: npt.NDArray[np.int8] = np.where(_lengths(column) > LONGEST_LINE, 1, 0).astype(np.int8)
    octets = column.cast(pa.binary())
    rules[_flags(pc.match_substring(octets, "\0")) & (rules == 0)] = 2
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        bad = [value is not None and not is_text(value) for value in octets.to_pylist()]
        if not any(bad):
            raise
        rules[np.array(bad) & (rules == 0)] = 3
    return rules


def _flags(values: Any) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = values.fill_null(False).to_numpy(zero_copy_only=False)
    return flags


def _lengths(column: Any) -> npt.NDArray[np.int64]:
    """Return the length in bytes of each value of a text column, int64; 0 for nulls."""
    if pa.types.is_dictionary(column.type):
        return _per_row(column, _lengths(column.dictionary))
    lengths = pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(lengths, np.int64)


def _per_row(column: Any, per_value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Spread figures per dictionary value over the rows; 0 for nulls."""
    codes = column.indices.fill_null(len(per_value)).to_numpy(zero_copy_only=False)
    if len(codes) and not 0 <= codes.min() <= codes.max() <= len(per_value):
        raise pa.ArrowInvalid("a value is not in the dictionary of its column")
    per_row: npt.NDArray[Any] = np.append(per_value, per_value.dtype.type(0))[codes]
    return per_row


def _decoded(column: Any) -> Any:
    """Return a column as plain text; an empty text is null, as in the other formats."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return pc.if_else(pc.equal(pc.binary_length(column), 0), None, column)


def _spans(ends: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of runs of about HELD bytes; `ends` is the running sum of bytes."""
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + HELD, side="right")), start + 1)
        yield start, stop
        start = stop

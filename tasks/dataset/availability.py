"""Whether an item may be recommended, read from a catalogue's text."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from tasks.runtime.errors import InputError

TRUE = ("true", "t", "yes", "y", "on")
FALSE = ("false", "f", "no", "n", "off")
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$"
EXPECTED = (
    f"{', '.join(TRUE)}, {', '.join(FALSE)}, or a number, which is true above 0 (1, 0, 1.0, a stock of 17)"
)


def available_of(texts: pa.ChunkedArray, lines: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return whether each item is available, bool (n,); a missing value means that it is.

    Spaces around a text and its case do not matter. ``lines`` int64 (n,) are the texts' lines in
    the file `name`, for the message.

    Raises
    ------
    InputError
        If a text is neither true nor false.
    """
    words = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    is_number = pc.fill_null(pc.match_substring_regex(words, NUMBER), fill_value=False)
    numbers = pc.cast(pc.if_else(is_number, words, None), pa.float64())
    is_true, is_false = (pc.is_in(words, value_set=pa.array(known)) for known in (TRUE, FALSE))
    unknown = pc.invert(pc.or_(pc.or_(is_true, is_false), pc.or_(is_number, pc.is_null(words))))
    if count := pc.sum(unknown).as_py():
        first = pc.index(unknown, value=True).as_py()
        others = f" (and {count - 1:,} more)" if count > 1 else ""
        raise InputError(
            f"[items] available: expected {EXPECTED}, got {texts[first].as_py()!r:.100} in line "
            f"{lines[first].as_py()} of {name}{others}"
        )
    return pc.invert(pc.or_(is_false, pc.fill_null(pc.less_equal(numbers, 0), fill_value=False)))

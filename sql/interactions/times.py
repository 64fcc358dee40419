"""The time of a row: a text in one of the source's formats, as an expression of either engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from sql.engines.engine import Dialect
from sql.engines.text import literal, trimmed
from sql.source import Source
from sql.timestamps import BY_PARTS, EPOCHS, ISO, ISO_SPELLINGS, regex_parts

WHOLE_ISO = rf"\A(?:{ISO})\z"
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
JANUARY, FIRST, FOURTH = "'01'", "'01'", "'04'"  # as SQL
DAY = 86_400_000_000  # microseconds
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z; later is out of range, not unreadable
PER_UNIT = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
NUMBER = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][0-9]+)?"
"""A count since 1970. An exponent with a sign is a spreadsheet's, which has rounded: 1.79353E+12."""
OFFSET_LETTERS = "'ZzUuGg+-'"  # of Z, UTC, GMT and offsets


def parsed_time(text: str, source: Source, dialect: Dialect) -> str:
    """Return an expression for text as TIMESTAMP as written, by the first format that reads it."""
    times = [_parsed(text, pattern, dialect) for pattern in source.time_formats]
    return times[0] if len(times) == 1 else f"coalesce({', '.join(times)})"


def is_local(text: str, source: Source, dialect: Dialect) -> str:
    """Return an expression that tells whether a time that was read is in the source's zone."""
    formats = source.time_formats
    states = [_local(text, pattern) for pattern in formats]
    if source.time_zone == "UTC":
        return "FALSE"
    if len(set(states)) == 1:
        return states[0]
    whens = [
        f"WHEN {_parsed(text, pattern, dialect)} IS NOT NULL THEN {state}"
        for pattern, state in zip(formats, states, strict=True)
    ]
    return f"CASE {' '.join(whens)} END"


def _local(text: str, pattern: str) -> str:
    if pattern in EPOCHS or "%z" in pattern or "%Z" in pattern:
        return "FALSE"
    if pattern != "iso":
        return "TRUE"
    clock = f"substring({text}, 11)"  # what follows a date
    return f"translate({clock}, {OFFSET_LETTERS}, '') = {clock}"


def _parsed(text: str, pattern: str, dialect: Dialect) -> str:
    if pattern == "epoch_ns":
        return _nanoseconds(text, dialect)
    if pattern in EPOCHS:
        return _epoch(text, PER_UNIT[pattern], dialect)
    if pattern == "iso":
        usual = reduce(lambda inner, step: dialect.rewrite(inner, *step), ISO_SPELLINGS, text)
        # named once: DuckDB would compute a repeated expression for all rows, and not for the odd ones
        only = f"regexp_extract({usual}, {literal(WHOLE_ISO)}, 0)"
        return f"coalesce({dialect.parse_time(text, pattern)}, {dialect.cast_time(only)})"
    parts = list(regex_parts(pattern))
    if any(directive in BY_PARTS for directive, _ in parts):
        return _by_parts(text, parts, dialect)
    return dialect.parse_time(text, pattern)


def _epoch(text: str, per_unit: int, dialect: Dialect) -> str:
    bound = LAST_SECOND * 1_000_000 // per_unit
    number = f"least(greatest(TRY_CAST({trimmed(text)} AS DOUBLE), -{bound}), {bound})"
    return (
        f"CASE WHEN {dialect.matches(trimmed(text), NUMBER)} "
        f"THEN timestamp_micros(CAST(round({number} * {per_unit}) AS BIGINT)) END"
    )


def _nanoseconds(text: str, dialect: Dialect) -> str:
    """Read whole numbers only: a double has no room for the digits of nanoseconds."""
    digits = trimmed(text)
    micros = f"substring({digits}, 1, length({digits}) - 3)"
    bound = LAST_SECOND * 1_000_000
    return (
        f"CASE WHEN {dialect.matches(digits, '[0-9]{1,3}')} THEN timestamp_micros(CAST(0 AS BIGINT)) "
        f"WHEN {dialect.matches(digits, '[0-9]{4,21}')} "
        f"THEN timestamp_micros(least(TRY_CAST({micros} AS BIGINT), {bound})) END"
    )


def _by_parts(text: str, parts: Sequence[tuple[str, str]], dialect: Dialect) -> str:
    """Read a pattern part by part: the date and the clock are spelled in ISO's form and cast."""
    regex = "".join(f"({part})" if directive else part for directive, part in parts)
    order = [directive for directive, _ in parts if directive]

    def part(directive: str) -> str:
        return f"regexp_extract({text}, {literal(regex)}, {order.index(directive) + 1})"

    day = f"unix_micros({_day(part, order)})"
    time = f"timestamp_micros({day} + unix_micros({_clock(part, order)}){_offset(part, order)})"
    return f"CASE WHEN {dialect.matches(text, regex)} THEN {time} END"


def _day(part: Callable[[str], str], order: Sequence[str]) -> str:
    """Return an expression for midnight of the day, NULL if there is no such day."""
    if "%G" in order and "%V" in order:
        fourth = f"CAST(unix_micros({_timestamp(part('%G'), JANUARY, FOURTH)}) / {DAY} AS BIGINT)"
        monday = f"{fourth} - ({fourth} + 3) % 7"  # 1970-01-01 was a Thursday
        weekday = f"CAST({part('%u')} AS INT)" if "%u" in order else "1"
        first = f"{monday} + (CAST({part('%V')} AS INT) - 1) * 7"
        thursday = f"year(timestamp_micros(({first} + 3) * {DAY}))"  # not every year has a week 53
        valid = f"CAST({part('%V')} AS INT) >= 1 AND {thursday} = CAST({part('%G')} AS INT)"
        return f"CASE WHEN {valid} THEN timestamp_micros(({first} + {weekday} - 1) * {DAY}) END"
    year = part("%Y") if "%Y" in order else ""
    if not year:  # two digits, as POSIX has them: 69 to 99 are of the last century
        year = f"concat(CASE WHEN {part('%y')} >= '69' THEN '19' ELSE '20' END, {part('%y')})"
    if "%j" in order:
        number = f"CAST({part('%j')} AS INT)"
        first = f"unix_micros({_timestamp(year, JANUARY, FIRST)})"
        day = f"timestamp_micros({first} + ({number} - 1) * {DAY})"
        return f"CASE WHEN {number} >= 1 AND year({day}) = CAST({year} AS INT) THEN {day} END"
    month = f"lpad({part('%m')}, 2, '0')" if "%m" in order else "'01'"
    if named := next((name for name in ("%b", "%B") if name in order), None):
        letters = 3 if named == "%b" else None
        whens = (f"WHEN '{name[:letters]}' THEN '{number:02d}'" for number, name in enumerate(MONTHS, 1))
        month = f"CASE lower({part(named)}) {' '.join(whens)} END"
    return _timestamp(year, month, f"lpad({part('%d')}, 2, '0')" if "%d" in order else "'01'")


def _timestamp(year: str, month: str, day: str) -> str:
    return f"TRY_CAST(concat({year}, '-', {month}, '-', {day}, ' 00:00:00') AS TIMESTAMP)"


def _clock(part: Callable[[str], str], order: Sequence[str]) -> str:
    """Return an expression for the time of the day on 1970-01-01, NULL if there is none."""
    two = {name: f"lpad({part(name)}, 2, '0')" if name in order else "'00'" for name in ("%H", "%M", "%S")}
    hour = two["%H"]
    if "%I" in order:
        half = f"CASE WHEN lower({part('%p')}) = 'pm' THEN 12 ELSE 0 END" if "%p" in order else "0"
        twelve = f"CAST({part('%I')} AS INT)"
        hour = (
            f"CASE WHEN {twelve} BETWEEN 1 AND 12 "
            f"THEN lpad(CAST({twelve} % 12 + {half} AS STRING), 2, '0') ELSE '99' END"
        )
    fraction = f", '.', {part('%f')}" if "%f" in order else ""
    return (
        f"TRY_CAST(concat('1970-01-01 ', {hour}, ':', {two['%M']}, ':', {two['%S']}{fraction}) AS TIMESTAMP)"
    )


def _offset(part: Callable[[str], str], order: Sequence[str]) -> str:
    """Return the end of a sum: less the offset of %z, in microseconds."""
    if "%z" not in order:
        return ""
    digits = f"rpad(replace(substring({part('%z')}, 2), ':', ''), 4, '0')"
    minutes = f"CAST(substring({digits}, 1, 2) AS INT) * 60 + CAST(substring({digits}, 3, 2) AS INT)"
    sign = f"CASE WHEN substring({part('%z')}, 1, 1) = '-' THEN -1 ELSE 1 END"
    return f" - {sign} * ({minutes}) * CAST(60000000 AS BIGINT)"

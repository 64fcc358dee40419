"""The format of timestamps, from their texts: ISO, an epoch by its magnitude, or a strptime pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from sql.timestamps import EPOCHS, ISO, ISO_SPELLINGS, time_regex

EPOCH: Final = re.compile(r"[0-9]+(?:[.][0-9]+)?(?:[eE][0-9]+)?")
UNITS: Final = dict(zip(EPOCHS, (1, 10**3, 10**6, 10**9), strict=True))
START: Final = datetime(1970, 1, 1, tzinfo=UTC)
YEARS: Final = (1990, 2100)
SURE_YEARS: Final = (1995, 2050)
ENOUGH: Final = {True: 0.6, False: 0.9}
"""The share of texts in known formats that makes a column one of times, if it is named so or not."""
CLOCKS: Final = ("", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %H:%M:%S.%f", " %H:%M:%S,%f")
ZONED: Final = re.compile(r"(?:[Zz]|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2}|\])\s*$")
DATE_ONLY: Final = re.compile(r"[^:]*")


@dataclass(frozen=True)
class TimeGuess:
    """The formats that read a column's texts, in order.

    `other` is an order of day and month that reads them as well, None if one is certain. `first`
    and `last` are the earliest and latest times. `zoned` tells whether all texts name their zone.
    """

    formats: tuple[str, ...]
    share: float
    first: datetime
    last: datetime
    zoned: bool
    other: str | None = None

    @property
    def is_epoch(self) -> bool:
        """Whether the times are counted from 1970."""
        return self.formats[0] in UNITS


def guess_time(texts: Sequence[str], *, named: bool = True) -> TimeGuess | None:
    """Return the formats of a column's texts, None if it does not hold times.

    Whole numbers in a column that is not `named` like a time are times only if they are long enough
    and of these years.
    """
    texts = [text.strip() for text in texts if text and text.strip()]
    if not texts:
        return None
    readers: list[tuple[str, Callable[[str], datetime | None]]] = [("iso", read_iso)]
    epoch = _epoch(texts, named)
    if epoch:
        readers.append((epoch, lambda text: _from_epoch(text, epoch)))
    readers += [(pattern, _reader(pattern)) for pattern in patterns()]
    times: dict[str, datetime] = {}
    formats: list[str] = []
    other = None
    rest = list(dict.fromkeys(texts))
    for _ in range(3):
        found = {name: _read(rest, read) for name, read in readers if not _contradicts(name, formats)}
        best = max((len(read) for read in found.values()), default=0)
        if best < max(1, len(rest) * (0.5 if not formats else 0.05)):
            break
        full = [name for name, read in found.items() if len(read) == best]
        name, second = _decide(full, found)
        formats.append(name)
        other = other or second
        times |= found[name]
        rest = [text for text in rest if text not in times]
        if not rest:
            break
    share = sum(text in times for text in texts) / len(texts)
    if not formats or share < ENOUGH[named]:
        return None
    zoned = formats[0] in UNITS or all(ZONED.search(text) and ":" in text for text in times)
    return TimeGuess(tuple(formats), share, min(times.values()), max(times.values()), zoned, other)


def time_reader(formats: Sequence[str]) -> Callable[[str], datetime | None]:
    """Return a function that reads a text by the first of these formats that can."""
    readers = [_reader_of(name) for name in formats]
    return lambda text: next((time for read in readers if (time := read(text.strip())) is not None), None)


def _reader_of(name: str) -> Callable[[str], datetime | None]:
    if name in UNITS:
        return lambda text: _from_epoch(text, name)
    return read_iso if name == "iso" else _reader(name)


def read_iso(text: str) -> datetime | None:
    """Return the time that a text in one of ISO's spellings tells; None for any other text."""
    for expression, replacement in ISO_SPELLINGS:
        text = re.sub(expression, re.sub(r"\$(\d)", r"\\g<\1>", replacement), text)
    if re.fullmatch(ISO, text) is None:
        return None
    text = re.sub(r"([.][0-9]{6})[0-9]+", r"\1", text)
    try:
        return _in_years(_in_utc(datetime.fromisoformat(text)))
    except ValueError:
        return None


@cache
def patterns() -> tuple[str, ...]:
    """Return the strptime patterns that are tried."""
    return tuple(_patterns())


def _patterns() -> Iterator[str]:
    for separator in "/.-":
        for parts in (
            ("%Y", "%m", "%d"),
            ("%d", "%m", "%Y"),
            ("%m", "%d", "%Y"),
            ("%d", "%m", "%y"),
            ("%m", "%d", "%y"),
        ):
            for clock in (*CLOCKS, *(f",{clock}" for clock in CLOCKS if clock)):
                yield separator.join(parts) + clock
    worded = (
        "%d %b %Y",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%d/%b/%Y",
        "%b %d, %Y",
        "%b %d %Y",
        "%B %d, %Y",
        "%d %B %Y",
        "%d. %B %Y",
    )
    for day in worded:
        for clock in (*CLOCKS, *(f",{clock}" for clock in CLOCKS if clock)):
            yield day + clock
    yield from ("%a, %d %b %Y %H:%M:%S %Z", "%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %Z %Y")
    yield from (
        "%a %b %d %H:%M:%S %Y",
        "%a %b %d %H:%M:%S %z %Y",
        "%a %b %d %Y %H:%M:%S",
        "%Y/%m/%d %H:%M:%S %z",
    )
    yield from ("%d/%b/%Y:%H:%M:%S %z", "%Y%m%d%H%M%S", "%d/%m/%Y %H:%M:%S %z", "%m/%d/%Y %H:%M:%S %z")
    yield from ("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%G-W%V-%u", "%Y-%j")


@cache
def _reader(pattern: str) -> Callable[[str], datetime | None]:
    regex = re.compile(time_regex(pattern))

    def read(text: str) -> datetime | None:
        if regex.fullmatch(text) is None:
            return None
        try:
            return _in_years(_in_utc(datetime.strptime(text, pattern)))  # noqa: DTZ007 - see _in_utc
        except ValueError:
            return None

    return read


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _in_years(time: datetime | None, years: tuple[int, int] = YEARS) -> datetime | None:
    return time if time is not None and years[0] <= time.year < years[1] else None


def _read(texts: Sequence[str], read: Callable[[str], datetime | None]) -> dict[str, datetime]:
    """Return the texts that a reader understands with their times; nothing if it fails on the first 50."""
    start = {text: time for text in texts[:50] if (time := read(text)) is not None}
    if not start:
        return {}
    return start | {text: time for text in texts[50:] if (time := read(text)) is not None}


def _epoch(texts: Sequence[str], named: bool) -> str | None:
    """Return the unit in which most texts are figures of these years."""
    years = YEARS if named else SURE_YEARS
    best, most = None, 0.0
    for unit in UNITS:
        share = sum(_in_years(_from_epoch(text, unit), years) is not None for text in texts) / len(texts)
        if share > most:
            best, most = unit, share
    return best if most >= ENOUGH[named] else None


def _from_epoch(text: str, unit: str) -> datetime | None:
    if EPOCH.fullmatch(text) is None:
        return None
    try:
        figure = int(text) if text.isdigit() else float(text)
        return _in_years(START + timedelta(microseconds=int(figure * 10**6 // UNITS[unit])))
    except (OverflowError, ValueError):  # infinite, or of thousands of digits
        return None


def _contradicts(name: str, formats: Sequence[str]) -> bool:
    """Return whether one format puts the day first, and one before it the month."""
    return name in formats or any(
        _order(name) and _order(name) == _order(old)[::-1] for old in formats if _order(old)
    )


def _order(pattern: str) -> str:
    """Return dm or md for a pattern that begins with a day and a month in figures, else nothing."""
    match = re.match(r"%([dm])[/.-]%([dm])", pattern)
    return "".join(match.groups()) if match else ""


def _decide(full: Sequence[str], found: dict[str, dict[str, datetime]]) -> tuple[str, str | None]:
    """Return the format to use, and one that reads the texts as well with day and month exchanged.

    Logs are of days that follow each other: the order with the shorter span is more likely.
    """
    name = full[0]
    swapped = next(
        (
            other
            for other in full
            if _order(name)
            and _order(other) == _order(name)[::-1]
            and found[other].keys() == found[name].keys()
        ),
        None,
    )
    if swapped is None or found[name] == found[swapped]:
        return name, None if swapped is None else swapped
    by_span = sorted((name, swapped), key=lambda pattern: _span(found[pattern]))
    if _span(found[name]) == _span(found[swapped]) and "%p" in name:
        by_span = sorted(by_span, key=lambda pattern: _order(pattern) != "md")
    return by_span[0], by_span[1]


def _span(times: dict[str, datetime]) -> timedelta:
    return max(times.values()) - min(times.values())

"""The texts that count as timestamps: one grammar, as each engine accepts more, differently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime

ISO = (
    r"(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9]"
    r"(:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?)?)?"
)
"""ISO's usual form: a date, perhaps with time, seconds, fraction (cut to µs) and offset."""

ISO_SPELLINGS = (
    (r"^ *([^ ].*[^ ]) *$", "$1"),
    (r"^([0-9]{4})([0-9]{2})([0-9]{2})($|[Tt ].*)", "$1-$2-$3$4"),
    (r"^([0-9-]{10})[Tt ] *([0-9].*)$", "$1T$2"),
    (r"((?:[Zz]|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2}))\[[A-Za-z0-9_/+-]+\]$", "$1"),
    (r" *([Zz]|[Uu][Tt][Cc]|[Gg][Mm][Tt])$", "Z"),
    (r" +([+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})$", "$1"),
    (r"^([0-9-]{10}T[0-9]{2})([0-9]{2})($|[^0-9:].*)", "$1:$2$3"),
    (r"^([0-9-]{10}T[0-9]{2})([0-9]{2})([0-9]{2})($|[^0-9].*)", "$1:$2:$3$4"),
    (r"^([0-9-]{10}T[0-9]{2})($|[Z+-].*)", "$1:00$2"),
    (r"^([0-9-]{10}T[0-9]{2}:[0-9]{2})([Z+-].*)", "$1:00$2"),
    (r"^([0-9-]{10}T[0-9:]{8}),([0-9])", "$1.$2"),
)
"""Rewrites of ISO's other spellings to the usual form, in order: (regular expression, replacement).

They are the basic form (20260105T100000), spaces around, an hour alone, an offset after minutes, a
comma before the fraction, small letters, " UTC" and " GMT" (BigQuery, HTTP), and the zone's name in
brackets after an offset (Java).
"""

DIRECTIVES = {
    "%Y": "[0-9]{4}",
    "%m": "[0-9]{1,2}",
    "%d": "[0-9]{1,2}",
    "%H": "[0-9]{1,2}",
    "%M": "[0-9]{1,2}",
    "%S": "[0-9]{1,2}",
    "%I": "[0-9]{1,2}",
    "%f": "[0-9]{1,6}",
    "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]{3,9}",
    "%p": "[AaPp][Mm]",
    "%z": "[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?",
    "%%": "%",
    "%y": "[0-9]{2}",
    "%j": "[0-9]{1,3}",
    "%G": "[0-9]{4}",
    "%V": "[0-9]{1,2}",
    "%u": "[1-7]",
    "%a": "[A-Za-z]{3}",
    "%A": "[A-Za-z]{6,9}",
    "%Z": "(?:UTC|GMT|UT|Z)",
}
"""The supported strptime directives, and the texts each accepts. %a, %A are read over; %Z is UTC."""

BY_PARTS = frozenset({"%y", "%j", "%G", "%V", "%u", "%a", "%A", "%Z"})
"""The directives that one engine lacks or reads in another way; we read their patterns ourselves."""
YEARS = ("%Y", "%y", "%G")
EPOCHS = ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns")
"""The formats of timestamps that count from 1970 in UTC."""


def pattern_parts(pattern: str) -> Iterator[tuple[str, str, bool]]:
    """Yield each part of a strptime pattern: (directive, "", alone) or ("", text, alone).

    A part is alone if no directive is next to it. A directive that is alone accepts numbers with
    fewer digits (8 for 08).
    """
    parts = re.findall(r"(%[^%])|((?:[^%]|%%)+)", pattern)
    for index, (directive, text) in enumerate(parts):
        neighbours = [*parts[max(index - 1, 0) : index], *parts[index + 1 : index + 2]]
        yield directive, text.replace("%%", "%"), not any(neighbour for neighbour, _ in neighbours)


def time_regex(pattern: str) -> str:
    """Return a regular expression for the texts that "iso" or a strptime pattern accepts."""
    return ISO if pattern == "iso" else "".join(part for _, part in regex_parts(pattern))


def regex_parts(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield each part of a strptime pattern: its directive ("" for text) and regular expression.

    Both engines and Python read the expressions alike.
    """
    for directive, text, alone in pattern_parts(pattern):
        part = re.sub(r"([][\\.^$|?*+(){}])", r"\\\1", text) if text else DIRECTIVES[directive]
        yield directive, part if alone else re.sub(r"\{1,([23])\}", r"{\1}", part)


def require_time_format(pattern: str) -> None:
    """Raise ValueError for a format of timestamps that is not known."""
    if pattern in {"iso", *EPOCHS}:
        return
    used = re.findall(r"%.?", pattern)
    if not {"%Y", "%y"} & set(used) and not {"%G", "%V"} <= set(used):
        raise ValueError(
            f"expected iso, {', '.join(EPOCHS)} or a strptime pattern with %Y, %y or %G and %V, "
            f"got {pattern!r}"
        )
    for directive in used:
        if directive not in DIRECTIVES:
            raise ValueError(f"unknown directive {directive} in {pattern!r}; known: {' '.join(DIRECTIVES)}")


def file_date_regex(pattern: str) -> str:
    """Return a regular expression for the dates of a pattern in a file's name.

    A number at its start or end that may have fewer digits is not part of a longer number.

    Raises
    ------
    ValueError
        If the pattern has an unknown directive, or no year.
    """
    used = {directive for directive, _, _ in pattern_parts(pattern) if directive}
    if unknown := sorted(used - DIRECTIVES.keys()):
        raise ValueError(f"unknown {unknown[0]}; known: {', '.join(DIRECTIVES)}")
    if not used & set(YEARS):
        raise ValueError(f"no year ({', '.join(YEARS)})")
    regex = time_regex(pattern)
    start = "(?<![0-9])" if re.match(r"\[0-9\]\{1,", regex) else ""
    end = "(?![0-9])" if re.search(r"\[0-9\]\{1,[0-9]\}$", regex) else ""
    return f"{start}{regex}{end}"


def file_date(text: str, pattern: str) -> date | None:
    """Return the first day of the period that a file's name tells; None if it tells none."""
    match = re.search(file_date_regex(pattern), text)
    if match is None:
        return None
    weekly = "%V" in pattern and "%u" not in pattern
    found, pattern = (f"{match.group(0)} 1", f"{pattern} %u") if weekly else (match.group(0), pattern)
    try:
        time = datetime.strptime(found, pattern)  # noqa: DTZ007
    except ValueError:
        return None
    return time.date() if _is_of_its_year(time, found, pattern) else None


def _is_of_its_year(time: datetime, text: str, pattern: str) -> bool:
    """Return whether a week 53 or day 366 is one: strptime takes others for days of the next year."""
    parts = list(regex_parts(pattern))
    match = re.fullmatch("".join(f"({part})" if directive else part for directive, part in parts), text)
    numbers = match.groups() if match else ()
    counted = {"%V": time.isocalendar().week, "%j": time.timetuple().tm_yday}
    directives = [directive for directive, _ in parts if directive]
    pairs = zip(directives, numbers, strict=False)
    return all(int(number) == counted[directive] for directive, number in pairs if directive in counted)

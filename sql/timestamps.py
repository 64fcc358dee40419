"""The texts that count as timestamps: one grammar, as each engine accepts more, differently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime

ISO = (
    r"(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9]"
    r"(:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?)?)?"
)
"""What `iso` accepts: a date, perhaps with time, seconds, fraction (cut to µs) and offset."""

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
    "%z": "[+-][0-9]{2}(:?[0-9]{2})?",
    "%%": "%",
}
"""The supported strptime directives, and the texts each accepts."""

FILE_DIRECTIVES = DIRECTIVES | {
    "%y": "[0-9]{2}",
    "%j": "[0-9]{1,3}",
    "%G": "[0-9]{4}",
    "%V": "[0-9]{1,2}",
    "%u": "[1-7]",
}
"""Those that a date in a file's name can have, too: a year of two digits, days and weeks of a year."""
YEARS = ("%Y", "%y", "%G")


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
    if pattern == "iso":
        return ISO
    return _regex(pattern, DIRECTIVES)


def _regex(pattern: str, directives: Mapping[str, str]) -> str:
    """Return a regular expression that both engines and Python read alike, from those of directives."""
    regex = ""
    for directive, text, alone in pattern_parts(pattern):
        part = re.sub(r"([][\\.^$|?*+(){}])", r"\\\1", text) if text else directives[directive]
        regex += part if alone else re.sub(r"\{1,([23])\}", r"{\1}", part)
    return regex


def file_date_regex(pattern: str) -> str:
    """Return a regular expression for the dates of a pattern in a file's name.

    A number at its start or end that may have fewer digits is not part of a longer number.

    Raises
    ------
    ValueError
        If the pattern has an unknown directive, or no year.
    """
    used = {directive for directive, _, _ in pattern_parts(pattern) if directive}
    if unknown := sorted(used - FILE_DIRECTIVES.keys()):
        raise ValueError(f"unknown {unknown[0]}; known: {', '.join(FILE_DIRECTIVES)}")
    if not used & set(YEARS):
        raise ValueError(f"no year ({', '.join(YEARS)})")
    regex = _regex(pattern, FILE_DIRECTIVES)
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
        return datetime.strptime(found, pattern).date()  # noqa: DTZ007
    except ValueError:
        return None

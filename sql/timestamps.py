"""The texts that count as timestamps: one grammar, as each engine accepts more, differently."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
    regex = ""
    for directive, text, alone in pattern_parts(pattern):
        part = re.sub(r"([][\\.^$|?*+(){}])", r"\\\1", text) if text else DIRECTIVES[directive]
        regex += part if alone else part.replace("{1,2}", "{2}")
    return regex

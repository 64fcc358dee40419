"""The texts that are timestamps: one grammar, since each engine takes more, and not the same more."""

from __future__ import annotations

import re
from collections.abc import Iterator

ISO = (
    r"(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9]"
    r"(:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?)?)?"
)
"""What `iso` takes: a date; with a time; with seconds, a fraction (cut to microseconds), an offset."""

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
"""The strptime directives that may be used, and the texts that each takes."""


def directives(pattern: str) -> Iterator[tuple[str, str, bool]]:
    """Yield the parts of a strptime pattern: a directive or a text, and whether it stands between texts.

    A number alone may have fewer digits (8 for 08); beside another directive it may not.
    """
    parts = re.findall(r"(%[^%])|((?:[^%]|%%)+)", pattern)
    for place, (directive, text) in enumerate(parts):
        around = [*parts[max(place - 1, 0) : place], *parts[place + 1 : place + 2]]
        yield directive, text.replace("%%", "%"), not any(other for other, _ in around)


def time_regex(pattern: str) -> str:
    """Return the regular expression of the whole texts that "iso" or a strptime pattern takes."""
    if pattern == "iso":
        return ISO
    regex = ""
    for directive, text, alone in directives(pattern):
        one = re.sub(r"([][\\.^$|?*+(){}])", r"\\\1", text) if text else DIRECTIVES[directive]
        regex += one if alone else one.replace("{1,2}", "{2}")
    return regex

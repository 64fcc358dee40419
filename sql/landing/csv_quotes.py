"""Quotes and escapes in CSV: what Python's csv reader does not tell apart is marked before it reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ESCAPE, QUOTE, DELIMITER = "\0e", "\0q", "\0d"  # no line that is read has a NUL


@dataclass(frozen=True)
class Quotes:
    """Whether quotes enclose fields, and the character that escapes, "" for none.

    If they do, an escape counts inside of quotes only, as Spark writes it. Otherwise it counts
    before a delimiter and before itself, as Hive writes it.
    """

    enclose: bool = True
    escape: str = ""
    delimiter: str = ","

    @property
    def mark(self) -> bytes:
        """The byte that makes a line odd: a quote, or an escape where quotes are text."""
        return b'"' if self.enclose else self.escape.encode()

    def may_escape(self, line: bytes) -> bool:
        """Tell whether a backslash before a quote may be the escape of a line that is no row else."""
        return self.enclose and not self.escape and b'\\"' in line

    def marked(self, line: str) -> str:
        """Return a line with marks for its escaped characters."""
        if not self.escape or self.escape not in line:
            return line
        marks = {self.escape: ESCAPE} | ({'"': QUOTE} if self.enclose else {self.delimiter: DELIMITER})
        escaped = re.escape(self.escape) + f"([{re.escape(''.join(marks))}])"
        return re.sub(escaped, lambda match: marks[match.group(1)], line)

    def restored(self, record: str, values: Sequence[str]) -> list[str]:
        """Return the values of a marked record without marks; outside of quotes, escapes are text."""
        if "\0" not in record:
            return list(values)
        if not self.enclose:
            return [value.replace(DELIMITER, self.delimiter).replace(ESCAPE, self.escape) for value in values]
        at, plain = 0, []
        for value in values:
            quoted = record[at : at + 1] == '"'
            at += len(value) + (2 + value.count('"') if quoted else 0) + 1
            lead = "" if quoted else self.escape
            plain.append(value.replace(QUOTE, f'{lead}"').replace(ESCAPE, lead + self.escape))
        return plain

"""What a growing file holds up to the end of its last whole line, and what it held before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class Beginning:
    """The first `size` bytes of a file: their hash, and the lines that end in them."""

    size: int
    sha256: str
    lines: int


def whole_lines(path: Path, sizes: Iterable[int] = ()) -> tuple[Beginning, list[Beginning]]:
    """Return what a file holds up to the end of its last line, and those of its beginnings of `sizes`.

    The file is read once, as a stream.
    """
    due = sorted({*sizes} - {0}, reverse=True)
    beginnings: list[Beginning] = []
    digest, size, lines = hashlib.sha256(), 0, 0
    last = Beginning(0, digest.hexdigest(), 0)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            line_end = chunk.rfind(b"\n") + 1
            wanted = {due.pop() - size for _ in [*due] if due[-1] <= size + len(chunk)}
            start = 0
            for end in sorted({*wanted, line_end, len(chunk)} - {0}):
                digest.update(chunk[start:end])
                lines += chunk.count(b"\n", start, end)
                here = Beginning(size + end, digest.hexdigest(), lines)
                beginnings += [here] if end in wanted else []
                last = here if end == line_end else last
                start = end
            size += len(chunk)
    return last, beginnings

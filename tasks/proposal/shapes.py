"""The files of a sample by the shape of their names, the globs that match them, and their dates."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from glob import escape
from pathlib import Path
from typing import Final

from sql.landing.landing import FORMATS
from tasks.proposal.sample import plain_name
from tasks.runtime.errors import InputError
from tasks.sources.discovery import Discovered, Search, files_under
from tasks.sources.source_files import SourceFile, day_in, last_day

CHANGING: Final = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?=[a-f]*[0-9])[0-9a-f]{16,}|[0-9]+"
)
"""Parts of names that differ between files of a kind: UUIDs, hashes, figures."""
FILE_DATES: Final = (
    "%Y-%m-%d",
    "%Y%m%d",
    "%Y_%m_%d",
    "%Y.%m.%d",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%d.%m.%Y",
    "%G-W%V",
    "%Y-%m",
)
MOST_SHAPES: Final = 20
LOOKED_AT: Final = 5
"""Files of a shape that are looked at."""
FITTING: Final = 0.8
"""The share of a file's events that must fit the date in its name."""


@dataclass(frozen=True)
class Shape:
    """Files whose names differ only in figures: `pattern` matches them."""

    files: tuple[SourceFile, ...]
    pattern: str

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)

    def spread(self) -> list[SourceFile]:
        """Return a few of the files, from the first to the last by name."""
        last = len(self.files) - 1
        wanted = min(LOOKED_AT, len(self.files))
        return [self.files[round(number * last / max(1, wanted - 1))] for number in range(wanted)]


def find_files(sample: str) -> Discovered:
    """Return the files of a sample: a file, of any suffix, or those in a folder; InputError without any."""
    if "://" not in sample and not Path(sample).exists():
        raise InputError(f"{sample}: expected a file or folder with logs, got no such path")
    is_folder = "://" not in sample and Path(sample).is_dir()
    known = any(plain_name(sample).lower().endswith(suffix) for suffix in FORMATS)
    search = Search("sample", "auto" if is_folder or known else "csv", columns=None)
    path = sample if "://" in sample else os.path.abspath(sample)  # noqa: PTH100 - links stay
    try:
        return files_under(path, search)
    except InputError as error:
        raise InputError(str(error).removeprefix("[sample] path = ")) from None


def shapes_of(files: Sequence[SourceFile]) -> list[Shape]:
    """Return files by the shape of their names, the largest shapes first."""
    by_pattern: dict[str, list[SourceFile]] = {}
    for file in files:
        by_pattern.setdefault(_pattern(file.address), []).append(file)
    shapes = [Shape(tuple(members), _glob(members, pattern)) for pattern, members in by_pattern.items()]
    return sorted(shapes, key=lambda shape: (-shape.size, shape.pattern))


def _pattern(address: str) -> str:
    *folders, base = address.split("/")
    stem, dot, suffixes = base.partition(".")
    parts = [CHANGING.sub("#", folder) if "=" in folder or folder.isdigit() else folder for folder in folders]
    return "/".join([*parts, CHANGING.sub("#", stem) + dot + _suffixes(suffixes)])


def _suffixes(text: str) -> str:
    """Return what follows a name's first point, with figures marked unless they are a suffix (.bz2)."""
    return ".".join(
        CHANGING.sub("#", part) if re.fullmatch(r"[0-9_-]+", part) else part for part in text.split(".")
    )


def _glob(files: Sequence[SourceFile], pattern: str) -> str:
    """Return a glob for files: their own name for one without a date in it."""
    if len(files) == 1 and date_pattern(files) is None:
        return files[0].address
    return re.sub(r"\*+", "*", re.sub(r"#(?:[-_.]?#)*", "*", escape(pattern)))


def date_pattern(files: Sequence[SourceFile]) -> str | None:
    """Return the pattern of the date that all names have, None without one."""
    for pattern in FILE_DATES:
        try:
            days = [day_in(file.address, pattern) for file in files]
        except InputError:
            continue
        if all(day is not None and 1995 <= day.year <= 2060 for day in days):
            return pattern
    return None


def fits(file: SourceFile, pattern: str, days: Sequence[date]) -> bool:
    """Return whether the events of a file are of the period in its name, perhaps a day off."""
    day = day_in(file.address, pattern)
    if day is None or not days:
        return True
    last = last_day(SourceFile(file.address, 0, "", day), pattern) or day
    near = sum(day - timedelta(days=1) <= event <= last + timedelta(days=1) for event in days)
    on = any(day <= event <= last for event in days)
    after = any(event > last + timedelta(days=1) for event in days)
    return on and near >= FITTING * len(days) and not after


def paths_of(
    shapes: Sequence[Shape], everything: Sequence[Shape], folders: Sequence[str], base: Path
) -> list[str]:
    """Return what [source] path names for files of some shapes: folders, or the globs of the shapes.

    `folders` are those that may be named, as samples or tables; one is if all its files, of
    `everything` that was found, have these shapes. The paths are relative to `base`.
    """
    left = {file.address for shape in shapes for file in shape.files}
    others = {file.address for shape in everything for file in shape.files} - left
    paths = []
    for folder in folders:
        here = {address for address in left if address.startswith(f"{folder.rstrip('/')}/")}
        if here and not any(address.startswith(f"{folder.rstrip('/')}/") for address in others):
            paths.append(folder)
            left -= here
    paths += [shape.pattern for shape in shapes if any(file.address in left for file in shape.files)]
    return sorted({relative(path, base) for path in paths})


def relative(address: str, folder: Path) -> str:
    """Return an address relative to the configuration's folder if it lies below, or beside it."""
    if "://" in address:
        return address
    below = address.startswith(f"{folder}/")
    path = os.path.relpath(address, folder if below else folder.resolve())
    return address if path.startswith("../../..") else path

"""The folder of an Iceberg table: its current metadata, and its files by the names they were written by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import fsspec
from pyiceberg.io import FileIO, InputFile, OutputFile

from tasks.runtime.errors import InputError

LOG: Final = "metadata"
VERSION: Final = re.compile(r"v(?P<hadoop>\d+)(\.gz)?\.metadata\.json|(?P<catalog>\d+)-[^/]*\.metadata\.json")
SCHEMES: Final = re.compile(r"file:/+(?=/)|file:(?=/)")
ANOTHER: Final = "write its current rows to another table"


def current_metadata(names: Iterable[str], root: str, named: str) -> str:
    """Return the newest of a table's metadata files among these names, by the number in theirs.

    Tables of a folder call them v3.metadata.json, those of a catalogue 00003-....metadata.json.
    InputError if several are the newest, or none has a number.
    """
    above = f"{root}/{LOG}/"
    found: dict[tuple[bool, int], list[str]] = {}
    for name in names:
        match = VERSION.fullmatch(name.removeprefix(above)) if name.startswith(above) else None
        if match:
            number = match["hadoop"] or match["catalog"]
            found.setdefault((match["hadoop"] is not None, int(number)), []).append(name)
    newest = max(found, default=None)
    if newest is None:
        raise InputError(
            f"{named}: expected metadata files such as v3.metadata.json or 00003-....metadata.json"
        )
    if len({hadoop for hadoop, _ in found}) > 1 or len(found[newest]) > 1:
        last = sorted(name for kind in (False, True) for name in found.get(_last(found, hadoop=kind), ()))
        raise InputError(
            f"{named}: it is not clear which metadata is current: {', '.join(last)}; expected one newest "
            "file: move those elsewhere that its catalogue does not name"
        )
    return found[newest][0]


def _last(found: Iterable[tuple[bool, int]], *, hadoop: bool) -> tuple[bool, int]:
    return max((version for version in found if version[0] == hadoop), default=(hadoop, -1))


class Folder(FileIO):
    """Reads a table's files in the folder where it lies, by the names that they had where it was written."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str, named: str) -> None:
        super().__init__()
        self._filesystem, self._root, self._named = filesystem, root, named
        self._written = root

    def written_to(self, location: str) -> None:
        """Take the location at which the table was written."""
        self._written = _plain(location)

    def name(self, location: str) -> str:
        """Return the present name of a file; InputError if it lies outside of the table's folder."""
        written = _plain(location)
        if not written.startswith(f"{self._written}/") or ".." in written.split("/"):
            raise InputError(
                f"{self._named}: it names {location}, which is not below its location {self._written}; "
                f"expected a table of one folder: {ANOTHER}"
            )
        return f"{self._root}{written[len(self._written) :]}"

    def present(self, name: str) -> InputFile:
        """Return a file by its present name."""
        return _Input(name, self._filesystem)

    def new_input(self, location: str) -> InputFile:
        """Return a file by the name that it was written by; raises as `name` does."""
        return self.present(self.name(location))

    def new_output(self, location: str) -> OutputFile:
        """Raise PermissionError: a source is never written."""
        raise PermissionError(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Raise PermissionError: a source is never changed."""
        raise PermissionError(str(location))


class _Input(InputFile):
    """A file of a file system of fsspec."""

    def __init__(self, name: str, filesystem: fsspec.AbstractFileSystem) -> None:
        super().__init__(name)
        self._filesystem = filesystem

    def __len__(self) -> int:
        return int(self._filesystem.size(self.location))

    def exists(self) -> bool:
        return bool(self._filesystem.exists(self.location))

    def open(self, seekable: bool = True) -> Any:
        del seekable
        return self._filesystem.open(self.location, "rb")


def _plain(location: str) -> str:
    """Return a location without differences that do not matter: s3a and s3, file:/a and /a."""
    return SCHEMES.sub("", re.sub(r"^s3[an]://", "s3://", location)).rstrip("/")

"""The files under a path, on this machine or behind a URL, with their facts."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import fsspec

from tasks.runtime.errors import InputError
from tasks.sources.source_files import protocols

DEAD: Final = "a link to nothing"
HIDDEN: Final = re.compile(
    r"[._].*|~\$.*|(\$recycle\.bin|recycler|[#@]recycle|@eadir|system volume information)", re.IGNORECASE
)
"""Hidden and temporary names: also Office's locks, and the bins and indexes of Windows and storage boxes."""
MARKERS: Final = re.compile(
    r"_SUCCESS|_(started|committed)_.*|_(common_)?metadata|lost\+found|\.DS_Store|Thumbs\.db|.*\.crc"
    r"|_delta_log|_change_data|deletion_vector_.*\.bin"
)
"""Files and folders of other programs that hold no rows: left out without a word."""
Infos = Mapping[str, Mapping[str, Any]]


def files_at(filesystem: fsspec.AbstractFileSystem, name: str, path: str, setting: str) -> tuple[Infos, str]:
    """Return the files at a path with their facts, and the part of their names that is configured."""
    local = "file" in protocols(filesystem)
    wild = "*[" if path.startswith(("http://", "https://")) else "*?["
    literal = local and filesystem.exists(name)  # a folder named [a]
    if any(letter in name for letter in wild) and not literal:
        matches = _glob_local(filesystem, name) if local else filesystem.glob(name, detail=True)
        files = {found: info for found, info in matches.items() if info.get("type") != "directory"}
        for found in sorted(set(matches) - set(files)):
            files |= _walk(filesystem, found, local)
        return files, re.split(rf"[{re.escape(wild)}]", name)[0].rpartition("/")[0]
    if filesystem.isdir(name):
        return _walk(filesystem, name, local), name.rstrip("/")
    if filesystem.exists(name):
        return {name: filesystem.info(name)}, name
    raise InputError(f"{setting}: no such file or folder")


def _walk(filesystem: fsspec.AbstractFileSystem, folder: str, local: bool) -> dict[str, Any]:
    """Return all files below a folder; on this machine, links to folders are followed.

    There, hidden folders are not searched: they stand for what is in them.
    """
    if not local:
        found: dict[str, Any] = filesystem.find(folder, detail=True)
        return found
    return {name: _info(filesystem, name) for name in _walk_local(Path(folder), ())}


def _glob_local(filesystem: fsspec.AbstractFileSystem, pattern: str) -> dict[str, Any]:
    """Return what matches a pattern on this machine, also below links to folders."""
    matches = glob.glob(pattern, recursive=True, include_hidden=True)  # noqa: PTH207 - follows links
    return {name: _info(filesystem, name) for name in matches}


def _info(filesystem: fsspec.AbstractFileSystem, name: str) -> dict[str, Any]:
    try:
        info: dict[str, Any] = filesystem.info(name)
    except FileNotFoundError:
        return {"type": DEAD}
    return info


def _walk_local(folder: Path, above: tuple[Path, ...]) -> Iterator[str]:
    """Yield the files below a folder, and its hidden folders with a / at the end.

    InputError if a link leads back to a folder above it.
    """
    real = folder.resolve()
    if real in above:
        raise InputError(f"{folder}: a link to a folder that holds it; expected links without a circle")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and (HIDDEN.fullmatch(entry.name) or MARKERS.fullmatch(entry.name)):
            yield f"{entry.path}/"
        elif entry.is_dir():
            yield from _walk_local(Path(entry.path), (*above, real))
        else:
            yield entry.path

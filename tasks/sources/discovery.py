"""Which files a source has: found under its paths, and what was left out there, with the reason."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from fsspec.core import url_to_fs

from sql.interactions.raw_rows import wanted_columns
from sql.landing.landing import SUFFIXES, format_suffix
from sql.source import Source
from tasks.runtime.clock import now
from tasks.runtime.errors import InputError
from tasks.sources.listing import DEAD, HIDDEN, MARKERS, files_at
from tasks.sources.source_files import (
    SourceFile,
    day_in,
    input_error,
    modified,
    partitions,
    protocols,
    redacted,
    require_file,
)
from tasks.sources.table_files import TableFile
from tasks.sources.table_formats import membership, replaced_in

TEMPORARY: Final = "hidden or temporary"
UNKNOWN: Final = "of unknown format or compression"
EMPTY: Final = "empty"
LINKED: Final = "a link to a file that is read under another name"
UNSETTLED: Final = "still being written (changed less than settle_seconds ago)"
NOT_UTF8: Final = "with a name that is not UTF-8"
REPLACED: Final = frozenset({replaced_in("Delta"), replaced_in("Iceberg")})
COMPRESSIONS: Final = (".lz4", ".lzo", ".snappy", ".br", ".7z", ".z", ".tar")
EXAMPLES: Final = 3


@dataclass(frozen=True)
class LeftOut:
    """Files of a section that were left out for one reason: their number, and the first names."""

    reason: str
    files: int
    examples: tuple[str, ...]
    section: str = "source"

    def warning(self, section: str | None = None) -> str:
        """Return a sentence for a run's warnings."""
        return f"[{section or self.section}] not read: {self}"

    @property
    def is_news(self) -> bool:
        """Whether it asks for a look: a table that replaces its files says itself that they do not count."""
        return self.reason not in REPLACED

    def __str__(self) -> str:
        more = ", ..." if self.files > len(self.examples) else ""
        return f"{self.files:,} {self.reason} ({', '.join(self.examples)}{more})"


@dataclass(frozen=True)
class Discovered:
    """The files of a source, sorted by name, and what was left out.

    `unsettled` may still change; `tables` are the folders of tables whose logs tell the files.
    """

    files: list[SourceFile]
    left_out: tuple[LeftOut, ...]
    unsettled: tuple[SourceFile, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Search:
    """What to look for: files of a section of the configuration, in one format or by suffix.

    `columns` are those that a file's folders can tell; None for all.
    """

    section: str
    format: str
    file_date: str | None = None
    columns: tuple[str, ...] | None = ()


def discover(source: Source, as_of: date) -> Discovered:
    """Return the source's files, without those dated after `as_of`; raises as `files_under` does.

    Left out as well are those that changed less than `settle_seconds` ago, by this machine's clock.
    """
    found = files_under(
        source.path, Search(source.section, source.format, source.file_date, wanted_columns(source).columns)
    )
    due = [file for file in found.files if file.day is None or file.day <= as_of]
    present = now().timestamp()
    unsettled = {
        file: UNSETTLED
        for file in due
        # a time in the future is that of another clock
        if file.modified is not None and abs(present - file.modified) < source.settle_seconds
    }
    left_out = found.left_out
    if unsettled:
        left_out += _by_reason({_printable(file.address): reason for file, reason in unsettled.items()})
    return Discovered(
        [file for file in due if file not in unsettled], left_out, tuple(unsettled), found.tables
    )


def files_under(paths: str | tuple[str, ...], search: Search) -> Discovered:
    """Return the files under one or several paths, by name.

    Folders are searched to the bottom, and so are folders that a glob matches. Links are followed,
    and each file is read once. Left out are hidden and temporary files (by a part of the path below
    the configured one), files of unknown format, and empty files and tables, which count as soon as
    they have content.

    Raises
    ------
    InputError
        If a configured path has neither files nor a table; if a table cannot be read file by file, as
        `membership` says; if a name lacks the date that file_date asks for; or for a circle of links.
    """
    files: dict[str, SourceFile] = {}
    left_out: dict[str, str] = {}
    tables: list[str] = []
    for path in paths if isinstance(paths, tuple) else (paths,):
        here, others, roots = _discover_under(path, search)
        files |= {file.address: file for file in here}
        left_out |= others
        tables += roots
    _leave_out_links(files, left_out)
    return Discovered([file for _, file in sorted(files.items())], _by_reason(left_out), (), tuple(tables))


def _by_reason(left_out: Mapping[str, str]) -> tuple[LeftOut, ...]:
    names: dict[str, list[str]] = {}
    for name, reason in sorted(left_out.items()):
        names.setdefault(reason, []).append(redacted(name))
    return tuple(LeftOut(reason, len(all_), tuple(all_[:EXAMPLES])) for reason, all_ in sorted(names.items()))


def _leave_out_links(files: dict[str, SourceFile], left_out: dict[str, str]) -> None:
    """Keep each local file once, under its own name if it is listed, else under the first."""
    by_real: dict[str, str] = {}
    folders: dict[str, str] = {}
    real = {address: _real(address, folders) for address, file in files.items() if file.local}
    for address in sorted(real, key=lambda address: (real[address] != address, address)):
        if by_real.setdefault(real[address], address) != address:
            left_out[address] = LINKED
            del files[address]


def _real(address: str, folders: dict[str, str]) -> str:
    """Return a file's path without links; `folders` remembers those of folders."""
    folder, base = os.path.split(address)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return os.path.realpath(address) if Path(address).is_symlink() else f"{folders[folder]}/{base}"


def _discover_under(path: str, search: Search) -> tuple[list[SourceFile], dict[str, str], list[str]]:
    """Return the files under one configured path, the reason for each that is left out, and its tables."""
    setting = f"[{search.section}] path = {redacted(path)}"
    try:
        filesystem, name = url_to_fs(path)
        local = "file" in protocols(filesystem)
        listed, base = files_at(filesystem, name, path, setting)
        members = membership(filesystem, listed, base, setting)
    except InputError:
        raise
    except Exception as error:  # of the library that serves this URL
        raise input_error(error, f"{setting}: cannot be read") from None
    files, left_out = [], {table.root: EMPTY for table in members.tables if not table.files}
    for found, info in members.infos.items():
        address = found if local else filesystem.unstrip_protocol(found)
        member, replaced = members.file(found), members.replaced(found)
        reason = replaced
        if member is None and found != base and replaced != "":
            against = _reason_against(found[len(base) :], info, search)
            reason = replaced if against is None else against
        if reason is None:
            files.append(_file(found, address, info, search, member=member, local=local))
        elif reason:
            left_out[_printable(address)] = reason
    if not files and not members.tables:
        others = "; ".join(map(str, _by_reason(left_out)))
        raise InputError(
            f"{setting}: no files there; expected {SUFFIXES}" + (f"; not read: {others}" if others else "")
        )
    roots = [table.root for table in members.tables]
    return files, left_out, roots if local else [filesystem.unstrip_protocol(root) for root in roots]


def _reason_against(below: str, info: Mapping[str, Any], search: Search) -> str | None:
    """Return why a file is left out, "" for one that holds no rows anyway; None to read it.

    `below` is its name below the configured path.
    """
    *folders, base = below.strip("/").split("/")
    if any(MARKERS.fullmatch(part) for part in (*folders, base)):
        return ""
    if any(HIDDEN.fullmatch(part) for part in (*folders, base)):
        return TEMPORARY
    if info.get("type") == DEAD:
        return DEAD
    if _printable(below) != below:
        return NOT_UTF8
    unknown = base.lower().endswith(COMPRESSIONS) or (search.format == "auto" and format_suffix(base) is None)
    if unknown:
        return UNKNOWN
    return EMPTY if info.get("size") == 0 and info.get("type") == "file" else None


def _printable(name: str) -> str:
    """Return a name with bytes that are not UTF-8 escaped: it can be neither printed nor stored."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _file(
    name: str,
    address: str,
    info: Mapping[str, Any],
    search: Search,
    *,
    member: TableFile | None,
    local: bool,
) -> SourceFile:
    if local:
        require_file(name)
    changing = ("mtime", "ETag", "LastModified", "updated")
    stamp = next((str(info[key]) for key in changing if info.get(key)), "")
    member = TableFile() if member is None else member
    all_told = partitions(name) if member.told is None else member.told
    columns = all_told if search.columns is None else search.columns
    told = {column: value for column, value in all_told.items() if column in columns}
    size, day = int(info.get("size") or 0), day_in(name, search.file_date, all_told)
    return SourceFile(address, size, stamp, day, local, modified(info), told, member.field_names)

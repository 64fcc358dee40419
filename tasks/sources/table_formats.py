"""Tables whose log says which of their files count: Delta and Iceberg are read by it, Hudi is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import PurePosixPath
from typing import Final

import fsspec

from tasks.runtime.errors import InputError
from tasks.sources.delta_table import DELTA_LOG, delta_table
from tasks.sources.listing import Infos
from tasks.sources.source_files import protocols
from tasks.sources.table_files import Table, TableFile

ICEBERG_LOG: Final = "metadata"
ICEBERG_METADATA: Final = ".metadata.json"


@dataclass(frozen=True)
class Membership:
    """The files at a path, with those that only a table's log names, and the tables among them."""

    infos: Infos
    tables: tuple[Table, ...] = ()

    def file(self, name: str) -> TableFile | None:
        """Return what a table says of a file that counts there, None for any other file."""
        return next((table.files[name] for table in self.tables if name in table.files), None)

    def replaced(self, name: str) -> str | None:
        """Return why a file in a table's folder does not count, "" for its log; None for any other."""
        for table in self.tables:
            if name.startswith(f"{table.root}/") and name not in table.files:
                in_log = any(name.startswith(f"{table.root}/{log}/") for log in table.logs)
                return "" if in_log else replaced_in(table.kind)
        return None


def replaced_in(kind: str) -> str:
    """Return the reason against files that a table of a kind has replaced or removed."""
    return f"no longer part of the {kind} table"


def membership(filesystem: fsspec.AbstractFileSystem, infos: Infos, base: str, setting: str) -> Membership:
    """Return which of the files at a path count, as the logs of tables among them say.

    `base` is the part of their names that is configured. On this machine, its parents and the
    folders between it and the files (which a glob does not list) are asked for a table's log, too; of
    an address, only `base` itself, and the folder of an Iceberg table whose data it is.

    Raises
    ------
    InputError
        If the files are a Hudi table, or a part of any table; if a table cannot be read file by file,
        as `delta_table` and `iceberg_table` say, or names a file that is not there.
    """
    deltas = sorted({name.partition(f"/{DELTA_LOG}/")[0] for name in infos if f"/{DELTA_LOG}/" in name})
    others = {name for name in infos if not any(name.startswith(f"{root}/") for root in deltas)}
    icebergs = sorted({root for name in others if (root := _iceberg_root(name))})
    plain = [name for name in others if not any(name.startswith(f"{root}/") for root in icebergs)]
    if plain:
        _require_plain(filesystem, sorted(plain), base, setting)
    tables = [
        delta_table(filesystem, infos, root, f"{setting}: the Delta table {root}") for root in deltas
    ] + [_iceberg_table(filesystem, infos, root, setting) for root in icebergs]
    missing = [(table, name) for table in tables for name in sorted(table.files.keys() - infos.keys())]
    unlisted = {name: _info(filesystem, name, table.kind, setting) for table, name in missing}
    return Membership({**infos, **unlisted}, tuple(tables))


def _iceberg_root(name: str) -> str | None:
    """Return the folder of the Iceberg table that a file describes; None for any other file."""
    root, log, base = name.rpartition(f"/{ICEBERG_LOG}/")
    return root if log and "/" not in base and base.endswith(ICEBERG_METADATA) else None


def _iceberg_table(filesystem: fsspec.AbstractFileSystem, infos: Infos, root: str, setting: str) -> Table:
    from tasks.sources.iceberg_table import iceberg_table  # its library is imported for such a table only

    return iceberg_table(filesystem, infos, root, f"{setting}: the Iceberg table {root}")


def _info(filesystem: fsspec.AbstractFileSystem, name: str, kind: str, setting: str) -> dict[str, object]:
    try:
        info: dict[str, object] = filesystem.info(name)
    except FileNotFoundError as error:
        linked = ", or is that of another table (a shallow clone)" if kind == "Delta" else ""
        article = "an" if kind == "Iceberg" else "a"
        raise InputError(
            f"{setting}: {article} {kind} table names a file that is not there ({error}): it was "
            f"removed{linked}"
        ) from None
    return info


def _require_plain(
    filesystem: fsspec.AbstractFileSystem, names: Sequence[str], base: str, setting: str
) -> None:
    """Raise InputError for a Hudi table, and for a part of any table."""
    if any(part == ".hoodie" for name in names for part in name.split("/")[:-1]):
        raise InputError(
            f"{setting}: a Hudi table, of which only some files count; expected a Delta or Iceberg table "
            "or plain files: write the table's current rows as Parquet, and name their folder"
        )
    local = "file" in protocols(filesystem)
    if protocols(filesystem)[0].startswith("http"):
        return
    for folder in _folders_about(names, base) if local else [base, base.removesuffix("/data")]:
        kind = next(_kinds(filesystem, folder), None)
        if kind:
            raise InputError(
                f"{setting}: a part of the {kind} table {folder}, of which only some files count; expected "
                + ("plain files" if kind == "Hudi" else "the table's folder")
            )


def _folders_about(names: Sequence[str], base: str) -> list[str]:
    """Return the configured part, the folders above it, and those between it and the files."""
    between = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder.startswith(f"{base}/") and folder not in between:
            between.add(folder)
            folder = folder.rpartition("/")[0]
    return [base, *map(str, PurePosixPath(base).parents), *sorted(between)]


def _kinds(filesystem: fsspec.AbstractFileSystem, folder: str) -> Iterator[str]:
    """Yield the format of the table whose folder this is."""
    if filesystem.isdir(f"{folder}/{DELTA_LOG}"):
        yield "Delta"
    if filesystem.isdir(f"{folder}/.hoodie"):
        yield "Hudi"
    log = f"{folder}/{ICEBERG_LOG}"
    if filesystem.isdir(log) and filesystem.glob(f"{escape(log)}/*{ICEBERG_METADATA}"):
        yield "Iceberg"

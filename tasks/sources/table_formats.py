"""Tables whose log says which of their files count: Delta is read by its log, others are refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import fsspec

from tasks.runtime.errors import InputError
from tasks.sources.listing import Infos
from tasks.sources.source_files import partitions, protocols

if TYPE_CHECKING:
    from deltalake import DeltaTable

DELTA_LOG: Final = "_delta_log"
REPLACED: Final = "no longer part of the Delta table"


@dataclass(frozen=True)
class Membership:
    """The files at a path, with those that only a table's log names.

    `current` are the files of Delta tables that count, `roots` the folders of these tables.
    """

    infos: Infos
    current: frozenset[str] = frozenset()
    roots: tuple[str, ...] = ()

    def is_replaced(self, name: str) -> bool:
        """Return whether a file lies in a Delta table whose log no longer names it."""
        return name not in self.current and any(name.startswith(f"{root}/") for root in self.roots)


def membership(filesystem: fsspec.AbstractFileSystem, infos: Infos, base: str, setting: str) -> Membership:
    """Return which of the files at a path count, as the logs of Delta tables among them say.

    `base` is the part of their names that is configured. On this machine, its parents and the
    folders between it and the files (which a glob does not list) are asked for a table's log, too; of
    an address, only `base` itself.

    Raises
    ------
    InputError
        If the files are a Hudi or Iceberg table, or a part of any table; if a Delta table has rows
        deleted inside its files (deletion vectors) or other names of columns in them (column
        mapping), cannot be read by the library, or names a file that is not there.
    """
    roots = sorted({name.partition(f"/{DELTA_LOG}/")[0] for name in infos if f"/{DELTA_LOG}/" in name})
    plain = [name for name in infos if not any(name.startswith(f"{root}/") for root in roots)]
    if plain:
        _require_plain(filesystem, plain, base, setting)
    current: set[str] = set()
    for root in roots:
        current |= _current_files(filesystem, infos, root, f"{setting}: the Delta table {root}")
    try:
        unlisted = {name: filesystem.info(name) for name in sorted(current - infos.keys())}
    except FileNotFoundError as error:
        raise InputError(
            f"{setting}: a Delta table names a file that is not there ({error}): it was removed, or is "
            "that of another table (a shallow clone)"
        ) from None
    return Membership({**infos, **unlisted}, frozenset(current), tuple(roots))


def _require_plain(
    filesystem: fsspec.AbstractFileSystem, names: Sequence[str], base: str, setting: str
) -> None:
    """Raise InputError for tables other than Delta, and for a part of any table."""
    parts = {part for name in names for part in name.split("/")[:-1]}
    kind = "Hudi" if ".hoodie" in parts else None
    if any(name.endswith(".metadata.json") and "/metadata/" in name for name in names):
        kind = "Iceberg"
    if kind:
        raise InputError(
            f"{setting}: a {kind} table, of which only some files count; expected a Delta table or "
            "plain files: write the table's current rows as Parquet, and name their folder"
        )
    local = "file" in protocols(filesystem)
    if protocols(filesystem)[0].startswith("http"):
        return
    for folder in _folders_about(names, base) if local else [base]:
        kind = next(_kinds(filesystem, folder), None)
        if kind:
            raise InputError(
                f"{setting}: a part of the {kind} table {folder}, of which only some files count; expected "
                + ("the table's folder" if kind == "Delta" else "plain files")
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
    log = f"{folder}/metadata"
    if filesystem.isdir(log) and filesystem.glob(f"{escape(log)}/*.metadata.json"):
        yield "Iceberg"


def _current_files(
    filesystem: fsspec.AbstractFileSystem, infos: Infos, root: str, table: str
) -> frozenset[str]:
    """Return the names of the files that a Delta table's latest version has."""
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    with TemporaryDirectory(prefix="nightshelf-delta-") as folder:
        # the log alone, at a path that the library reads as it stands
        _provide_log(filesystem, infos, root, Path(folder) / DELTA_LOG)
        try:
            opened = DeltaTable(folder)
            actions = pa.table(opened.get_add_actions(flatten=True))
        except DeltaError as error:
            raise InputError(f"{table}: its log cannot be read: {str(error).splitlines()[0]}") from None
        _require_whole_files(opened, table)
        columns = set(opened.metadata().partition_columns)
    names = frozenset(f"{root}/{unquote(path)}" for path in actions.column("path").to_pylist())
    untold = {column for name in names for column in columns - partitions(name).keys()}
    if untold:
        raise InputError(
            f"{table}: its folders do not tell the values of {', '.join(sorted(untold))}; expected names "
            "such as country=FR"
        )
    return names


def _provide_log(filesystem: fsspec.AbstractFileSystem, infos: Infos, root: str, target: Path) -> None:
    """Make a table's log available below a folder: by a link on this machine, else by a copy."""
    if "file" in protocols(filesystem):
        target.symlink_to(Path(root) / DELTA_LOG)
        return
    above = f"{root}/{DELTA_LOG}/"
    # _last_checkpoint is a hint, and may be newer than the list of files
    names = [name for name in infos if name.startswith(above) and not name.endswith("/_last_checkpoint")]
    copies = [target / name.removeprefix(above) for name in names]
    for folder in {copy.parent for copy in copies}:
        folder.mkdir(parents=True, exist_ok=True)
    filesystem.get(names, [str(copy) for copy in copies])


def _require_whole_files(table: DeltaTable, named: str) -> None:
    """Raise InputError unless all rows of a table's files count, under the names that they have there."""
    from deltalake.exceptions import DeltaError

    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        raise InputError(
            f"{named}: its files have other names of columns than the table (column mapping); expected a "
            "table without: write its current rows to another one"
        )
    try:
        deleted = any(batch.num_rows for batch in table.deletion_vectors())
    except DeltaError:  # the vectors are in files, beside the log
        deleted = True
    if deleted:
        raise InputError(
            f"{named}: it has rows deleted inside its files (deletion vectors); expected whole files: run "
            "REORG TABLE ... APPLY (PURGE), or write its current rows to another table"
        )

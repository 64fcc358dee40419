"""The files of a Delta table's latest version, as its log says."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import fsspec

from tasks.runtime.errors import InputError
from tasks.sources.listing import Infos
from tasks.sources.source_files import partitions, protocols
from tasks.sources.table_files import Table, TableFile

if TYPE_CHECKING:
    from deltalake import DeltaTable

DELTA_LOG: Final = "_delta_log"


def delta_table(filesystem: fsspec.AbstractFileSystem, infos: Infos, root: str, named: str) -> Table:
    """Return the files of the latest version of the Delta table in a folder; `named` begins messages.

    Raises
    ------
    InputError
        If its log cannot be read by the library; if it has rows deleted inside its files (deletion
        vectors) or other names of columns in them (column mapping), or its folders do not tell the
        columns of its partitions.
    """
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
            raise InputError(f"{named}: its log cannot be read: {str(error).splitlines()[0]}") from None
        _require_whole_files(opened, named)
        columns = set(opened.metadata().partition_columns)
    names = [f"{root}/{unquote(path)}" for path in actions.column("path").to_pylist()]
    untold = {column for name in names for column in columns - partitions(name).keys()}
    if untold:
        raise InputError(
            f"{named}: its folders do not tell the values of {', '.join(sorted(untold))}; expected names "
            "such as country=FR"
        )
    return Table(root, "Delta", dict.fromkeys(names, TableFile()))


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

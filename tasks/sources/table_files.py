"""A table in a folder, and which of the files there its log says count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sql.landing.landing import FieldNames


@dataclass(frozen=True)
class TableFile:
    """What a table's log says of a file: the columns that it tells, and the table's names of the others.

    `told` is None if the file's folders tell them.
    """

    told: Mapping[str, str | None] | None = None
    field_names: FieldNames | None = None


@dataclass(frozen=True)
class Table:
    """The files that count, by name, of a table of a kind (Delta, Iceberg) in the folder `root`.

    `logs` are the folders below `root` that hold no rows, only the log.
    """

    root: str
    kind: str
    files: Mapping[str, TableFile]
    logs: tuple[str, ...] = ()

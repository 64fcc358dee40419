"""The data files of an Iceberg table's current snapshot, as its metadata says, wherever it lies now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import fsspec
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import StaticTable
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
)

from sql.landing.landing import FieldNames
from tasks.runtime.errors import InputError
from tasks.sources.iceberg_folder import ANOTHER, LOG, Folder, current_metadata
from tasks.sources.listing import Infos
from tasks.sources.source_files import input_error
from tasks.sources.table_files import Table, TableFile

TOLD: Final = (StringType, IntegerType, LongType, BooleanType, DateType, DecimalType)
"""Types of columns of which a partition tells the text that a file has."""


def iceberg_table(filesystem: fsspec.AbstractFileSystem, infos: Infos, root: str, named: str) -> Table:
    """Return the data files of the current snapshot of the Iceberg table in a folder.

    `named` begins messages. Files are looked for below `root`, where the table may have been copied
    or moved. The newest metadata file is the current one: a catalogue is not asked.

    Raises
    ------
    InputError
        If it is not clear which metadata is current, or that cannot be read by the library; if rows
        are deleted by delete files, data files are not Parquet or lie outside of the folder, or
        columns have default values; or if files lack a column that only the metadata tells inexactly.
    """
    folder = Folder(filesystem, root, named)
    try:
        metadata = FromInputFile.table_metadata(folder.present(current_metadata(infos, root, named)))
        folder.written_to(metadata.location)
        table = StaticTable(
            identifier=("table",),
            metadata=metadata,
            metadata_location=root,
            io=folder,
            catalog=NoopCatalog("none"),
        )
        if any(field.initial_default is not None for field in table.schema().fields):
            raise InputError(f"{named}: it has columns with default values; expected one without: {ANOTHER}")
        names = _field_names(table)
        files = {
            folder.name(file.file_path): _file(table, file, names, named) for file in _files(table, named)
        }
    except InputError:
        raise
    except Exception as error:  # the library raises what its parts do
        found = input_error(error, f"{named}: its metadata cannot be read")
        raise type(found)(str(found).splitlines()[0]) from None
    return Table(root, "Iceberg", files, (LOG,))


def _files(table: StaticTable, named: str) -> Iterator[DataFile]:
    """Yield the data files; InputError if not all rows of each count."""
    try:
        tasks = list(table.scan().plan_files())
    except ValueError as error:
        if "delet" not in str(error).lower():
            raise
        tasks = None  # deletes of a kind that the library does not read
    if tasks is None or any(task.delete_files for task in tasks):
        raise InputError(
            f"{named}: it has rows deleted by delete files (merge on read); expected whole files: run "
            f"rewrite_data_files with delete-file-threshold = 1, or {ANOTHER}"
        )
    for task in tasks:
        if task.file.file_format != FileFormat.PARQUET:
            raise InputError(
                f"{named}: it has data files in {task.file.file_format.value}; expected Parquet: set "
                f"write.format.default and run rewrite_data_files with rewrite-all = true, or {ANOTHER}"
            )
        yield task.file


def _field_names(table: StaticTable) -> FieldNames:
    """Return the table's names of fields by their numbers, and the columns' former names."""
    mapping = table.name_mapping()
    present = {field.field_id: field.name for field in table.schema().fields}
    aliases: dict[str, str] = {}
    for mapped in mapping.root if mapping is not None else ():
        name = None if mapped.field_id is None else present.get(mapped.field_id)
        aliases |= dict.fromkeys(mapped.names, name) if name is not None else {}
    return FieldNames(dict(_all_names(table.schema().fields)), aliases)


def _all_names(fields: Iterable[NestedField]) -> Iterator[tuple[int, str]]:
    """Yield the number and name of each field, with those inside of objects, lists and maps."""
    for field in fields:
        yield field.field_id, field.name
        yield from _all_names(_fields_in(field.field_type))


def _fields_in(kind: IcebergType) -> Sequence[NestedField]:
    """Return the fields of an object, the element of a list, the key and value of a map."""
    if isinstance(kind, StructType):
        return kind.fields
    if isinstance(kind, ListType):
        return (kind.element_field,)
    return (kind.key_field, kind.value_field) if isinstance(kind, MapType) else ()


def _file(table: StaticTable, file: DataFile, names: FieldNames, named: str) -> TableFile:
    """Return a file with the columns that its partition tells, which files of Hive lack.

    InputError if it lacks one whose values the metadata does not tell exactly.
    """
    spec, schema = table.specs()[file.spec_id], table.schema()
    columns = {field.field_id: field for field in schema.fields}
    told: dict[str, str | None] = {}
    for position, part in enumerate(spec.fields):
        column = columns.get(part.source_id)
        if column is None or not isinstance(part.transform, IdentityTransform):
            continue
        if isinstance(column.field_type, TOLD):
            value = file.partition[position]
            text = part.transform.to_human_string(column.field_type, value)
            told[column.name] = None if value is None else text
        elif part.source_id not in (file.column_sizes or {}):
            raise InputError(
                f"{named}: its files may lack {column.name}, by which it is partitioned, and a "
                f"{column.field_type} is not told exactly elsewhere; expected files with all columns: "
                f"{ANOTHER}"
            )
    return TableFile(told, names)

"""The files of a catalogue as tables: found like logs, landed as text, one row an id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sql.errors import SourceError
from sql.landing.columnar.arrow_file import open_arrow
from sql.landing.columnar.parquet_file import open_parquet
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted, file_format, positional
from sql.landing.row_writer import LandedFile
from sql.landing.text_rows import as_text
from tasks.configuration.sections import Catalogue, ItemCatalogue
from tasks.dataset.availability import available_of
from tasks.interactions.account import absence
from tasks.runtime.errors import InputError
from tasks.sources.discovery import LeftOut, Search, files_under
from tasks.sources.source_files import SourceFile, fetch, redacted

SCHEMAS = {"parquet": open_parquet, "arrow": open_arrow}
"""What opens the files whose columns have types."""
ATTRIBUTES = pa.schema(
    [
        ("id_text", pa.string()),
        ("file_id", pa.int32()),
        ("line", pa.int64()),
        ("name", pa.string()),
        ("value", pa.string()),
    ]
)


@dataclass(frozen=True)
class CatalogueRows:
    """Counts of a catalogue: files, rows with their columns, and unreadable rows by reason.

    `examples` are the file and line of an unreadable row for each reason; `absent` the files that
    lack a column; `left_out` what was found under the paths and not read.
    """

    files: int = 0
    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def warnings(self, section: str) -> Iterator[str]:
        """Yield what a user should know about the files of a section's catalogue."""
        for part in self.left_out:
            if part.is_news:
                yield part.warning(section)
        for column, files in self.absent.items():
            yield f"[{section}] catalogue: {absence(column, files)}"
        for rule, rows in self.rejected.items():
            where = f" (such as {self.examples[rule]})" if rule in self.examples else ""
            yield f"[{section}] catalogue: {rows:,} rows could not be read: {rule}{where}"


@dataclass(frozen=True)
class CatalogueTables:
    """A catalogue: its rows with id, title and availability, its attributes, and counts.

    A row is known by the number of its file, in the order of names, and by its line.
    """

    main: pa.Table
    attributes: pa.Table
    counts: CatalogueRows


def read_catalogue(section: str, catalogue: Catalogue, scratch: Path) -> CatalogueTables:
    """Read the files of a section's catalogue; `scratch` is a folder for landed files.

    Raises
    ------
    InputError
        If there are no files, one cannot be read, or no file has a configured column; or if a value
        of `available` is neither true nor false.
    """
    search = Search(section, catalogue.format, columns=tuple(_mapped(catalogue)))
    found = files_under(catalogue.path or (), search)
    landed = []
    try:
        for number, file in enumerate(found.files):
            landed.append(_land(number, file, catalogue, scratch, alone=len(found.files) == 1))
        absent = _absent(catalogue, landed)
    except SourceError as error:
        raise InputError(f"[{section}] {error}") from error
    mains, attributes = [], [ATTRIBUTES.empty_table()]
    for raw, rows in landed:
        if rows.path is not None:
            table = _texts(rows, catalogue)
            mains.append(_main(raw, table, catalogue))
            attributes.append(_attributes(raw, table, catalogue))
    if not mains:
        where = catalogue.path if isinstance(catalogue.path, str) else ", ".join(catalogue.path or ())
        why = "".join(f"; {rule} in {place}" for rule, place in _examples(landed).items())
        raise InputError(f"[{section}] {redacted(where)}: expected rows, got none{why}")
    main, rejected = pa.concat_tables(mains), Counter[str]()
    for _, rows in landed:
        rejected.update(rows.rejected)
    counts = CatalogueRows(
        files=len(landed),
        rows=main.num_rows,
        rejected=dict(rejected),
        examples=_examples(landed),
        absent=absent,
        left_out=list(found.left_out),
    )
    return CatalogueTables(main, pa.concat_tables(attributes), counts)


def _land(
    number: int, file: SourceFile, catalogue: Catalogue, scratch: Path, *, alone: bool
) -> tuple[RawFile, LandedFile]:
    """Land a file; with others beside it, it needs no column but the id."""
    folder = scratch / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    path = fetch(file, folder / "fetched")
    raw = RawFile(number, path, redacted(file.address), file.partitions, file.field_names)
    mapped, ids = _mapped(catalogue), frozenset({str(catalogue.id)})
    optional = frozenset() if alone else frozenset(mapped) - ids
    return raw, land_file(raw, catalogue, Wanted(tuple(mapped), optional, scalars=ids, ids=ids), folder)


def _absent(catalogue: Catalogue, landed: Sequence[tuple[RawFile, LandedFile]]) -> dict[str, list[str]]:
    """Return the files that lack a column, by column; SourceError if no file has it, or one has no ids."""
    with_rows = [(raw, file) for raw, file in landed if file.rows]
    absent = {}
    for column in _mapped(catalogue):
        lacking = [raw.name for raw, file in with_rows if column in file.absent]
        if lacking and len(lacking) == len(with_rows):
            raise SourceError(f"{lacking[0]}: expected column {column!r}, which no file has")
        if lacking and column == catalogue.id:
            raise SourceError(f"{lacking[0]}: expected column {column!r}, which none of its rows has")
        if lacking:
            absent[column] = lacking
    return absent


def _mapped(catalogue: Catalogue) -> list[str]:
    """Return the columns of the files that are used."""
    columns = [catalogue.id, *catalogue.attributes.values()]
    if isinstance(catalogue, ItemCatalogue):
        columns += [catalogue.title, catalogue.available]
    return list(dict.fromkeys(column for column in columns if column is not None))


def _texts(file: LandedFile, catalogue: Catalogue) -> pa.Table:
    """Return the used columns under their own names, and `line`."""
    places = dict(zip(file.columns, positional(file.columns), strict=True))
    present = [column for column in _mapped(catalogue) if column in places]
    landed = pq.read_table(file.path, columns=["line", *(places[column] for column in present)])
    names, columns = ["line"], [landed["line"]]
    for column in _mapped(catalogue):
        names.append(f"column {column}")
        if column not in places:
            columns.append(pa.chunked_array([pa.nulls(landed.num_rows, pa.string())]))
            continue
        columns.append(landed[places[column]])
    return pa.table(columns, names)


def _main(raw: RawFile, table: pa.Table, catalogue: Catalogue) -> pa.Table:
    """Return id, title and availability of each row; the catalogue of users knows only ids."""
    title: Any = pa.nulls(table.num_rows, pa.string())
    available: Any = pa.repeat(pa.scalar(value=True), table.num_rows)
    if isinstance(catalogue, ItemCatalogue):
        if catalogue.title is not None:
            title = table[f"column {catalogue.title}"]
        if catalogue.available is not None:
            available = available_of(table[f"column {catalogue.available}"], table["line"], raw.name)
    columns = {
        "id_text": table[f"column {catalogue.id}"],
        "file_id": pa.repeat(pa.scalar(raw.file_id, pa.int32()), table.num_rows),
        "line": table["line"],
        "title": title,
        "available": available,
    }
    return pa.table(columns)


def _attributes(raw: RawFile, table: pa.Table, catalogue: Catalogue) -> pa.Table:
    """Return a row for each id, attribute and value; a field with several values is split."""
    tables = [ATTRIBUTES.empty_table()]
    ids, lines = table[f"column {catalogue.id}"], table["line"]
    lists = _list_columns(raw, catalogue)
    for name, column in catalogue.attributes.items():
        texts = table[f"column {column}"].combine_chunks()
        owners, values = pa.array(np.arange(table.num_rows)), texts
        if column in lists:
            owners, values = _elements(texts, catalogue)
        elif catalogue.separator is not None:
            parts = pc.split_pattern(values, catalogue.separator)
            owners, values = pc.list_parent_indices(parts), pc.list_flatten(parts)
        numbers = pa.repeat(pa.scalar(raw.file_id, pa.int32()), len(values))
        names = pa.repeat(pa.scalar(name, pa.string()), len(values))
        columns = [ids.take(owners), numbers, lines.take(owners), names, values]
        tables.append(pa.table(columns, schema=ATTRIBUTES))
    long = pa.concat_tables(tables)
    return long.filter(pc.and_(long["value"].is_valid(), pc.not_equal(long["value"], "")))


def _list_columns(raw: RawFile, catalogue: Catalogue) -> set[str]:
    """Return the columns in which a text like ["a", "b"] is a list that the file holds."""
    kind = file_format(raw.name, catalogue)
    if kind in {"jsonl", "avro", "orc"}:
        return {*catalogue.attributes.values()}
    if kind in SCHEMAS:
        return {
            part.name for part in SCHEMAS[kind](raw, catalogue.max_expansion).schema if _is_list(part.type)
        }
    return set()


def _is_list(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in kinds)


def _elements(texts: pa.Array, catalogue: Catalogue) -> tuple[pa.Array, pa.Array]:
    """Return the values in lists of JSON, and the number of the row that each belongs to."""
    owners, values = [], []
    for row, text in enumerate(texts.to_pylist()):
        for value in _values(text, catalogue.separator):
            if value is not None and value not in catalogue.null_values:
                owners.append(row)
                values.append(value)
    return pa.array(owners, pa.int64()), pa.array(values, pa.string())


def _values(text: str | None, separator: str | None) -> Iterable[str | None]:
    """Return the values in a field: those of a list, or else of a text with separators."""
    if text is not None and text.startswith("["):
        with suppress(ValueError, RecursionError):  # a text that only begins like a list
            content: Any = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
            return [as_text(value) for value in content]
    return text.split(separator) if text is not None and separator is not None else (text,)


def _examples(landed: Sequence[tuple[RawFile, LandedFile]]) -> dict[str, str]:
    """Return the file and line of the first unreadable row for each reason."""
    examples: dict[str, str] = {}
    for raw, file in landed:
        if file.rejects is not None:
            table: Mapping[str, list[Any]] = pq.read_table(file.rejects, columns=["rule", "line"]).to_pydict()
            for line, rule in sorted(zip(table["line"], table["rule"], strict=True)):
                examples.setdefault(rule, f"{raw.name}:{line}")
    return examples

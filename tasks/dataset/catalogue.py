"""Titles and attributes of items and users, from a catalogue's file or from the events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sql.engines.engine import Engine
from sql.engines.text import render
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, SourceError, Wanted, positional
from sql.landing.row_writer import LandedFile
from tasks.configuration.configuration import Configuration
from tasks.configuration.sections import Catalogue, ItemCatalogue
from tasks.dataset.availability import available_of
from tasks.interactions.source_files import fetch, find_file, redacted
from tasks.runtime.errors import InputError

ATTRIBUTES = pa.schema(
    [("id_text", pa.string()), ("line", pa.int64()), ("name", pa.string()), ("value", pa.string())]
)


@dataclass(frozen=True)
class CatalogueRows:
    """Counts of a catalogue: rows with an id, and unreadable rows by reason."""

    rows: int
    rejected: dict[str, int]


def make_catalogues(configuration: Configuration, engine: Engine, scratch: Path) -> dict[str, CatalogueRows]:
    """Make the relations item_titles, item_attributes and user_attributes.

    item_titles has item_id, title and available; the others have id, name and value, with a row for
    each value. For a file there are also item_rows or user_rows, its rows with their id_text, and
    item_catalogue or user_catalogue, the row that counts for each id: the last one. The engine must
    have the relation `events`.

    Raises
    ------
    InputError
        If a catalogue's file is missing, unreadable, or lacks a configured column, or if it says of
        an item neither that it is available nor that it is not.
    """
    source = configuration.source
    read_rows = {}
    for kind, catalogue, id_type in (
        ("item", configuration.items, source.item_id_type),
        ("user", configuration.users, source.user_id_type),
    ):
        if catalogue.path is None:
            _from_events(kind, catalogue, engine, id_type)
        else:
            read_rows[f"{kind}s"] = _from_file(kind, catalogue, engine, id_type, scratch)
    return read_rows


def _from_file(kind: str, catalogue: Catalogue, engine: Engine, id_type: str, scratch: Path) -> CatalogueRows:
    try:
        landed = _land(kind, catalogue, scratch)
    except SourceError as error:
        raise InputError(f"[{kind}s] {error}") from error
    if landed.path is None:
        raise InputError(f"[{kind}s] {redacted(str(catalogue.path))}: expected rows, got none")
    names = dict(zip(landed.columns, positional(landed.columns), strict=True))
    columns = [names[column] for column in _mapped(catalogue)]
    table = pq.read_table(landed.path, columns=["line", *columns])
    table = _without_null_words(table, columns, catalogue.null_values)
    main, folder = _main(table, names, catalogue), scratch / "catalogue"
    pq.write_table(main, folder / f"{kind}-rows.parquet")
    pq.write_table(_long(table, names, catalogue), folder / f"{kind}-attributes.parquet")
    engine.parquet(f"{kind}_rows", [folder / f"{kind}-rows.parquet"])
    engine.parquet(f"{kind}_values", [folder / f"{kind}-attributes.parquet"])
    ids_query = render("dataset/catalogue_ids", {"relation": f"{kind}_rows", "id_type": id_type})
    engine.materialise(f"{kind}_catalogue", ids_query)
    if kind == "item":
        engine.view("item_titles", "SELECT id AS item_id, title, available FROM item_catalogue")
    values = {"relation": f"{kind}_values", "id_type": id_type, "catalogue": f"{kind}_catalogue"}
    engine.materialise(f"{kind}_attributes", render("dataset/catalogue_values", values))
    return CatalogueRows(main.num_rows, dict(landed.rejected))


def _without_null_words(table: pa.Table, columns: Iterable[str], words: Sequence[str]) -> pa.Table:
    """Return the table with nulls where a column has a word that means "no value"."""
    for name in columns:
        missing = pc.is_in(table[name], value_set=pa.array(words, pa.string()))
        values = pc.if_else(missing, pa.scalar(None, pa.string()), table[name])
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def _main(table: pa.Table, names: Mapping[str, str], catalogue: Catalogue) -> pa.Table:
    """Return id, title and availability of each row; the catalogue of users knows only ids."""
    title: Any = pa.nulls(table.num_rows, pa.string())
    available: Any = pa.repeat(pa.scalar(value=True), table.num_rows)
    if isinstance(catalogue, ItemCatalogue):
        if catalogue.title is not None:
            title = table[names[catalogue.title]]
        if catalogue.available is not None:
            texts = table[names[catalogue.available]]
            available = available_of(texts, table["line"], redacted(str(catalogue.path)))
    ids = table[names[str(catalogue.id)]]
    return pa.table({"id_text": ids, "line": table["line"], "title": title, "available": available})


def _land(kind: str, catalogue: Catalogue, scratch: Path) -> LandedFile:
    folder = scratch / "catalogue"
    folder.mkdir(parents=True, exist_ok=True)
    file = find_file(str(catalogue.path), f"{kind}s")
    raw = RawFile(0 if kind == "item" else 1, fetch(file, folder), redacted(file.address))
    ids = frozenset({str(catalogue.id)})
    return land_file(raw, catalogue, Wanted(tuple(_mapped(catalogue)), scalars=ids, ids=ids), folder)


def _mapped(catalogue: Catalogue) -> list[str]:
    """Return the columns of the file that are used."""
    columns = [catalogue.id, *catalogue.attributes.values()]
    if isinstance(catalogue, ItemCatalogue):
        columns += [catalogue.title, catalogue.available]
    return list(dict.fromkeys(column for column in columns if column is not None))


def _long(table: pa.Table, names: Mapping[str, str], catalogue: Catalogue) -> pa.Table:
    """Return a row for each id, attribute and value; fields with several values are split."""
    tables = [ATTRIBUTES.empty_table()]
    ids, lines = table[names[str(catalogue.id)]], table["line"]
    for name, column in catalogue.attributes.items():
        values, owners = table[names[column]].combine_chunks(), pa.array(np.arange(table.num_rows))
        if catalogue.separator is not None:
            lists = pc.split_pattern(values, catalogue.separator)
            owners, values = pc.list_parent_indices(lists), pc.list_flatten(lists)
        attributes = pa.repeat(pa.scalar(name, pa.string()), len(values))
        columns = [ids.take(owners), lines.take(owners), attributes, values]
        tables.append(pa.table(columns, schema=ATTRIBUTES))
    long = pa.concat_tables(tables)
    return long.filter(pc.and_(long["value"].is_valid(), pc.not_equal(long["value"], "")))


def _from_events(kind: str, catalogue: Catalogue, engine: Engine, id_type: str) -> None:
    sql_type = "BIGINT" if id_type == "int64" else "STRING"
    null_row = f"CAST(NULL AS {sql_type}) AS id, CAST(NULL AS STRING) AS value"
    queries = [
        f"SELECT id, '{name}' AS name, value FROM ({_common(kind, attribute)}) AS c"
        for name, attribute in catalogue.attributes.items()
    ]
    empty = f"SELECT {null_row}, CAST(NULL AS STRING) AS name WHERE 1 = 0"
    engine.materialise(f"{kind}_attributes", " UNION ALL ".join(queries) or empty)
    if isinstance(catalogue, ItemCatalogue):
        titles = _common(kind, catalogue.title) if catalogue.title else f"SELECT {null_row} WHERE 1 = 0"
        titled = f"SELECT id AS item_id, value AS title, TRUE AS available FROM ({titles}) AS c"
        engine.materialise("item_titles", titled)


def _common(kind: str, attribute: str) -> str:
    return render("dataset/common_values", {"id": f"{kind}_id", "attribute": attribute})

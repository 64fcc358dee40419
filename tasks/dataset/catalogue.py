"""Titles and attributes of items and users, from a catalogue's file or from the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sql.engines.engine import Engine
from sql.engines.text import render
from sql.landing.landed_file import LandedFile, land_file
from sql.landing.landing import RawFile, SourceError, positional
from tasks.configuration.configuration import Configuration
from tasks.configuration.sections import Catalogue
from tasks.interactions.source_files import fetch, find_file, redacted
from tasks.runtime.errors import InputError

FALSE = ("0", "false", "f", "no", "n")
ATTRIBUTES = pa.schema([(name, pa.string()) for name in ("id_text", "name", "value")])


@dataclass(frozen=True)
class CatalogueRows:
    """Counts of a catalogue: rows with an id, and unreadable rows by reason."""

    rows: int
    rejected: dict[str, int]


def make_catalogues(configuration: Configuration, engine: Engine, scratch: Path) -> dict[str, CatalogueRows]:
    """Make the relations item_titles, item_attributes and user_attributes.

    item_titles has item_id, title and available; the others have id, name and value, with a row for
    each value. The engine must have the relation `events`.

    Raises
    ------
    InputError
        If a catalogue's file is missing, unreadable, or lacks a configured column.
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
    table = pq.read_table(landed.path)
    ids = table[names[str(catalogue.id)]]
    title, available = _column(table, names, catalogue.title), _available(table, names, catalogue.available)
    main = pa.table({"id_text": ids, "line": table["line"], "title": title, "available": available})
    folder = scratch / "catalogue"
    pq.write_table(main, folder / f"{kind}-rows.parquet")
    pq.write_table(_long(ids, table, names, catalogue), folder / f"{kind}-attributes.parquet")
    engine.parquet(f"{kind}_rows", [folder / f"{kind}-rows.parquet"])
    engine.parquet(f"{kind}_values", [folder / f"{kind}-attributes.parquet"])
    ids_query = render("dataset/catalogue_ids", {"relation": f"{kind}_rows", "id_type": id_type})
    if kind == "item":
        engine.materialise("item_titles", f"SELECT id AS item_id, title, available FROM ({ids_query}) AS c")
    values = render("dataset/catalogue_values", {"relation": f"{kind}_values", "id_type": id_type})
    engine.materialise(f"{kind}_attributes", values)
    return CatalogueRows(main.num_rows, dict(landed.rejected))


def _land(kind: str, catalogue: Catalogue, scratch: Path) -> LandedFile:
    folder = scratch / "catalogue"
    folder.mkdir(parents=True, exist_ok=True)
    file = find_file(str(catalogue.path), f"{kind}s")
    raw = RawFile(0 if kind == "item" else 1, fetch(file, folder), redacted(file.address))
    columns = [catalogue.id, catalogue.title, catalogue.available, *catalogue.attributes.values()]
    mapped = list(dict.fromkeys(column for column in columns if column is not None))
    return land_file(raw, catalogue, mapped, folder)


def _column(table: pa.Table, names: Mapping[str, str], column: str | None) -> pa.ChunkedArray | pa.Array:
    return pa.nulls(table.num_rows, pa.string()) if column is None else table[names[column]]


def _available(table: pa.Table, names: Mapping[str, str], column: str | None) -> pa.ChunkedArray | pa.Array:
    if column is None:
        return pa.repeat(pa.scalar(value=True), table.num_rows)
    is_false = pc.is_in(pc.utf8_lower(table[names[column]]), pa.array(FALSE))
    return pc.invert(is_false)


def _long(ids: pa.ChunkedArray, table: pa.Table, names: Mapping[str, str], catalogue: Catalogue) -> pa.Table:
    """Return a row for each id, attribute and value; fields with several values are split."""
    tables = [ATTRIBUTES.empty_table()]
    for name, column in catalogue.attributes.items():
        values, owners = table[names[column]], ids
        if catalogue.separator is not None:
            lists = pc.split_pattern(values, catalogue.separator).combine_chunks()
            owners = ids.combine_chunks().take(pc.list_parent_indices(lists))
            values = pc.list_flatten(lists)
        attributes = pa.repeat(pa.scalar(name, pa.string()), len(values))
        tables.append(pa.table([owners, attributes, values], schema=ATTRIBUTES))
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
    if kind == "item":
        titles = _common(kind, catalogue.title) if catalogue.title else f"SELECT {null_row} WHERE 1 = 0"
        titled = f"SELECT id AS item_id, value AS title, TRUE AS available FROM ({titles}) AS c"
        engine.materialise("item_titles", titled)


def _common(kind: str, attribute: str) -> str:
    return render("dataset/common_values", {"id": f"{kind}_id", "attribute": attribute})

"""Titles and attributes of items and users, from a catalogue's files or from the events."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from sql.engines.engine import Engine
from sql.engines.text import render
from tasks.configuration.configuration import Configuration
from tasks.configuration.sections import Catalogue, ItemCatalogue
from tasks.dataset.catalogue_files import CatalogueRows, read_catalogue


def make_catalogues(configuration: Configuration, engine: Engine, scratch: Path) -> dict[str, CatalogueRows]:
    """Make the relations item_titles, item_attributes and user_attributes.

    item_titles has item_id, title and available; the others have id, name and value, with a row for
    each value. For files there are also item_rows or user_rows, their rows with their id_text, and
    item_catalogue or user_catalogue, the row that counts for each id: the last one. The engine must
    have the relation `events`.

    Raises
    ------
    InputError
        If a catalogue has no file, an unreadable one, or lacks a configured column, or if it says of
        an item neither that it is available nor that it is not.
    """
    read_rows = {}
    for kind, catalogue, id_type in (
        ("item", configuration.items, configuration.item_id_type),
        ("user", configuration.users, configuration.user_id_type),
    ):
        if catalogue.path is None:
            _from_events(kind, catalogue, engine, id_type)
        else:
            read_rows[f"{kind}s"] = _from_files(kind, catalogue, engine, id_type, scratch)
    return read_rows


def _from_files(
    kind: str, catalogue: Catalogue, engine: Engine, id_type: str, scratch: Path
) -> CatalogueRows:
    folder = scratch / "catalogue" / kind
    tables = read_catalogue(f"{kind}s", catalogue, folder)
    pq.write_table(tables.main, folder / "rows.parquet")
    pq.write_table(tables.attributes, folder / "attributes.parquet")
    engine.parquet(f"{kind}_rows", [folder / "rows.parquet"])
    engine.parquet(f"{kind}_values", [folder / "attributes.parquet"])
    ids_query = render("dataset/catalogue_ids", {"relation": f"{kind}_rows", "id_type": id_type})
    engine.materialise(f"{kind}_catalogue", ids_query)
    if kind == "item":
        engine.view("item_titles", "SELECT id AS item_id, title, available FROM item_catalogue")
    values = {"relation": f"{kind}_values", "id_type": id_type, "catalogue": f"{kind}_catalogue"}
    engine.materialise(f"{kind}_attributes", render("dataset/catalogue_values", values))
    return tables.counts


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

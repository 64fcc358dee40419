"""Accepted rows that an earlier ingest has already accepted: found, and turned into duplicates."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from sql.engines.text import render
from sql.interactions.classification import OPTIONAL, ClassifiedRows, template_values, typed_values
from sql.interactions.raw_rows import empty_digests, raw_rows
from sql.landing.landing import Landing
from sql.source import Source


def drop_stored(
    classified: ClassifiedRows, stored: Mapping[str, Sequence[Path]], replaced: Sequence[int]
) -> None:
    """Turn accepted rows that are already stored into duplicates.

    `stored` are the Parquet files of interactions by day, read with the same columns as the rows;
    rows of files in `replaced` do not count as stored.
    """
    days = {day: folder for day, folder in classified.accepted().items() if stored.get(day)}
    if days:
        _see_arrived(classified, days)
        parts = [path for day in days for path in stored[day]]
        if _redelivered(classified, "arrived", classified.source, parts, replaced, unnamed=False):
            _drop(classified, days)


def drop_stored_as_read(
    classified: ClassifiedRows,
    landing: Landing,
    source: Source,
    stored: Sequence[Path],
    replaced: Sequence[int],
    *,
    unnamed: bool,
) -> None:
    """Turn accepted rows into duplicates whose stored copies were read by an earlier `source`.

    `landing` has the same files as the rows, landed by that source: a row is a duplicate if that
    source would have made the stored row of it. `unnamed` says that version 0.1 stored it.
    """
    if not landing.relations:
        return
    engine = classified.engine
    raw = raw_rows(landing, source, engine.dialect, unnamed=unnamed)
    values = template_values(source, engine.name) | {"texts": list(raw.texts), "unnamed": unnamed}
    values |= typed_values(source, engine.dialect)
    engine.view("raw_rows", raw.query)
    engine.view("typed_rows", render("interactions/typed_rows", values))
    engine.view("dated_rows", render("interactions/dated_rows", values))
    if _redelivered(classified, "dated_rows", source, stored, replaced, unnamed=unnamed):
        days = classified.accepted()
        _see_arrived(classified, days)
        _drop(classified, days)


def _see_arrived(classified: ClassifiedRows, days: Mapping[str, Path]) -> None:
    """Create `arrived`: the accepted rows of some days."""
    arrived = [path for folder in days.values() for path in sorted(folder.glob("*.parquet"))]
    classified.engine.parquet("arrived", arrived)


def _redelivered(
    classified: ClassifiedRows,
    arrived: str,
    source: Source,
    stored: Sequence[Path],
    replaced: Sequence[int],
    *,
    unnamed: bool,
) -> bool:
    """Create `redelivered`, the rows of `arrived` already stored; tell whether it has any."""
    engine = classified.engine
    engine.parquet("stored_parts", stored)
    listed = ", ".join(map(str, [0, *replaced]))
    engine.view("stored", f"SELECT * FROM stored_parts WHERE file_id NOT IN ({listed})")
    empty = [f"'{digest}'" for digest in empty_digests()]
    values = {"arrived": arrived, "columns": [*OPTIONAL, *source.attributes]}
    query = render(
        "interactions/redelivered_rows",
        values | {"unnamed": unnamed, "empty": empty, "elements": classified.source.has_elements},
    )
    engine.materialise("redelivered", query)
    return int(engine.fetch("SELECT count(*) AS n FROM redelivered")["n"][0].as_py()) > 0


def _drop(classified: ClassifiedRows, days: Mapping[str, Path]) -> None:
    """Turn the rows of `arrived` that are in `redelivered` into duplicates."""
    engine, folder = classified.engine, classified.folder
    kept, dropped = folder.parent / "kept", folder.parent / "dropped"
    new, old_again = (
        render("interactions/new_rows", {"repeats": repeats, "elements": classified.source.has_elements})
        for repeats in (False, True)
    )
    engine.write(new, kept, partition_by=("day",))
    engine.write(old_again, dropped)
    for day, old in days.items():
        shutil.rmtree(old)
        if (kept / f"day={day}").exists():
            (kept / f"day={day}").rename(old)
    duplicates = folder / "outcome=duplicate"
    duplicates.mkdir(exist_ok=True)
    dropped.rename(duplicates / f"redelivered-{len(list(duplicates.iterdir()))}")
    shutil.rmtree(kept, ignore_errors=True)

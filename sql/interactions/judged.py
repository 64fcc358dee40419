"""Landed rows to outcomes: accepted, excluded, quarantined or duplicate, each row exactly one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from sql.engines.engine import Engine
from sql.engines.text import literal, render
from sql.interactions.forgotten import KeyedList, make_forgotten_users
from sql.interactions.predicate import portable
from sql.interactions.raw_rows import raw_rows
from sql.landing.landing import Landing
from sql.source import Source

OUTCOMES = ("accepted", "excluded", "quarantined", "duplicate")
OPTIONAL = ("event_date", "event_type", "value", "weight", "session_id", "position")
SQL_TYPES = {"string": "STRING", "int64": "BIGINT"}


def judge(
    landing: Landing,
    source: Source,
    engine: Engine,
    folder: Path,
    last_days: Mapping[int, date | None],
    *,
    forgotten: KeyedList | None = None,
) -> int:
    """Write every landed row under outcome=.../day=...; return the exact repeats among all of them.

    `last_days` are, by file_id, the last days that a file can know of, None where nobody knows. The rows of
    users in the list `forgotten` are excluded.
    """
    if not landing.relations:
        return 0
    raw = raw_rows(landing, source, engine.dialect)
    values = template_values(source, engine.name) | {"texts": list(raw.texts), "raw": raw.raw}
    values |= {"forgotten": bool(forgotten and forgotten.digests)}
    engine.table("event_weights", pa.table({"event_type": pa.array(list(source.event_weights), pa.string())}))
    known = {
        "file_id": pa.array(last_days, pa.int32()),
        "_last_day": pa.array(last_days.values(), pa.date32()),
    }
    engine.table("file_days", pa.table(known))
    engine.view("raw_rows", raw.query)
    engine.materialise("repeated_rows", render("interactions/repeated_rows", values))
    engine.view("typed_rows", render("interactions/typed_rows", values))
    engine.view("dated_rows", render("interactions/dated_rows", values))
    if forgotten and forgotten.digests:
        make_forgotten_users(engine, "typed_rows", forgotten)
    engine.write(render("interactions/judged_rows", values), folder, partition_by=("outcome", "day"))
    return int(engine.fetch("SELECT count(*) AS n FROM repeated_rows")["n"][0].as_py())


def template_values(source: Source, engine: str) -> dict[str, Any]:
    """Return what the templates of the row rules need of a source.

    Raises
    ------
    EngineError
        If a rule of the configuration is not a predicate over known columns.
    """
    columns = {"user_id", "item_id", "timestamp", *OPTIONAL, *source.attributes}
    rules = {
        kind: [{"name": rule.name, "where": portable(rule.where, columns, engine)} for rule in given]
        for kind, given in (("quarantine", source.quarantine), ("exclude", source.exclude))
    }
    return {
        "user_id_type": source.user_id_type,
        "item_id_type": source.item_id_type,
        "naive": _naive(source),
        "time_zone": literal(source.time_zone),
        "attributes": list(source.attributes),
        "min_date": literal(source.min_date.isoformat()),
        "max_date": literal(source.max_date.isoformat()),
        "event_types_known": bool(source.event_weights),
        **rules,
    }


def _naive(source: Source) -> str:
    """Return when timestamps are in the source's time zone: never, always, or (iso) without an offset."""
    told = source.timestamp_format.startswith("epoch") or "%z" in source.timestamp_format
    if source.time_zone == "UTC" or told:
        return "never"
    return "iso" if source.timestamp_format == "iso" else "always"


def parts(judged: Path, outcome: str) -> list[Path]:
    """Return the Parquet files of an outcome."""
    return sorted((judged / f"outcome={outcome}").rglob("*.parquet"))


def accepted_days(judged: Path) -> dict[str, Path]:
    """Return the folders of accepted rows, by day."""
    folders = sorted((judged / "outcome=accepted").glob("day=*"))
    return {folder.name.removeprefix("day="): folder for folder in folders}


def outcomes(judged: Path, engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Return, by outcome, how many rows of each file each rule decided about: file_id, rule and n."""
    found = {}
    for outcome in OUTCOMES:
        if paths := parts(judged, outcome):
            engine.parquet("judged", paths)
            found[outcome] = engine.fetch(render("interactions/outcomes")).to_pylist()
    return found


def file_days(judged: Path, engine: Engine) -> dict[int, dict[str, int]]:
    """Return, by file, its accepted rows by day."""
    found: dict[int, dict[str, int]] = {}
    if paths := parts(judged, "accepted"):
        engine.parquet("judged", paths)
        for row in engine.fetch(render("interactions/file_days")).to_pylist():
            found.setdefault(row["file_id"], {})[row["day"]] = row["n"]
    return found


def drop_delivered_again(
    source: Source, engine: Engine, judged: Path, stored: Mapping[str, Sequence[Path]], gone: Sequence[int]
) -> None:
    """Move accepted rows that are stored already, in a file not in `gone`, from accepted to duplicate.

    `stored` are the Parquet files of interactions, by day.
    """
    days = {day: folder for day, folder in accepted_days(judged).items() if stored.get(day)}
    if not days:
        return
    engine.parquet("arrived", [path for folder in days.values() for path in sorted(folder.glob("*.parquet"))])
    engine.parquet("stored_parts", [path for day in days for path in stored[day]])
    listed = ", ".join(map(str, [0, *gone]))
    engine.view("stored", f"SELECT * FROM stored_parts WHERE file_id NOT IN ({listed})")
    query = render("interactions/delivered_again", {"columns": [*OPTIONAL, "rest", *source.attributes]})
    engine.materialise("delivered_again", query)
    if engine.fetch("SELECT count(*) AS n FROM delivered_again")["n"][0].as_py() == 0:
        return
    kept, dropped = judged.parent / "kept", judged.parent / "dropped"
    engine.write(render("interactions/arrived_anew", {"again": False}), kept, partition_by=("day",))
    engine.write(render("interactions/arrived_anew", {"again": True}), dropped)
    for day, folder in days.items():
        shutil.rmtree(folder)
        if (kept / f"day={day}").exists():
            (kept / f"day={day}").rename(folder)
    (judged / "outcome=duplicate").mkdir(exist_ok=True)
    dropped.rename(judged / "outcome=duplicate" / "delivered_again")
    shutil.rmtree(kept, ignore_errors=True)


def write_quarantine(
    landing: Landing,
    source: Source,
    engine: Engine,
    judged: Path,
    folder: Path,
    *,
    names: Mapping[int, str],
) -> None:
    """Write the refused rows and lines under event_date=...; `names` are those of the files."""
    quarantined = parts(judged, "quarantined")
    if not quarantined and landing.rejects is None:
        return
    files = pa.table(
        [pa.array(names, pa.int32()), pa.array(names.values(), pa.string())], ["file_id", "file"]
    )
    engine.table("source_files", files)
    if quarantined:
        engine.parquet("quarantined", quarantined)
    values = {
        "judged": bool(quarantined),
        "rejects": landing.rejects is not None,
        "user_id_type": SQL_TYPES[source.user_id_type],
        "item_id_type": SQL_TYPES[source.item_id_type],
    }
    engine.write(render("interactions/quarantine", values), folder, ("file_id", "line"), ("event_date",))

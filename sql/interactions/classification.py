"""Landed rows to outcomes: each row is accepted, excluded, quarantined or duplicate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from sql.engines.engine import Dialect, Engine
from sql.engines.text import literal, render
from sql.interactions.forgotten import KeyedList, make_forgotten_users
from sql.interactions.numbers import real, whole
from sql.interactions.raw_rows import raw_rows
from sql.interactions.times import is_local
from sql.landing.landing import Landing
from sql.source import Source

OUTCOMES = ("accepted", "excluded", "quarantined", "duplicate")
OPTIONAL = ("event_date", "event_type", "value", "weight", "session_id", "position")
SQL_TYPES = {"string": "STRING", "int64": "BIGINT"}


@dataclass(frozen=True)
class ClassifiedRows:
    """All rows of a landing by outcome, in a folder as outcome=.../day=.../*.parquet.

    `repeated` counts the exact repeats among all rows, before any rule. Rejected lines stay in the
    landing.
    """

    folder: Path
    engine: Engine
    landing: Landing
    source: Source
    repeated: int = 0

    def accepted(self) -> dict[str, Path]:
        """Return the folders of accepted rows by day."""
        folders = sorted((self.folder / "outcome=accepted").glob("day=*"))
        return {folder.name.removeprefix("day="): folder for folder in folders}

    def account(self, days: Mapping[int, Mapping[str, int]]) -> Iterator[tuple[int, str, str | None, int]]:
        """Yield (file_id, outcome, rule, rows): the rows of each file that each rule decided.

        ``days`` is what `days` returns: the accepted rows, which no rule decided. Rejected lines
        count as quarantined.
        """
        yield from ((file_id, "accepted", None, sum(rows.values())) for file_id, rows in days.items())
        for outcome in OUTCOMES[1:]:
            if paths := self._parts(outcome):
                self.engine.parquet("classified", paths)
                for row in self.engine.fetch(render("interactions/outcomes")).to_pylist():
                    yield row["file_id"], outcome, row["rule"], row["n"]
        for file_id, rejected in self.landing.rejected.items():
            yield from ((file_id, "quarantined", rule, lines) for rule, lines in rejected.items())

    def days(self) -> dict[int, dict[str, int]]:
        """Return the number of accepted rows by file_id and day."""
        days: dict[int, dict[str, int]] = {}
        if paths := self._parts("accepted"):
            self.engine.parquet("classified", paths)
            for row in self.engine.fetch(render("interactions/file_days")).to_pylist():
                days.setdefault(row["file_id"], {})[row["day"]] = row["n"]
        return days

    def write_quarantine(self, folder: Path, names: Mapping[int, str]) -> None:
        """Write quarantined rows and lines to a folder by event_date; `names` is by file_id."""
        refused = self._parts("quarantined")
        if not refused and self.landing.rejects is None:
            return
        columns = [pa.array(names, pa.int32()), pa.array(names.values(), pa.string())]
        self.engine.table("source_files", pa.table(columns, ["file_id", "file"]))
        if refused:
            self.engine.parquet("quarantined", refused)
        values = {
            "classified": bool(refused),
            "rejects": self.landing.rejects is not None,
            "user_id_type": SQL_TYPES[self.source.user_id_type],
            "item_id_type": SQL_TYPES[self.source.item_id_type],
        }
        query = render("interactions/quarantine", values)
        self.engine.write(query, folder, ("file_id", "line"), ("event_date",))

    def _parts(self, outcome: str) -> list[Path]:
        """Return the Parquet files of an outcome."""
        return sorted((self.folder / f"outcome={outcome}").rglob("*.parquet"))


def classify_rows(
    landing: Landing,
    source: Source,
    engine: Engine,
    folder: Path,
    last_days: Mapping[int, date | None],
    *,
    forgotten: KeyedList | None = None,
) -> ClassifiedRows:
    """Classify every landed row and write it to a folder as outcome=.../day=.../*.parquet.

    `last_days` maps file_id to the last day whose events the file can hold, None if unknown. Rows
    of users in the list `forgotten` are excluded.
    """
    if not landing.relations:
        return ClassifiedRows(folder, engine, landing, source)
    raw = raw_rows(landing, source, engine.dialect)
    values = template_values(source, engine.name) | {"texts": list(raw.texts), "raw": raw.raw, "key": raw.key}
    values |= {"forgotten": bool(forgotten and forgotten.digests)}
    values |= typed_values(source, engine.dialect)
    engine.table("event_weights", pa.table({"event_type": pa.array(list(source.event_weights), pa.string())}))
    file_days = {
        "file_id": pa.array(last_days, pa.int32()),
        "_last_day": pa.array(last_days.values(), pa.date32()),
    }
    engine.table("file_days", pa.table(file_days))
    engine.view("raw_rows", raw.query)
    engine.materialise("repeated_rows", render("interactions/repeated_rows", values))
    engine.view("typed_rows", render("interactions/typed_rows", values))
    engine.view("dated_rows", render("interactions/dated_rows", values))
    if forgotten and forgotten.digests:
        make_forgotten_users(engine, "typed_rows", forgotten)
    engine.write(render("interactions/classified_rows", values), folder, partition_by=("outcome", "day"))
    return ClassifiedRows(folder, engine, landing, source, _rows(engine, "repeated_rows"))


def typed_values(source: Source, dialect: Dialect) -> dict[str, str]:
    """Return the expressions that typed_rows.sql takes: what each engine spells in its own way."""
    return {
        "value": real("value_text", source, dialect),
        "weight": real("weight_text", source, dialect),
        "position": whole("position_text", dialect),
        "is_local": is_local("timestamp_text", source, dialect),
    }


def template_values(source: Source, engine: str) -> dict[str, Any]:
    """Return the values that the templates of the row rules take from a source.

    Raises
    ------
    EngineError
        If a rule of the configuration is not a predicate over known columns.
    """
    rules: dict[str, list[dict[str, str]]] = {"quarantine": [], "exclude": []}
    if source.quarantine or source.exclude:
        from sql.interactions.predicate import portable

        columns = {"user_id", "item_id", "timestamp", *OPTIONAL, *source.attributes}
        for kind, configured in (("quarantine", source.quarantine), ("exclude", source.exclude)):
            for rule in configured:
                rules[kind].append({"name": rule.name, "where": portable(rule.where, columns, engine)})
    return {
        "user_id_type": source.user_id_type,
        "item_id_type": source.item_id_type,
        "time_zone": literal(source.time_zone),
        "attributes": list(source.attributes),
        "min_date": literal(source.min_date.isoformat()),
        "max_date": literal(source.max_date.isoformat()),
        "unnamed": False,
        "elements": source.has_elements,
        "event_types_known": bool(source.event_weights),
        **rules,
    }


def _rows(engine: Engine, relation: str) -> int:
    return int(engine.fetch(f"SELECT count(*) AS n FROM {relation}")["n"][0].as_py())

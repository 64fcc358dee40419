"""A configuration tried on the first rows of some files: which an ingest would accept, and why not others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from sql.engines.engine import Engine
from sql.errors import SourceError
from sql.interactions.classification import ClassifiedRows, classify_rows
from sql.interactions.raw_rows import wanted_columns
from sql.landing.landing import Landing, RawFile, Wanted, file_format
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.configuration.engines import open_engine
from tasks.proposal.sample import cut, fetched
from tasks.runtime.errors import InputError
from tasks.sources.source_files import SourceFile, last_day, redacted

SHOWN: Final = 10


@dataclass(frozen=True)
class TriedRow:
    """A row of a trial: where it is, what it holds, and what would become of it."""

    file: str
    line: int
    user: str | None
    item: str | None
    time: str | None
    event_type: str | None
    outcome: str


@dataclass(frozen=True)
class Trial:
    """The rows that were tried: by outcome, quarantined ones by rule, and the first of them."""

    rows: int
    accepted: int
    others: dict[str, int] = field(default_factory=dict)
    first: tuple[TriedRow, ...] = ()
    last_day: date | None = None

    @property
    def quarantined(self) -> int:
        """The number of rows that break a rule."""
        return sum(count for rule, count in self.others.items() if rule not in {"duplicate", "excluded"})

    def __str__(self) -> str:
        others = ", ".join(f"{rule} {count:,}" for rule, count in self.others.items())
        return f"{self.accepted:,} of {self.rows:,} rows would be accepted" + (
            f"; {others}" if others else ""
        )


def try_rows(
    configuration: Configuration, source: Source, files: Sequence[SourceFile], scratch: Path
) -> Trial:
    """Read the beginnings of a source's files and classify their rows; nothing is stored.

    Raises
    ------
    InputError
        If an ingest would refuse one of the files.
    """
    raw, days = [], {}
    for number, file in enumerate(files, 1):
        name = redacted(file.address)
        path = fetched(file, scratch / f"fetched-{number}")
        form = file_format(name, source)
        beginning = cut(path, name, form, source.encoding, scratch / f"cut-{number}")
        called = _name_of(beginning, path, name)
        raw.append(RawFile(number, beginning, called, file.partitions, file.field_names))
        days[number] = last_day(file, source.file_date)
    latest = {number: None if day is None else day + timedelta(days=1) for number, day in days.items()}
    scratch.mkdir(parents=True, exist_ok=True)
    duckdb = configuration.engine.model_copy(update={"name": "duckdb"})  # both engines read alike
    with open_engine(configuration.model_copy(update={"engine": duckdb}), scratch) as engine:
        try:
            wanted = wanted_columns(source)
            landing = engine.land(raw, source, wanted)
            _require_known(raw[-1].name, landing, wanted)
        except SourceError as error:
            raise InputError(str(error)) from None
        classified = classify_rows(landing, source, engine, scratch / "classified", latest)
        return _trial(classified, {file.file_id: file.name for file in raw}, engine)


def _require_known(name: str, landing: Landing, wanted: Wanted) -> None:
    """Raise SourceError for a required column that none of the files has."""
    absences = [landing.absent.get(number, ()) for number, rows in landing.rows.items() if rows]
    for column in wanted.columns:
        if absences and column not in wanted.optional and all(column in absent for absent in absences):
            raise SourceError(f"{name}: expected column {column!r}, which none of its rows has")


def _name_of(beginning: Path, path: Path, name: str) -> str:
    """Return the name by which the beginning of a file is read and messages call it."""
    if beginning == path:
        return name
    return name[: len(name) - len(Path(name).name)] + beginning.name


def _trial(classified: ClassifiedRows, names: dict[int, str], engine: Engine) -> Trial:
    rows: list[dict[str, Any]] = []
    for path in sorted(classified.folder.rglob("*.parquet")):
        outcome = next(part for part in path.parts if part.startswith("outcome=")).partition("=")[2]
        for row in pq.ParquetFile(path).read().to_pylist():
            rule = row["rule"] if outcome in {"quarantined", "excluded"} else None
            rows.append(row | {"outcome": outcome, "rule": rule})
    if classified.landing.rejects is not None:
        rejects = engine.fetch(f"SELECT file_id, line, rule FROM {classified.landing.rejects}").to_pylist()
        rows.extend(row | {"outcome": "quarantined"} for row in rejects)
    rows.sort(key=lambda row: (row["file_id"], row["line"]))
    others = Counter(
        row["rule"] if row["outcome"] == "quarantined" else row["outcome"]
        for row in rows
        if row["outcome"] != "accepted"
    )
    days = [row["event_date"] for row in rows if row["outcome"] == "accepted"]
    return Trial(
        rows=len(rows),
        accepted=len(days),
        others=dict(sorted(others.items(), key=lambda pair: (-pair[1], pair[0]))),
        first=tuple(_row(row, names) for row in rows[:SHOWN]),
        last_day=max(days, default=None),
    )


def _row(row: dict[str, Any], names: dict[int, str]) -> TriedRow:
    texts = {
        key: None if row.get(key) is None else str(row[key]) for key in ("user_id", "item_id", "timestamp")
    }
    outcome = row["outcome"] if row["rule"] is None else f"{row['outcome']}: {row['rule']}"
    return TriedRow(
        file=Path(names[row["file_id"]]).name,
        line=row["line"],
        user=texts["user_id"],
        item=texts["item_id"],
        time=texts["timestamp"],
        event_type=row.get("event_type"),
        outcome=outcome,
    )

"""A run's record on disk: the finished stations, their results and their costs."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tasks.runtime.clock import now
from tasks.runtime.errors import StoreError
from tasks.runtime.redaction import redacted
from tasks.store.files import read_json, write_json_atomically, writing
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder, record_paths, run_paths


def station_name(kind: str, model: str | None = None) -> str:
    """Return the name of a station: `dataset`, `train als`."""
    return f"{kind} {model}" if model else kind


def kind_and_model(name: str) -> tuple[str, str | None]:
    """Return the kind and the model, if any, of a station by its name."""
    kind, _, model = name.partition(" ")
    return kind, model or None


class Station(BaseModel):
    """A finished station: its kind, its model if any, its results and its costs.

    `seconds` and `peak_memory` (bytes) include child processes.
    """

    model_config = ConfigDict(extra="forbid")

    kind: str
    model: str | None = None
    rows: int | None = None
    seconds: float
    peak_memory: int
    facts: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _of_0_1(cls, content: Any) -> Any:
        """Accept a station of version 0.1, with kind and model in a single name."""
        if not isinstance(content, dict) or "kind" in content or not isinstance(content.get("name"), str):
            return content
        kind, model = kind_and_model(content["name"])
        return {key: value for key, value in content.items() if key != "name"} | {
            "kind": kind,
            "model": model,
        }

    @property
    def name(self) -> str:
        """The station's name."""
        return station_name(self.kind, self.model)

    @property
    def failed(self) -> bool:
        """Whether the station failed and the night went on without its model."""
        return "failed" in self.facts

    def account(self) -> dict[str, Any]:
        """Return what the manifest and `status` show: the name and all fields but the facts."""
        return {"name": self.name, **self.model_dump(exclude={"facts"})}


class RunRecord(BaseModel):
    """run.json in a run's folder, replaced after every station.

    `purpose` is night, evaluation or tuning. `configuration` is the configuration's fingerprint.
    `finished_at` is empty while a run goes on, and after it was killed. Both are empty in older
    records. `ingests_before` counts the ingests that were committed when the run started. `quality`
    holds the rows of tasks.quality.checks.rows_of, and `compared_with` the release they compare
    with: None if there was no such release, empty if the gate has not run. `override` records who
    published the run although checks failed, when and why.
    """

    model_config = ConfigDict(extra="forbid")

    run_id: str
    as_of: date
    started_at: str
    finished_at: str = ""
    state: str = "running"
    message: str = ""
    release_id: str | None = None
    warnings: list[str] = []
    stations: list[Station] = []
    purpose: str = "night"
    configuration: str = ""
    replace_changed: bool = False
    rebuild: bool = False
    ingests_before: int | None = None
    resumed_at: list[str] = []
    quality: list[dict[str, Any]] = []
    compared_with: str | None = ""
    override: dict[str, Any] = {}

    @model_validator(mode="after")
    def _of_0_1(self) -> Self:
        """Accept a record of version 0.1, with `compared_with` among the station's facts."""
        if "compared_with" not in self.model_fields_set and self.finished("quality"):
            self.compared_with = self.station("quality").facts.get("compared_with", "")
        return self

    def folder(self, store: Store) -> RunFolder:
        """Return the run's folder."""
        return RunFolder(store, self.as_of, self.run_id)

    def finished(self, kind: str, model: str | None = None) -> bool:
        """Return whether a station is finished."""
        return any((station.kind, station.model) == (kind, model) for station in self.stations)

    def station(self, kind: str, model: str | None = None) -> Station:
        """Return a finished station."""
        return next(station for station in self.stations if (station.kind, station.model) == (kind, model))

    @property
    def failed_models(self) -> set[str | None]:
        """The models that failed, and that the night went on without."""
        return {station.model for station in self.stations if station.failed}

    def warn(self, *warnings: str) -> None:
        """Add warnings for the manifest, without repeating any."""
        self.warnings.extend(text for text in dict.fromkeys(warnings) if text not in self.warnings)

    def document(self) -> Any:
        """Return the record as it is written: JSON values without secrets."""
        return redacted(self.model_dump(mode="json"))

    def save(self, store: Store) -> None:
        """Write the record atomically."""
        path = self.folder(store).record
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomically(path, self.document())


def new_run(store: Store, as_of: date, **facts: Any) -> RunRecord:
    """Return the record of a new run; `facts` are further fields.

    The run's id is its start time, so that ids sort by it.
    """
    started_at = now()
    used = {path.name for path in run_paths(store)}
    run_id = started_at.strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while run_id in used:
        number += 1
        run_id = f"{started_at.strftime('%Y%m%dT%H%M%SZ')}-{number}"
    record = RunRecord(run_id=run_id, as_of=as_of, started_at=started_at.isoformat(), **facts)
    record.save(store)
    return record


def read_record(path: Path) -> RunRecord:
    """Return the record of a run in a file; StoreError if it is unreadable or not a record."""
    try:
        return RunRecord.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise StoreError(f"expected the record of a run in {path}; {where}: {first['msg']}") from None


def read_records(store: Store, as_of: date | None = None) -> list[RunRecord]:
    """Return the records of all runs, or of a date's runs, in the order of their starts.

    Damaged records are skipped: `status` reports them, and `prune` removes them in time.
    """
    records = []
    for path in record_paths(store, as_of):
        with suppress(StoreError):
            records.append(read_record(path))
    return records


def last_run(store: Store) -> RunRecord | None:
    """Return the record of the run that started last, None without runs; StoreError if damaged."""
    paths = record_paths(store)
    return read_record(paths[-1]) if paths else None


def last_night(store: Store, as_of: date) -> RunRecord | None:
    """Return the record of the last run for a date that was meant to publish, None if none was.

    StoreError if a record of that date cannot be read.
    """
    for path in reversed(record_paths(store, as_of)):
        record = read_record(path)
        if record.purpose == "night" and record.state != "measured":
            return record
    return None


def record_since(store: Store, as_of: date, since: datetime) -> RunRecord | None:
    """Return the last run of a date that started or resumed at or after `since`, None if none."""
    started = {max([run.started_at, *run.resumed_at]): run for run in read_records(store, as_of)}
    recent = [text for text in started if datetime.fromisoformat(text) >= since.replace(microsecond=0)]
    return started[max(recent)] if recent else None


def measured_metrics(record: RunRecord) -> list[dict[str, Any]]:
    """Return the metrics of all models that a run measured, in the order of measuring.

    A model that failed has none.
    """
    stations = (station for station in record.stations if station.kind == "measure")
    return [row for station in stations for row in station.facts.get("metrics", [])]


def list_metrics(record: RunRecord) -> list[dict[str, Any]]:
    """Return what the lists of the measured models are like, in rows as of `measured_metrics`."""
    stations = (station for station in record.stations if station.kind == "measure")
    return [row for station in stations for row in station.facts.get("list_metrics", [])]


def mark_interrupted(store: Store, held_date: date | None = None) -> list[RunRecord]:
    """Mark runs as `interrupted` if a dead process left them `running`; return them.

    A run is alive as long as its date's lock is held. The caller holds the store's lock. If it
    holds the lock of `held_date` as well, it has not started a run for that date yet.
    """
    dead, alive = [], {*store.running_dates()} - {held_date}
    for record in read_records(store):
        if record.state == "running" and record.as_of not in alive:
            record.state, record.message = "interrupted", "the process ended before the run did"
            record.save(store)
            dead.append(record)
    return dead


def prune(store: Store, keep: int, held_date: date | None = None) -> list[Path]:
    """Remove the folders of all but the last `keep` runs, whatever their state; return them.

    Runs of dates that are running stay, except of `held_date`, whose lock the caller holds. The
    caller holds the store's lock, too.
    """
    alive = {str(as_of) for as_of in store.running_dates() if as_of != held_date}
    folders = [folder for folder in run_paths(store) if not folder.name.startswith(".")]
    removed = [folder for folder in folders[: -keep or None] if folder.parent.name not in alive]
    with writing(store.runs):
        for folder in removed:
            shutil.rmtree(folder)
            if not any(folder.parent.iterdir()):
                folder.parent.rmdir()
    return removed

"""A run's own record on disk: which stations are done, what they gave, what they cost."""

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
    """Return what a station is called: `dataset`, `train als`."""
    return f"{kind} {model}" if model else kind


def kind_and_model(name: str) -> tuple[str, str | None]:
    """Return the kind and the model, if any, of a station by what it is called."""
    kind, _, model = name.partition(" ")
    return kind, model or None


class Station(BaseModel):
    """One finished station: what it did, for which model if for one, what it gave and what it cost.

    `seconds` and `peak_memory` (bytes) are those of the process and its children.
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
        """Take a station as 0.1 wrote it, with kind and model as one name."""
        if not isinstance(content, dict) or "kind" in content or not isinstance(content.get("name"), str):
            return content
        kind, model = kind_and_model(content["name"])
        return {key: value for key, value in content.items() if key != "name"} | {
            "kind": kind,
            "model": model,
        }

    @property
    def name(self) -> str:
        """What the station is called."""
        return station_name(self.kind, self.model)

    @property
    def failed(self) -> bool:
        """Whether it failed, and the night went on without its model."""
        return "failed" in self.facts

    def account(self) -> dict[str, Any]:
        """Return what the manifest and `status` tell of it: its name and the fields that are not facts."""
        return {"name": self.name, **self.model_dump(exclude={"facts"})}


class RunRecord(BaseModel):
    """run.json in a run's folder, replaced after every station.

    `purpose` is night, evaluation or tuning. `configuration` is the configuration's fingerprint, empty in
    records that are older than it; so is `finished_at`, and in those of a run that goes on or was killed.
    `ingests_before` counts the ingests that were committed when the run began. `quality` are the rows of
    tasks.quality.checks.rows_of, `compared_with` the release that they speak of: None if there was none to
    compare with, empty if the gate has not judged. `override` says who published the run although checks
    failed, when and why.
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
        """Take a record as 0.1 wrote it, with what the gate compared with among the facts of its station."""
        if "compared_with" not in self.model_fields_set and self.finished("quality"):
            self.compared_with = self.station("quality").facts.get("compared_with", "")
        return self

    def folder(self, store: Store) -> RunFolder:
        """Return where the run keeps what it makes."""
        return RunFolder(store, self.as_of, self.run_id)

    def finished(self, kind: str, model: str | None = None) -> bool:
        """Tell whether a station is finished."""
        return any((station.kind, station.model) == (kind, model) for station in self.stations)

    def station(self, kind: str, model: str | None = None) -> Station:
        """Return a finished station."""
        return next(station for station in self.stations if (station.kind, station.model) == (kind, model))

    @property
    def failed_models(self) -> set[str | None]:
        """The models that failed, and without which the night went on."""
        return {station.model for station in self.stations if station.failed}

    def warn(self, *warnings: str) -> None:
        """Keep warnings for the manifest, each once."""
        self.warnings.extend(one for one in dict.fromkeys(warnings) if one not in self.warnings)

    def save(self, store: Store) -> None:
        """Write the record, atomically."""
        path = self.folder(store).record
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomically(path, redacted(self.model_dump(mode="json")))


def new_run(store: Store, as_of: date, **facts: Any) -> RunRecord:
    """Return the record of a new run; its id is the moment it started, and sorts. `facts` are its fields."""
    moment = now()
    taken = {path.name for path in run_paths(store)}
    run_id = moment.strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while run_id in taken:
        number += 1
        run_id = f"{moment.strftime('%Y%m%dT%H%M%SZ')}-{number}"
    record = RunRecord(run_id=run_id, as_of=as_of, started_at=moment.isoformat(), **facts)
    record.save(store)
    return record


def read_record(path: Path) -> RunRecord:
    """Return the record of a run in a file; StoreError when it cannot be read or is none."""
    try:
        return RunRecord.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise StoreError(f"expected the record of a run in {path}; {where}: {first['msg']}") from None


def read_records(store: Store, as_of: date | None = None) -> list[RunRecord]:
    """Return the records of all runs, or of a date's, in the order in which they began.

    Damaged ones are left out: `status` reports them, and `prune` removes them in time.
    """
    records = []
    for path in record_paths(store, as_of):
        with suppress(StoreError):
            records.append(read_record(path))
    return records


def last_run(store: Store) -> RunRecord | None:
    """Return the record of the run that started last, None if there was none; StoreError when damaged."""
    paths = record_paths(store)
    return read_record(paths[-1]) if paths else None


def last_night(store: Store, as_of: date) -> RunRecord | None:
    """Return the record of the last run for a date that was to publish, None if there was none.

    StoreError when a record of that date cannot be read.
    """
    for path in reversed(record_paths(store, as_of)):
        record = read_record(path)
        if record.purpose == "night" and record.state != "measured":
            return record
    return None


def record_since(store: Store, as_of: date, moment: datetime) -> RunRecord | None:
    """Return the record of a date's run that began or went on at a moment or later, None if none did."""
    began = {max([run.started_at, *run.resumed_at]): run for run in read_records(store, as_of)}
    late = [text for text in began if datetime.fromisoformat(text) >= moment.replace(microsecond=0)]
    return began[max(late)] if late else None


def measured_metrics(record: RunRecord) -> list[dict[str, Any]]:
    """Return the metrics of all models that a run measured, in the order in which it did.

    A model that failed alone has none.
    """
    stations = (station for station in record.stations if station.kind == "measure")
    return [row for station in stations for row in station.facts.get("metrics", [])]


def bury(store: Store, mine: date | None = None) -> list[RunRecord]:
    """Mark the runs that a dead process left `running` as `interrupted`; return them.

    A run is alive as long as its date's lock is held. The caller holds the store's lock; and that of the
    date `mine`, if any, of which it has not begun its own run.
    """
    dead, alive = [], {*store.dates_at_work()} - {mine}
    for record in read_records(store):
        if record.state == "running" and record.as_of not in alive:
            record.state, record.message = "interrupted", "the process ended before the run did"
            record.save(store)
            dead.append(record)
    return dead


def prune(store: Store, keep: int, mine: date | None = None) -> list[Path]:
    """Remove the folders of runs beyond the last `keep`, whatever became of them; return what was removed.

    Those of dates that are at work stay, except of the caller's own date `mine`. The caller holds the store's
    lock.
    """
    alive = {str(as_of) for as_of in store.dates_at_work() if as_of != mine}
    folders = [folder for folder in run_paths(store) if not folder.name.startswith(".")]
    removed = [folder for folder in folders[: -keep or None] if folder.parent.name not in alive]
    with writing(store.runs):
        for folder in removed:
            shutil.rmtree(folder)
            if not any(folder.parent.iterdir()):
                folder.parent.rmdir()
    return removed

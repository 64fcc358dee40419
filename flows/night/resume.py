"""Resume a run that was killed or failed, from its record on disk alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from flows.night.night import Night, last_ingest
from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import id_types
from tasks.interactions.ledger import Ledger
from tasks.release.releases import release_of
from tasks.release.tables import TABLES
from tasks.runtime.clock import now
from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, Station, last_night, new_run

LOG = logging.getLogger("nightshelf")
Resume = Literal["no", "yes", "where possible", "where missing"]
"""Start a new run; resume the date's last run or fail; resume it or start anew (a retry); or do that
only if the date has no whole release."""


class ResumeError(UserError):
    """No run can be resumed, or the last run does not fit the present request."""


class AlreadyReleasedError(UserError):
    """The date has a whole release, and only dates without one were to run."""

    def __init__(self, as_of: date, release_id: str) -> None:
        super().__init__(f"{as_of} was published meanwhile as {release_id}")
        self.release_id = release_id


def begin_night(
    configuration: Configuration, as_of: date, resume: Resume, reingest: Mapping[str, bool], store: Store
) -> RunRecord:
    """Return the record of a new or resumed run, saved as running.

    `reingest` says which logs to ingest again (replace_changed, rebuild); a resumed run keeps the
    flags it was started with. The caller holds the store's lock.

    Raises
    ------
    ResumeError
        If `resume` is "yes" and no run can be resumed.
    AlreadyReleasedError
        If it is "where missing" and the date has a whole release.
    """
    if resume == "where missing" and (release := release_of(store, as_of)):
        raise AlreadyReleasedError(as_of, release.release_id)
    if resume != "no":
        try:
            return _resume(configuration, store, resumable_run(configuration, as_of, reingest, store))
        except ResumeError as refusal:
            if resume == "yes":
                raise
            LOG.info("a new run is started: %s", refusal)
    return new_run(
        store,
        as_of,
        configuration=configuration.fingerprint(),
        ingests_before=len(Ledger.read(store).manifests),
        **reingest,
    )


def resumable_run(
    configuration: Configuration, as_of: date, reingest: Mapping[str, bool], store: Store
) -> RunRecord:
    """Return the record of the date's last run; ResumeError if it cannot be resumed."""
    record = last_night(store, as_of)
    if record is None:
        raise ResumeError(f"there is no run for {as_of} to resume in {store.root}: leave out --resume")
    name = f"the last run for {as_of} ({record.run_id})"
    if record.state == "published":
        raise ResumeError(
            f"{name} published {record.release_id}, there is nothing to resume: leave out --resume"
        )
    if not record.configuration:
        raise ResumeError(f"{name} is older and did not record its configuration: leave out --resume")
    if record.configuration != configuration.fingerprint():
        raise ResumeError(
            f"the configuration changed since {name} began, so its results may not fit the other stations: "
            "change it back, or leave out --resume to start anew"
        )
    missing = [
        f"--{key.replace('_', '-')}" for key, on in reingest.items() if on and not getattr(record, key)
    ]
    if missing:
        raise ResumeError(
            f"{name} was started without {', '.join(missing)}: leave that out, or leave out --resume"
        )
    return record


def _resume(configuration: Configuration, store: Store, record: RunRecord) -> RunRecord:
    """Set the record running again, without the finished stations that no longer count."""
    _forget_stale(Night(configuration, store, record.as_of, record))
    record.state, record.message = "running", ""
    record.resumed_at.append(now().isoformat())
    record.save(store)
    finished = ", ".join(station.name for station in record.stations) or "nothing"
    LOG.info("run %s for %s resumes; already finished: %s", record.run_id, record.as_of, finished)
    return record


def _forget_stale(night: Night) -> None:
    """Drop stations from the first with changed input or missing output on, and log a warning."""
    record = night.record
    if night.store.release(night.release_id).is_dir() or not record.stations:
        return  # the release exists: only the pointer is missing
    record.stations = [station for station in record.stations if not station.failed]  # retry failed models
    newest, known = last_ingest(night.store), record.station("interactions").facts.get("last_ingest")
    if newest != known:
        record.stations, record.warnings = [], []
        why = f"ingest {newest} was committed after the run's last one, {known}"
    else:
        incomplete = [station for station in record.stations if not _has_output(night, station)]
        if not incomplete:
            return
        record.stations = record.stations[: record.stations.index(incomplete[0])]
        why = f"the output of {', '.join(station.name for station in incomplete)} is gone"
    first = record.stations[-1].name if record.stations else None
    record.warnings.append(f"resumed {f'after {first}' if first else 'from the station interactions'}: {why}")
    LOG.warning("%s", record.warnings[-1])


def _has_output(night: Night, station: Station) -> bool:
    """Return whether the output of a finished station still exists and has its table's present schema."""
    run = night.folder
    folders: dict[str, Path] = {"dataset": run.dataset, "holdout": run.past}
    if station.kind == "eve" and station.facts["contest"]:
        folders["eve"] = run.eve
    if station.kind == "train" and station.model:
        return run.model(station.model).is_dir()
    if station.kind in folders:
        return folders[station.kind].is_dir()
    if station.kind in TABLES:
        path, schema = run.staging / f"{station.kind}.parquet", TABLES[station.kind].schema
        return path.is_file() and bool(pq.read_schema(path).equals(schema(id_types(night.configuration))))
    return True

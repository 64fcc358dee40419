"""Continuing a run that was killed or failed, by its own record on disk and by nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from flows.night.night import Night, last_ingest
from tasks.configuration.configuration import Configuration
from tasks.interactions.ledger import Ledger
from tasks.runtime.clock import now
from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, Station, last_night, new_run

LOG = logging.getLogger("nightshelf")
Resume = Literal["no", "yes", "where possible"]
"""Start anew; continue the date's last run or refuse; continue it or start anew (a retry)."""


class ResumeError(UserError):
    """There is no run to continue, or what it has done does not fit what is asked for now."""


def begin_night(
    configuration: Configuration, as_of: date, resume: Resume, again: Mapping[str, bool], store: Store
) -> RunRecord:
    """Return the record of a new run, or of the one that goes on; it is saved as running.

    `again` is what of the logs is taken in once more (replace_changed, rebuild); a run that goes on does
    what it was started with. The caller holds the store's lock.

    Raises
    ------
    ResumeError
        If `resume` is "yes" and no run can be continued.
    """
    if resume != "no":
        try:
            return _continued(configuration, store, _resumable(configuration, as_of, again, store))
        except ResumeError as refusal:
            if resume == "yes":
                raise
            LOG.info("a new run is started: %s", refusal)
    return new_run(
        store,
        as_of,
        configuration=configuration.fingerprint(),
        ingests_before=len(Ledger.read(store).manifests),
        **again,
    )


def _resumable(
    configuration: Configuration, as_of: date, again: Mapping[str, bool], store: Store
) -> RunRecord:
    """Return the record of the date's last run if that can be continued; ResumeError if not."""
    record = last_night(store, as_of)
    if record is None:
        raise ResumeError(f"there is no run for {as_of} to resume in {store.root}: leave out --resume")
    name = f"the last run for {as_of} ({record.run_id})"
    if record.state == "published":
        raise ResumeError(
            f"{name} published {record.release_id}, there is nothing to resume: leave out --resume"
        )
    if not record.configuration:
        raise ResumeError(f"{name} did not record its configuration, as it is older: leave out --resume")
    if record.configuration != configuration.fingerprint():
        raise ResumeError(
            f"the configuration changed since {name} began, so what it has done may not fit what is left: "
            "change it back, or leave out --resume to start anew"
        )
    other = [f"--{key.replace('_', '-')}" for key, on in again.items() if on and not getattr(record, key)]
    if other:
        raise ResumeError(f"{name} was started without {', '.join(other)}: leave that out, or --resume")
    return record


def _continued(configuration: Configuration, store: Store, record: RunRecord) -> RunRecord:
    """Return the record, running again, without the finished stations that do not count any more."""
    _forget_stale(Night(configuration, store, record.as_of, record))
    record.state, record.message = "running", ""
    record.resumed_at.append(now().isoformat())
    record.save(store)
    done = ", ".join(station.name for station in record.stations) or "nothing"
    LOG.info("run %s for %s goes on; finished before: %s", record.run_id, record.as_of, done)
    return record


def _forget_stale(night: Night) -> None:
    """Drop finished stations from the first whose input changed or whose output is gone, and say so."""
    record = night.record
    if night.store.release(night.release_id).is_dir() or not record.stations:
        return  # the release is there: what is left is to point to it
    record.stations = [station for station in record.stations if not station.failed]  # a model, once more
    found, seen = last_ingest(night.store), record.station("interactions").facts.get("last_ingest")
    if found != seen:
        record.stations, record.warnings = [], []
        why = f"ingest {found} was committed after the run's own last one, {seen}"
    else:
        lost = [station for station in record.stations if not _is_there(night, station)]
        if not lost:
            return
        record.stations = record.stations[: record.stations.index(lost[0])]
        why = f"the output of {', '.join(station.name for station in lost)} is gone"
    first = record.stations[-1].name if record.stations else None
    record.warnings.append(f"resumed {f'after {first}' if first else 'from the station interactions'}: {why}")
    LOG.warning("%s", record.warnings[-1])


def _is_there(night: Night, station: Station) -> bool:
    """Tell whether what a finished station wrote is still there: staging of old runs is removed in time."""
    run = night.folder
    folders: dict[str, Path] = {"dataset": run.dataset, "holdout": run.past}
    if station.kind == "train" and station.model:
        return run.model(station.model).is_dir()
    if station.kind in folders:
        return folders[station.kind].is_dir()
    if station.kind in {"validation_results", "popular_items", "recommendations", "similar_items"}:
        return (run.staging / f"{station.kind}.parquet").is_file()
    return True

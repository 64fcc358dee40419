"""Publishing a night that its quality gate refused, because a person says so and why."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import date
from functools import partial

from flows.night.lifecycle import started
from flows.night.release_station import release_station
from flows.night.retries import directly
from flows.night.run import run_station
from tasks.configuration.configuration import Configuration
from tasks.runtime.clock import now
from tasks.runtime.errors import UserError
from tasks.runtime.progress import Report, silent
from tasks.store.layout import Store
from tasks.store.names import split_release_id
from tasks.store.run_folder import RunFolder
from tasks.store.runs import RunRecord, Station, read_record


def publish_refused(
    configuration: Configuration, release_id: str, reason: str, report: Report = silent
) -> RunRecord:
    """Publish the run of a refused release; its manifest says who did, when, why, and what had failed.

    The audit of the tables is not overridden.

    Raises
    ------
    UserError
        If no reason is given, the run was not refused by the quality gate, its files are gone, the
        configuration changed since, or the audit refuses it.
    """
    if not reason.strip():
        raise UserError("expected a reason for publishing what the quality gate refused, got none")
    as_of, run_id = split_release_id(release_id)
    refused = refused_run(Store(configuration.store.path), release_id)
    if refused.configuration != configuration.fingerprint():
        raise UserError(
            f"the configuration changed since {release_id} was refused: change it back, or run {as_of} again"
        )
    with started(configuration, as_of, report, partial(_overridden, as_of, run_id, reason)) as night:
        run_station(night, directly, "release", partial(release_station, night))
        night.record.state = "published"
    return night.record


def refused_run(store: Store, release_id: str) -> RunRecord:
    """Return the record of the run that the quality gate refused; UserError if it was not, or is gone."""
    as_of, run_id = split_release_id(release_id)
    run = RunFolder(store, as_of, run_id)
    if not run.record.is_file():
        raise UserError(f"there is no run {run_id} for {as_of} in {store.root}: run {as_of} again")
    record = read_record(run.record)
    if record.state == "published" or not any(not row["passed"] for row in record.quality):
        why = record.message.partition("\n")[0]
        raise UserError(
            f"{release_id} was not refused by the quality gate: {record.state}{': ' if why else ''}{why}"
        )
    if not (run.staging / "recommendations.parquet").is_file() or not run.dataset.is_dir():
        raise UserError(f"the tables of {release_id} were removed in the meantime: run {as_of} again")
    return record


def _overridden(as_of: date, run_id: str, reason: str, store: Store) -> RunRecord:
    """Return the record of the refused run with the override in it, running; the store's lock is held."""
    record = read_record(RunFolder(store, as_of, run_id).record)
    failed = [row["check"] for row in record.quality if not row["passed"]]
    moment = now().isoformat()
    record.override = {
        "user": _user(),
        "host": socket.gethostname(),
        "at": moment,
        "reason": " ".join(reason.split()),
        "checks": failed,
    }
    record.warn(
        f"published by force although {len(failed)} quality checks failed: {record.override['reason']}"
    )
    if not record.finished("quality"):
        facts = {"overridden": failed}
        record.stations.append(Station(kind="quality", seconds=0.0, peak_memory=0, facts=facts))
    record.state, record.message = "running", ""
    record.resumed_at.append(moment)
    record.save(store)
    return record


def _user() -> str:
    """Return who this process belongs to; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"

"""The paths of reports: a run's in its folder, a release's in `reports`."""

from __future__ import annotations

from pathlib import Path

from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.names import checked_name
from tasks.store.run_folder import record_paths
from tasks.store.runs import RunRecord, last_run, read_record


def report_of(store: Store, record: RunRecord) -> Path | None:
    """Return the report about a run, or None; if it published, the one in `reports`."""
    paths = [record.folder(store).report]
    if record.release_id is not None:
        paths.insert(0, store.report(record.release_id))
    return next((path for path in paths if path.is_file()), None)


def find_report(store: Store, run_id: str | None = None, release_id: str | None = None) -> Path:
    """Return the report about a run or a release, by default about the last run.

    Raises
    ------
    UserError
        If there is no such run or release, or it has no report.
    """
    if release_id is not None:
        subject, path = f"release {release_id}", store.report(release_id)
        report = path if path.is_file() else None
    else:
        record = last_run(store) if run_id is None else _record(store, run_id)
        if record is None:
            raise UserError(f"no run in {store.root} yet: `nightshelf run` writes a report")
        subject, report = f"run {record.run_id} for {record.as_of}", report_of(store, record)
    if report is None:
        pages = (path.stem for path in store.reports.glob("*.html") if path != store.releases_page)
        available = ", ".join(sorted(pages, reverse=True)[:5])
        raise UserError(f"no report about {subject}; releases with a report: {available or 'none'}")
    return report


def _record(store: Store, run_id: str) -> RunRecord:
    name = checked_name("run id", run_id)
    records = {path.parent.name: path for path in record_paths(store)}
    if name in records:
        return read_record(records[name])
    known = ", ".join([*records][::-1][:5])
    raise UserError(f"unknown run {run_id!r}; known: {known or 'none'}")

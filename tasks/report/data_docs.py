"""The Data Docs of a run, linked with the pages about it; a release keeps a copy beside its page."""

from __future__ import annotations

import shutil
from pathlib import Path

from tasks.release.retention import discard
from tasks.store.layout import Store
from tasks.store.run_folder import REPORT
from tasks.store.runs import RunRecord
from tasks.validation.data_docs import INDEX_PAGE, link_report


def link_data_docs(store: Store, record: RunRecord) -> str:
    """Link a run's Data Docs to the report in its folder; return the link to them, empty if none."""
    site = record.folder(store).data_docs
    if not (site / INDEX_PAGE).is_file():
        return ""
    link_report(site, f"../{REPORT}")
    return f"{site.name}/{INDEX_PAGE}"


def keep_data_docs(store: Store, record: RunRecord) -> str:
    """Copy a published run's Data Docs to the store's reports; return the link to them, empty if none.

    The run's folder goes with `keep_runs`, and the page about a release stays: its link must lead
    somewhere as long as it does.
    """
    run, kept = record.folder(store), store.report_docs(str(record.release_id))
    if not (run.data_docs / INDEX_PAGE).is_file():
        return f"{kept.name}/{INDEX_PAGE}" if (kept / INDEX_PAGE).is_file() else ""
    copy = run.root / f".{run.data_docs.name}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run.data_docs, copy)
    link_report(copy, f"../{store.report(str(record.release_id)).name}")
    if kept.exists():
        discard(kept)
    copy.rename(kept)
    return f"{kept.name}/{INDEX_PAGE}"


def data_docs_of(store: Store, record: RunRecord) -> Path | None:
    """Return the start page of a run's Data Docs, the one that lasts longer; None if it has none."""
    pages = [record.folder(store).data_docs / INDEX_PAGE]
    if record.release_id is not None:
        pages.insert(0, store.report_docs(record.release_id) / INDEX_PAGE)
    return next((page for page in pages if page.is_file()), None)

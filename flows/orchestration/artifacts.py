"""A run in the Prefect UI: its name and tags, log, progress and artifacts."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect import get_client
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext

from flows.night.catch_up import missed
from flows.orchestration.logs import forward_logs
from flows.orchestration.station_task import as_task
from flows.orchestration.training_progress import TrainingProgress
from tasks.configuration.configuration import Configuration
from tasks.release.missing import missing_text
from tasks.report import summary
from tasks.report.data_docs import data_docs_of
from tasks.report.markdown import markdown, night_page
from tasks.report.releases_page import releases_markdown
from tasks.report.source_rows import source_rows
from tasks.runtime.progress import Report
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, record_since

LOG = logging.getLogger("nightshelf")


@contextmanager
def show_run(configuration: Configuration, as_of: date, report: Report) -> Iterator[Report]:
    """Show the run inside the context in the UI, with its log and its artifacts.

    Yields the report that also drives the progress artifacts.
    """
    with (
        show_flow(configuration.store.path, report) as training,
        create_artifacts_after(configuration, as_of),
    ):
        yield training
        training.fill(str(as_of))


@contextmanager
def show_flow(store: Path, report: Report) -> Iterator[TrainingProgress]:
    """Show the log and training of all runs inside the context; yield the report that drives it."""
    with forward_logs():
        yield TrainingProgress(report, artifact_key("training", Store(store)))


@contextmanager
def create_artifacts_after(configuration: Configuration, as_of: date) -> Iterator[None]:
    """Create the artifacts of the date's run inside the context, even if it failed or stopped."""
    store, began_at, missing = Store(configuration.store.path), datetime.now(UTC), list[str]()
    try:
        yield
    finally:
        record = record_since(store, as_of, began_at)
        if record is not None:
            try_to_show(
                "the missing dates",
                lambda: missing.append(missing_text(missed(configuration))),
            )
            create_run_artifacts(store, record, configuration.report.sample_users, *missing)


def name_run(configuration: Configuration, as_of: date, kind: str) -> None:
    """Name the flow run by kind and date, and tag it with kind, date and store."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    tags = {*run.tags, kind, str(as_of), f"store {short_path(Store(configuration.store.path))}"}

    def name() -> None:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run.id, name=f"{kind} {as_of}", tags=sorted(tags))

    try_to_show("the name of the flow run", name)


def create_run_artifacts(store: Store, record: RunRecord, sample_users: int, missing: str = "") -> None:
    """Create a run's artifacts: its page, and tables of rows, checks, metrics, stations, samples.

    With `sample_users` 0 no users are shown, otherwise up to three. `missing` says which past dates
    have no release.
    """
    about = f"the {record.purpose} of {record.as_of}"
    key = artifact_key(record.purpose, store)

    def create_page() -> None:
        description = markdown(f"{summary.headline(store, record)}; {about}")
        create_markdown_artifact(night_page(store, record, missing), key=key, description=description)

    try_to_show("the page of the run", create_page)
    tables = partial(_create_tables, store, record, sample_users)
    try_to_show("the tables", lambda: as_task("tables and releases", tables))


def _create_tables(store: Store, record: RunRecord, sample_users: int) -> None:
    """Create the tables of a run.

    A task does so, since Prefect shows a flow run's artifacts before those of its tasks, and several
    of either in no order: the page alone is the flow run's, and so the first.
    """
    about = f"the {record.purpose} of {record.as_of}"
    tables: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "rows": lambda: summary.accounting_rows(record),
        "sources": lambda: source_rows(record),
        "checks": lambda: summary.check_rows(store, record),
        "metrics": lambda: summary.compared_metrics(store, record),
        "stations": lambda: summary.station_rows(record),
        "samples": lambda: summary.sample_rows(store, record, sample_users),
    }
    docs = data_docs_of(store, record)
    links = {"checks": f". Pages about them: {markdown(docs.as_uri())}"} if docs else {}
    for name, rows in tables.items():
        try_to_show(
            f"the table of {name}",
            lambda name=name, rows=rows: create_table(  # type: ignore[misc]
                artifact_key(name, store), rows(), f"{name.capitalize()} of {about}{links.get(name, '')}"
            ),
        )
    if record.purpose == "night" and (record.state == "published" or summary.failed_checks(store, record)):
        show_releases(store)


def show_releases(store: Store) -> None:
    """Create the artifact about all releases of a store."""
    key, about = artifact_key("releases", store), "All releases, and the nights that were refused"
    try_to_show(
        "the page about all releases",
        lambda: create_markdown_artifact(releases_markdown(store), key=key, description=about),
    )


def create_table(key: str, rows: Sequence[dict[str, Any]], description: str) -> None:
    """Create a table artifact with text and numbers as values; nothing if there are no rows."""
    if rows:
        cells = [{name: _cell_value(value) for name, value in row.items()} for row in rows]
        create_table_artifact(cells, key=key, description=description)


def artifact_key(kind: str, store: Store) -> str:
    """Return the key of a kind of artifact, shared by all runs on a store, so the UI has a history.

    It ends with six digits of a hash of the store's path, since folders often have the same name.
    """
    digits = hashlib.sha256(str(store.root).encode()).hexdigest()[:6]
    return "-".join([kind, *re.findall("[a-z0-9]+", short_path(store).lower()), digits])


def short_path(store: Store) -> str:
    """Return the last two folders of a store's path; the last is often just `store`."""
    return "/".join(store.root.parts[1:][-2:])


def try_to_show(what: str, work: Callable[[], Any]) -> None:
    """Run `work`, which shows something in Prefect; log any failure.

    Any exception is caught here: a server that is away, refuses a request or has another version
    must not change the outcome of a night. The log says what is not shown, and why.
    """
    try:
        work()
    except Exception as error:
        LOG.warning("%s is not shown in Prefect: %s: %s", what, type(error).__name__, error)


def _cell_value(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    return markdown(value)

"""What a person sees of a run in the Prefect UI: its name and tags, its log, its progress, its artifacts."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from prefect import get_client
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext

from flows.orchestration.logs import lines_shown
from flows.orchestration.training_progress import Training
from tasks.configuration.configuration import Configuration
from tasks.report import summary
from tasks.report.markdown import markdown, night_page
from tasks.runtime.progress import Report
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, record_since

LOG = logging.getLogger("nightshelf")


@contextmanager
def run_shown(configuration: Configuration, as_of: date, report: Report) -> Iterator[Report]:
    """Show a run in the UI while it is done inside: its log and its artifacts.

    Gives the report that also drives the progress artifacts.
    """
    with (
        flow_shown(configuration.store.path, report) as training,
        artifacts_of(configuration, as_of),
    ):
        yield training
        training.fill(str(as_of))


@contextmanager
def flow_shown(store: Path, report: Report) -> Iterator[Training]:
    """Show the log and the training of all runs that are done inside; give the report that drives it."""
    with lines_shown():
        yield Training(report, key_of("training", Store(store)))


@contextmanager
def artifacts_of(configuration: Configuration, as_of: date) -> Iterator[None]:
    """Make the artifacts of the date's run that was done inside, however it ended, as far as it came."""
    store, began = Store(configuration.store.path), datetime.now(UTC)
    try:
        yield
    finally:
        record = record_since(store, as_of, began)
        if record is not None:
            show_run(store, record, configuration.report.sample_users)


def name_run(configuration: Configuration, as_of: date, kind: str) -> None:
    """Give the flow run its name with the date, and tags: kind, date, store."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    tags = {*run.tags, kind, str(as_of), f"store {name_of(Store(configuration.store.path))}"}

    def name() -> None:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run.id, name=f"{kind} {as_of}", tags=sorted(tags))

    attempt("the name of the flow run", name)


def show_run(store: Store, record: RunRecord, sample_users: int) -> None:
    """Make the artifacts of a run: its page, and tables of rows, checks, metrics, stations and samples.

    Of users none are shown where `sample_users` is 0, else up to three.
    """
    about = f"{record.purpose} {record.as_of}, run {record.run_id}"
    key = key_of(record.purpose, store)
    attempt(
        "the page of the run",
        lambda: create_markdown_artifact(night_page(store, record), key=key, description=about),
    )
    tables: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "rows": lambda: summary.accounting_rows(record),
        "checks": lambda: summary.check_rows(store, record),
        "metrics": lambda: summary.compared_metrics(store, record),
        "stations": lambda: summary.station_rows(record),
        "samples": lambda: summary.sample_rows(store, record, sample_users),
    }
    docs = summary.data_docs(store, record)
    more = {"checks": f". Pages about them: {markdown(docs.as_uri())}"} if docs else {}
    for name, rows in tables.items():
        attempt(
            f"the table of {name}",
            lambda name=name, rows=rows: show_table(  # type: ignore[misc]
                key_of(name, store), rows(), f"{name.capitalize()} of {about}{more.get(name, '')}"
            ),
        )


def show_table(key: str, rows: Sequence[dict[str, Any]], description: str) -> None:
    """Make a table artifact, of values that are text or numbers; none of no rows."""
    if rows:
        shown = [{name: _cell(value) for name, value in row.items()} for row in rows]
        create_table_artifact(shown, key=key, description=description)


def key_of(kind: str, store: Store) -> str:
    """Return the key of a kind of artifact, the same for all runs on a store: the UI shows their history.

    It ends with a few digits of the store's whole path, since folders are often named alike.
    """
    digits = hashlib.sha256(str(store.root).encode()).hexdigest()[:6]
    return "-".join([kind, *re.findall("[a-z0-9]+", name_of(store).lower()), digits])


def name_of(store: Store) -> str:
    """Return the last two folders of a store's path: the last alone is often `store`."""
    return "/".join(store.root.parts[1:][-2:])


def attempt(what: str, work: Callable[[], Any]) -> None:
    """Do a piece of showing.

    Here, and for this alone, any exception is caught: a night that is computed and published, or one whose
    failure is being told, must not end otherwise because the server is away for a moment, refuses a request
    or is of another version. The log says what is not shown and why.
    """
    try:
        work()
    except Exception as error:
        LOG.warning("%s is not shown in Prefect: %s: %s", what, type(error).__name__, error)


def _cell(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    return markdown(value)

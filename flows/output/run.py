"""Print the end of a run: stations, accounting, metrics, samples, and the next commands."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from flows.output import terminal as out
from tasks.interactions.account import Counts, absence, absent_columns
from tasks.interactions.ingest import Ingest
from tasks.interactions.late_events import LateEvents
from tasks.release.main_metrics import main_metrics
from tasks.report.incumbents import change_of
from tasks.report.item_freshness import freshness_of
from tasks.report.source_rows import replaced_files, rows_of, source_rows
from tasks.report.summary import judged_sentence, late_events_of
from tasks.runtime.wording import counted
from tasks.store.files import readable
from tasks.store.runs import RunRecord, measured_metrics

SAMPLES = {
    "recommendations": "recommendations_with_titles WHERE user_id = {user} ORDER BY rank",
    "similar_items": "similar_items_with_titles ORDER BY item_id, rank",
    "popular_items": "popular_items_with_titles WHERE segment = 'all' AND window_days = 7 ORDER BY rank",
    "model_metrics": "model_metrics WHERE metric = 'ndcg'",
    "release_scores": """(
        SELECT as_of, segment, segment_value, k, users_judged, users_hit, recall, ndcg
        FROM release_scores WHERE segment IN ('all', 'model')
    )""",
    "validation_results": "validation_results",
}


def print_run(record: RunRecord) -> None:
    """Print the stations, accounting, metrics and release of a run."""
    rows: list[out.Row] = [
        (station.name, station.rows, round(station.seconds, 1), readable(station.peak_memory))
        for station in record.stations
    ]
    seconds = round(sum(station.seconds for station in record.stations), 1)
    peak = max(station.peak_memory for station in record.stations)
    rows.append(("all", None, seconds, readable(peak)))
    title = f"Run {record.run_id} for {record.as_of}"
    out.print_table(("station", "rows", "seconds", "peak memory"), rows, title)
    facts = record.station("interactions").facts
    total = Counts.model_validate(facts["total"])
    _print_counts(total, "All rows ingested so far", facts["exclude_rules"])
    _print_sources(source_rows(record), "All rows by source")
    for replaced in replaced_files(record):
        out.print_line(f"Not read: {replaced}")
    _print_late(late_events_of(record))
    if freshness := freshness_of(record):
        out.print_line(str(freshness))
    print_metrics(record)
    if judged := judged_sentence(record):
        out.print_line(f"What readers had: {judged}.")
    if change := change_of(record):
        out.print_line(f"{change}.")
    if record.quality:
        names = ("check", "observed", "bound", "passed")
        rows = [
            tuple({True: "yes", False: "NO"}.get(row[name], row[name]) for name in names)
            for row in record.quality
        ]
        with_which = f", compared with {record.compared_with}" if record.compared_with else ""
        out.print_table(names, rows, f"Quality{with_which}")
    for warning in record.warnings:
        out.print_line(f"warning: {warning}", style="yellow")
    if record.release_id:
        active = record.station("release").facts["active"]
        state = "active" if active else "published, not active: readers stay with a later date"
        out.print_line(f"Release {record.release_id} is {state}.", style="bold")


def print_accounting(ingested: Ingest, late: LateEvents) -> None:
    """Print the files and rows of an ingest."""
    out.print_line(f"{ingested.ingested} files ingested, {ingested.known} known before.")
    for part in ingested.left_out:
        out.print_line(f"Not read: {part}", style="yellow" if part.is_news else "")
    for note in ingested.notes:
        out.print_line(f"Note: {note}", style="yellow")
    for column, files in absent_columns(ingested.files).items():
        out.print_line(f"Note: {absence(column, files)}", style="yellow")
    _print_counts(ingested.counts, "Rows of these files", ingested.exclude_rules)
    _print_counts(ingested.total, "All rows ingested so far", ingested.exclude_rules)
    facts = ingested.facts()
    _print_sources(rows_of(facts["sources"]), "Rows of these files by source")
    _print_sources(rows_of(facts["sources_total"]), "All rows by source")
    if ingested.repeated_before_rules:
        repeats = f"{ingested.repeated_before_rules:,}"
        out.print_line(f"Exact repeats among all rows of these files, before any rule: {repeats}")
    _print_late(late)


def _print_late(late: LateEvents) -> None:
    """Print the dates to run again because of late events, if any."""
    if late.dates:
        for line in (str(late), *late.commands):
            out.print_line(line, style="yellow")


def print_metrics(record: RunRecord) -> None:
    """Print the main metrics, one row per measured model, the best first."""
    rows = measured_metrics(record)
    if not rows:
        return
    table = main_metrics(rows, lambda row: round(row["value"], 4))
    title = f"Measured on the last events, for {counted(rows[0]['users'], 'user')}"
    out.print_table(tuple(table[0]), [tuple(row.values()) for row in table], title)


def print_demo(config: Path, as_of: date) -> None:
    """Print a sample of every table and the next commands."""
    from tasks.configuration.configuration import load
    from tasks.release.query import query
    from tasks.store.layout import Store

    store = Store(load(config).store.path)
    user = _typical_user(store)
    for name, text in SAMPLES.items():
        sample = query(store, f"SELECT * FROM {text.format(user=_quoted(user))} LIMIT 5")
        if sample.num_rows:
            out.print_table(out.columns_of(sample), out.rows_of(sample), name)
        else:
            out.print_line(f"{name}: no rows yet")
    out.print_line("Next:", style="bold")
    for command in next_commands(config, as_of, user):
        out.print_line(f"  {command}")


def next_commands(config: Path, as_of: date, user: str) -> Iterator[str]:
    """Yield useful next commands for a new user, as typed in a shell."""
    sources = "SELECT source, count(*) AS rows FROM recommendations GROUP BY source"
    for arguments in (
        ["show", "user", user],
        ["query", sources],
        ["run", "--as-of", str(as_of + timedelta(days=1))],
    ):
        quoted = (f'"{word}"' if word == sources else shlex.quote(word) for word in arguments)
        yield f"{_program()} {' '.join(quoted)} --config {shlex.quote(str(config))}"


def _program() -> str:
    """Return how to call this program: by name if on the PATH, else by its relative path."""
    program = Path(sys.argv[0])
    if shutil.which("nightshelf") or program.name != "nightshelf":
        return "nightshelf"
    return shlex.quote(os.path.relpath(program))


def _typical_user(store: Any) -> str:
    """Return the median user (by id) among those with reasons, or among all if none has any."""
    from tasks.release.query import query

    middle = "SELECT CAST(quantile_disc(user_id, 0.5) AS VARCHAR) AS user_id FROM recommendations"
    with_reason = f"SELECT coalesce(({middle} WHERE reason_item_id IS NOT NULL), ({middle})) AS user_id"
    return str(query(store, with_reason)["user_id"][0].as_py())


def _print_counts(counts: Counts, title: str, exclude_rules: Collection[str]) -> None:
    """Print the row accounting; the last lines are the sum and the residual."""
    out.print_table(("rows", "count"), list(_count_rows(counts, exclude_rules)), title)


def _print_sources(rows: list[dict[str, Any]], title: str) -> None:
    """Print the account of each of several sources."""
    if rows:
        out.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows], title)


def _count_rows(counts: Counts, exclude_rules: Collection[str]) -> Iterator[out.Row]:
    for name in ("accepted", "excluded", "quarantined", "duplicates"):
        yield name, getattr(counts, name)
        if name in ("excluded", "quarantined"):
            for rule, rows in sorted(counts.rules.items(), key=lambda item: (-item[1], item[0])):
                if (rule in exclude_rules) == (name == "excluded"):
                    yield f"  {rule}", rows
    yield "read", counts.read
    yield "unaccounted for", counts.residual()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

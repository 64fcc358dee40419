"""What a person sees at the end of a run: stations, accounting, metrics, samples, and what to do next."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.files import readable
from tasks.ingest_ledger import Counts
from tasks.interactions import Ingest
from tasks.run_record import RunRecord

SHOWN = ("ndcg@10", "recall@20", "hit_rate@10", "coverage@10")


def console() -> Console:
    """Return a console on stdout; wide where it is not a terminal, so that nothing is cut."""
    probe = Console()
    return probe if probe.is_terminal else Console(width=160)


def print_run(record: RunRecord) -> None:
    """Print the stations of a run, its accounting, its metrics and what it published."""
    out = console()
    table = Table(title=f"Run {record.run_id} for {record.as_of}")
    for name in ("station", "rows", "seconds", "peak memory"):
        table.add_column(name, justify="left" if name == "station" else "right")
    for station in record.stations:
        rows = "" if station.rows is None else f"{station.rows:,}"
        table.add_row(station.name, rows, f"{station.seconds:.1f}", readable(station.peak_memory))
    table.add_section()
    table.add_row(
        "all",
        "",
        f"{sum(station.seconds for station in record.stations):.1f}",
        readable(max(station.peak_memory for station in record.stations)),
    )
    out.print(table)
    facts = record.station("interactions").facts
    total = Counts.model_validate(facts["total"])
    out.print(accounting(total, "All rows taken in so far", facts["exclude_rules"]))
    print_metrics(record)
    for warning in record.warnings:
        out.print(f"warning: {warning}", style="yellow")
    if record.release_id:
        state = "active" if record.station("release").facts["active"] else "published, not active (an older date)"
        out.print(f"Release [bold]{record.release_id}[/bold] is {state}.")


def print_accounting(done: Ingest, exclude_rules: Collection[str]) -> None:
    """Print what an ingest took in; the names of the rules that exclude tell them from those that quarantine."""
    out = console()
    out.print(f"{done.taken} files taken in, {done.known} known before.")
    out.print(accounting(done.counts, "Rows of these files", exclude_rules))
    out.print(accounting(done.total, "All rows taken in so far", exclude_rules))
    if done.repeated_before_rules:
        out.print(f"Exact repeats among all rows of these files, before any rule: {done.repeated_before_rules:,}")


def accounting(counts: Counts, title: str, exclude_rules: Collection[str]) -> Table:
    """Return the row accounting as a table whose last line is the sum and its proof."""
    table = Table(title=title)
    table.add_column("rows")
    table.add_column("", justify="right")
    for name in ("accepted", "excluded", "quarantined", "duplicates"):
        table.add_row(name, f"{getattr(counts, name):,}")
        if name in ("excluded", "quarantined"):
            for rule, rows in sorted(counts.rules.items(), key=lambda item: -item[1]):
                if (rule in exclude_rules) == (name == "excluded"):
                    table.add_row(f"  {rule}", f"{rows:,}")
    table.add_section()
    table.add_row("read", f"{counts.read:,}")
    table.add_row("unaccounted for", f"{counts.residual():,}")
    return table


def print_metrics(record: RunRecord) -> None:
    """Print the main metrics of every measured model, one row a model."""
    rows = [row for s in record.stations if s.name.startswith("measure ") for row in s.facts["metrics"]]
    if not rows:
        return
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        values.setdefault(row["model"], {})[f"{row['metric']}@{row['k']}"] = row["value"]
    known = [name for name in SHOWN if any(name in one for one in values.values())] or sorted(rows[0])
    table = Table(title=f"Measured on the last events, which the models had not seen ({rows[0]['users']:,} users)")
    table.add_column("model")
    for name in known:
        table.add_column(name, justify="right")
    for model, found in sorted(values.items(), key=lambda item: -item[1].get(known[0], 0.0)):
        table.add_row(model, *(f"{found[name]:.4f}" if name in found else "" for name in known))
    console().print(table)


def print_demo(config: Path, as_of: date) -> None:
    """Print a sample of every table and the next commands."""
    from tasks.configuration import load
    from tasks.query import query
    from tasks.store import Store

    out, store = console(), Store(load(config).store.path)
    some = "SELECT quantile_disc(user_id, 0.5) AS u FROM recommendations WHERE reason_item_id IS NOT NULL"
    user = query(store, some)["u"][0].as_py()
    for name, text in {
        "recommendations": f"SELECT * FROM recommendations_with_titles WHERE user_id = '{user}' ORDER BY rank LIMIT 5",
        "similar_items": "SELECT * FROM similar_items_with_titles ORDER BY item_id, rank LIMIT 5",
        "popular_items": "SELECT * FROM popular_items_with_titles WHERE segment = 'all' AND window_days = 7 ORDER BY rank LIMIT 5",
        "model_metrics": "SELECT * FROM model_metrics WHERE metric = 'ndcg' LIMIT 5",
        "validation_results": "SELECT * FROM validation_results LIMIT 5",
    }.items():
        out.print(rows_table(name, query(store, text)))
    night = as_of + timedelta(days=1)
    option = f"--config {config}"
    out.print("Next:", style="bold")
    for command in (
        f"nightshelf show user {user} {option}",
        f'nightshelf query "SELECT source, count(*) AS rows FROM recommendations GROUP BY source" {option}',
        f"nightshelf run --as-of {night} {option}",
    ):
        out.print(f"  {command}", soft_wrap=True, highlight=False)


def rows_table(title: str, rows: Any) -> Table:
    """Return an Arrow table as a table for people."""
    table = Table(title=title, title_justify="left")
    for name in rows.column_names:
        table.add_column(name)
    for row in rows.to_pylist():
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else "" if v is None else str(v) for v in row.values()))
    return table

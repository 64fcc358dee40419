"""The report of a run: one HTML page that needs nothing else, however far the run came."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from tasks.configuration.configuration import Configuration
from tasks.evaluation.names import METRIC_NAMES, REFERENCES
from tasks.quality.checks import table_lines
from tasks.release.database import connection
from tasks.report import figures, summary
from tasks.report.list_churn import Churn, list_churn
from tasks.report.markdown import plain
from tasks.report.plots import STYLES, swatch
from tasks.report.sample_users import Sample, sample_users
from tasks.runtime.redaction import redacted
from tasks.store.files import readable, write_text_atomically, writing
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, list_metrics, measured_metrics

PASSED: Final = "✓ passed"
Row = dict[str, Any]


@dataclass(frozen=True)
class _Lists:
    """What the dataset and the lists of a run show; `churn` is against the release compared with."""

    popularity: figures.Figure | None
    samples: list[Sample]
    churn: Churn | None


class _Whole(str):
    """Text that is shown uncut."""

    __slots__ = ()


def write_report(store: Store, record: RunRecord, configuration: Configuration) -> Path:
    """Write the page about a run into its folder and, for a release, among the store's reports; return it.

    The page about a release is kept as long as the release. StoreError where it cannot be written.
    """
    page = report_page(store, record, configuration)
    path = record.folder(store).report
    write_text_atomically(path, page)
    if record.release_id is None:
        return path
    kept, spare = store.report(record.release_id), path.with_name(f".{path.name}")
    with writing(kept):
        kept.parent.mkdir(exist_ok=True)
        spare.write_text(page, encoding="utf-8")
        spare.replace(kept)
    return kept


def report_page(store: Store, record: RunRecord, configuration: Configuration) -> str:
    """Return the page about a run as HTML, in which no title, id or message is anything but text."""
    environment = jinja2.Environment(
        autoescape=True,
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"label": figures.label, "whole": whole, "moment": moment}
    room = files("tasks.report")
    template = environment.from_string(room.joinpath("page.html.j2").read_text(encoding="utf-8"))
    css = room.joinpath("page.css").read_text(encoding="utf-8")
    return template.render(css=css, **_facts(store, record, configuration))


def shown(value: Any) -> Any:
    """Return a value as it is shown: numbers grouped, text without secrets and what no one can see."""
    if isinstance(value, bool | Markup | _Whole):
        return value
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return plain(str(redacted(str(value))))


def whole(text: Any) -> str:
    """Return a message uncut, without secrets and what no one can see."""
    line = "".join(one if one.isprintable() else " " for one in str(redacted(str(text))))
    return _Whole(line)


def moment(text: str) -> str:
    """Return a moment of a record, ISO 8601 in UTC, as it is read: 2026-11-20 02:30:12."""
    return text.removesuffix("+00:00").replace("T", " ")


def _facts(store: Store, record: RunRecord, configuration: Configuration) -> dict[str, Any]:
    """Return what the template is filled with."""
    before = summary.compared_with(store, record)
    changes = summary.compared_metrics(store, record)
    metrics = [row | change for row, change in zip(measured_metrics(record), changes, strict=True)]
    rows = [*metrics, *(row | {"before": None, "change": ""} for row in list_metrics(record))]
    served = _served(record, configuration)
    style = figures.styles(dict.fromkeys(row["model"] for row in metrics), served)
    nights = figures.nights_figure(figures.past_nights(store, record, metrics), metrics, style)
    lists = _looked_at(store, record, configuration, served, before)
    drawn = (nights, lists.popularity, figures.churn_figure(lists.churn, before or ""))
    return {
        "record": record,
        "store": store.root,
        "day": f"{record.as_of.day} {record.as_of:%B %Y}",
        "release_before": before,
        "readers": summary.readers(record),
        "message": _beside_the_table(record),
        **_judged(store, record),
        "accounting": summary.accounting_rows(record),
        "late": summary.late_events_of(record),
        "stations": summary.station_rows(record),
        "slowest": max((station.seconds for station in record.stations), default=0.0) or 1.0,
        "tiles": _tiles(record, metrics, served, lists.churn),
        "tables": sorted(metric_tables(rows, served), key=lambda table: abs(table["k"] - 10)),
        "served": served,
        "references": REFERENCES,
        "legend": style if metrics else {},
        "swatches": [swatch(style) for style in range(STYLES)],
        "drawn": [*figures.metric_figures(metrics, style), *filter(None, drawn)],
        "samples": lists.samples,
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "version": version("nightshelf"),
    }


def _judged(store: Store, record: RunRecord) -> dict[str, Any]:
    """Return the checks of both gates, those that failed, and what became of the run."""
    checks, quality = summary.check_rows(store, record), summary.quality_rows(record)
    return {
        "checks": checks,
        "failed": [row for row in checks if row["result"] != PASSED],
        "quality": quality,
        "refused": [row for row in quality if row["result"] != PASSED],
        "state": _state(record, [*checks, *quality]),
    }


def _looked_at(
    store: Store, record: RunRecord, configuration: Configuration, served: str, before: str | None
) -> _Lists:
    """Look at the dataset and the lists of a run, as far as it came, and at those of the release `before`."""
    run, lists, earlier = record.folder(store), _lists(store, record), summary.kept_release(store, before)
    popularity, samples, churn = None, list[Sample](), None
    with connection(run.root, configuration.resources) as con:
        if record.finished("dataset"):
            popularity = figures.popularity_figure(con, run.dataset / "items", lists)
            samples = sample_users(con, run.dataset, lists, served, configuration.report.sample_users)
        if lists is not None and earlier is not None:
            churn = list_churn(con, earlier.table("recommendations"), lists)
    shutil.rmtree(run.root / ".spill", ignore_errors=True)
    return _Lists(popularity, samples, churn)


def metric_tables(metrics: Sequence[Row], served: str) -> list[Row]:
    """Return a table for each split and k: its metrics, and a row a model, the reference models last.

    A cell is the metric's row; it has `best` where no model has more, of metrics of which more is better, and
    `beyond` where the figure of the night before is outside tonight's interval.
    """
    tables = []
    for split, k in dict.fromkeys((row["split"], row["k"]) for row in metrics):
        rows = [row for row in metrics if (row["split"], row["k"]) == (split, k)]
        names = sorted({row["metric"] for row in rows}, key=_place)
        models = sorted({row["model"] for row in rows}, key=lambda model: _standing(model, rows, served))
        cells = {(row["model"], row["metric"]): row | {"best": False} | _beyond(row) for row in rows}
        for name in names:
            column = [cells[model, name] for model in models if (model, name) in cells]
            highest = max(one["value"] for one in column)
            for one in column if name in METRIC_NAMES and len(column) > 1 else ():
                one["best"] = one["value"] == highest
        listed = [(model, [cells.get((model, name)) for name in names]) for model in models]
        users = max(row["users"] for row in rows)
        tables.append({"split": split, "k": k, "metrics": names, "users": users, "models": listed})
    return tables


def _place(metric: str) -> tuple[int, str]:
    """Return where a metric's column stands: the known ones first, coverage after them."""
    known = (*METRIC_NAMES, "coverage")
    return known.index(metric) if metric in known else len(known), metric


def _standing(model: str, rows: Sequence[Row], served: str) -> tuple[bool, bool, float, str]:
    """Return where a model's row stands: the served first, references last, the better before the worse."""
    first = min((row["metric"] for row in rows), key=_place)
    value = max(
        (row["value"] for row in rows if (row["model"], row["metric"]) == (model, first)), default=0.0
    )
    return model != served, model != served and model in REFERENCES, -value, model


def _beyond(row: Row) -> Row:
    """Tell whether the figure of the night before lies outside tonight's interval."""
    if row["before"] is None or row["ci_low"] is None:
        return {"beyond": False}
    return {"beyond": not row["ci_low"] <= row["before"] <= row["ci_high"]}


def _served(record: RunRecord, configuration: Configuration) -> str:
    """Return the model whose lists are, or would be, published: the one that filled most of them."""
    if record.finished("recommendations"):
        sources = record.station("recommendations").facts["by_source"]
        trained: dict[str, int] = {
            name: rows for name, rows in sources.items() if name in configuration.train.models
        }
        if trained:
            return max(trained, key=lambda name: (trained[name], name == configuration.train.serve))
    return configuration.train.serve


def _state(record: RunRecord, checks: Sequence[Row]) -> str:
    """Return what became of the run, in a word; a run that failed at a closed gate was refused."""
    closed = any(row["result"] != PASSED for row in checks)
    return "refused" if record.state == "failed" and closed else record.state


def _beside_the_table(record: RunRecord) -> list[str]:
    """Return the lines of a run's message without the table of quality checks, which the page has itself."""
    table = table_lines(record.quality)
    return [line for line in record.message.splitlines() if line not in table]


def _lists(store: Store, record: RunRecord) -> Path | None:
    """Return the table of recommendations of a run, published or not; None where it is not complete."""
    if not record.finished("recommendations"):
        return None
    folders = [record.folder(store).staging]
    if record.release_id:
        folders.insert(0, store.release(record.release_id))
    paths = [folder / "recommendations.parquet" for folder in folders]
    return next((path for path in paths if path.is_file()), None)


def _tiles(record: RunRecord, metrics: Sequence[Row], served: str, churn: Churn | None) -> Iterator[Row]:
    """Yield the key figures: a name, a figure, and a few words about it."""
    if record.finished("interactions"):
        facts = record.station("interactions").facts
        of = f"of {facts['arrived']['read']:,} that arrived, {facts['total']['accepted']:,} in all"
        yield {"name": "rows accepted", "figure": f"{facts['arrived']['accepted']:,}", "about": of}
    if record.finished("dataset"):
        facts = record.station("dataset").facts
        about = f"{facts['items']:,} items, {facts['events']:,} events"
        yield {"name": "users", "figure": f"{facts['users']:,}", "about": about}
    mine = [row for row in metrics if row["model"] == served]
    if mine:
        wanted = figures.main_metric(mine)
        row = next(row for row in mine if (row["split"], row["metric"], row["k"]) == wanted)
        about = (
            f"{row['change'].replace('-', '−')} against the night before" if row["change"] else f"of {served}"
        )
        yield {"name": figures.label(*wanted[1:]), "figure": f"{row['value']:.4f}", "about": about}
    if churn is not None:
        about = f"of users, in the first {churn.depth}"
        yield {"name": "lists changed", "figure": f"{churn.changed:.0%}", "about": about}
    if record.stations:
        seconds = sum(one.seconds for one in record.stations)
        peak = readable(max(one.peak_memory for one in record.stations))
        yield {"name": "time", "figure": f"{seconds:,.0f} s", "about": f"peak memory {peak}"}

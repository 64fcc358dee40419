"""The report of a run, finished or not, as one self-contained HTML page."""

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
from tasks.evaluation.names import REFERENCES
from tasks.quality.checks import table_lines
from tasks.release.database import connection
from tasks.report import figures, summary
from tasks.report.data_docs import keep_data_docs, link_data_docs
from tasks.report.incumbents import NUMBERS as LEARNED_NUMBERS
from tasks.report.incumbents import learned_settings
from tasks.report.item_freshness import sentences, turnover_rows
from tasks.report.list_churn import Churn, list_churn
from tasks.report.markdown import plain
from tasks.report.metric_tables import metric_tables
from tasks.report.plots import STYLES, swatch
from tasks.report.release_scores import NUMBERS, what_readers_had
from tasks.report.sample_users import Sample, sample_users
from tasks.report.source_rows import COLUMNS, source_rows
from tasks.runtime.redaction import redacted
from tasks.store.files import readable, write_text_atomically, writing
from tasks.store.layout import Store
from tasks.store.names import split_release_id
from tasks.store.runs import RunRecord, list_metrics, measured_metrics

PASSED: Final = "✓ passed"
Row = dict[str, Any]


@dataclass(frozen=True)
class _Lists:
    """Facts about a run's dataset and lists; `churn` is against the release it is compared with."""

    popularity: figures.Figure | None
    samples: list[Sample]
    churn: Churn | None


class _Uncut(str):
    """Text that is displayed at full length."""

    __slots__ = ()


def write_report(store: Store, record: RunRecord, configuration: Configuration) -> Path:
    """Write the page about a run to its folder and, if it published, to the store's reports.

    Each is linked with Data Docs that last as long as it does. Return the path that lasts longer: a
    release's page is kept as long as the release. StoreError if it cannot be written.
    """
    variables, path = _variables(store, record, configuration), record.folder(store).report
    docs, releases = link_data_docs(store, record), "../../../reports/index.html"
    write_text_atomically(path, _rendered(variables, docs, releases if record.purpose == "night" else ""))
    if record.release_id is None:
        return path
    release_page, temporary = store.report(record.release_id), path.with_name(f".{path.name}")
    with writing(release_page):
        release_page.parent.mkdir(exist_ok=True)
        kept = keep_data_docs(store, record)
        temporary.write_text(_rendered(variables, kept, "index.html"), encoding="utf-8")
        temporary.replace(release_page)
    return release_page


def report_page(store: Store, record: RunRecord, configuration: Configuration) -> str:
    """Return the page about a run as HTML, without links to other pages."""
    return _rendered(_variables(store, record, configuration))


def _rendered(variables: Row, data_docs: str = "", releases: str = "") -> str:
    """Return the page as HTML, with links to other pages; titles, ids and messages are escaped."""
    environment = jinja2.Environment(
        autoescape=True,
        finalize=displayed,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"label": figures.metric_label, "uncut": uncut, "utc_time": utc_time}
    package = files("tasks.report")
    template = environment.from_string(package.joinpath("page.html.j2").read_text(encoding="utf-8"))
    css = package.joinpath("page.css").read_text(encoding="utf-8")
    return template.render(css=css, data_docs=data_docs, releases=releases, **variables)


def displayed(value: Any) -> Any:
    """Return a value for display: digits grouped; no secrets, no unprintable characters."""
    if isinstance(value, bool | Markup | _Uncut):
        return value
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return plain(str(redacted(str(value))))


def uncut(text: Any) -> str:
    """Return a message at full length, without secrets and unprintable characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(redacted(str(text))))
    return _Uncut(line)


def utc_time(text: str) -> str:
    """Return a record's timestamp (ISO 8601, UTC) for display: 2026-11-20 02:30:12."""
    return text.removesuffix("+00:00").replace("T", " ")


def _variables(store: Store, record: RunRecord, configuration: Configuration) -> dict[str, Any]:
    """Return the variables of the template."""
    release_before = summary.compared_release(store, record)
    changes = summary.compared_metrics(store, record)
    metrics = [row | change for row, change in zip(measured_metrics(record), changes, strict=True)]
    rows = [*metrics, *(row | {"before": None, "change": ""} for row in list_metrics(record))]
    served = _served_model(record, configuration)
    style = figures.line_styles(dict.fromkeys(row["model"] for row in metrics), served)
    nights = figures.nights_figure(figures.past_nights(store, record, metrics), metrics, style)
    lists = _list_facts(store, record, configuration, served, release_before)
    list_figures = (nights, lists.popularity, figures.churn_figure(lists.churn, release_before or ""))
    return {
        "record": record,
        "store": store.root,
        "day": f"{record.as_of.day} {record.as_of:%B %Y}",
        "release_before": release_before,
        "baseline": _baseline(release_before),
        "readers": summary.effect_on_readers(record),
        "had": what_readers_had(store, record),
        "had_numbers": NUMBERS,
        "learned": learned_settings(record),
        "learned_numbers": LEARNED_NUMBERS,
        "message": _message_lines(record),
        **_gate_results(store, record),
        "freshness": {"sentences": sentences(record), "rows": turnover_rows(record)},
        "accounting": summary.accounting_rows(record),
        "sources": (source_rows(record), COLUMNS),
        "late": summary.late_events_of(record),
        "stations": summary.station_rows(record),
        "slowest": max((station.seconds for station in record.stations), default=0.0) or 1.0,
        "tiles": [*_tiles(record, metrics, served, lists.churn, _baseline(release_before))],
        "tables": sorted(metric_tables(rows, served), key=lambda table: abs(table["k"] - 10)),
        "served": served,
        "references": REFERENCES,
        "legend": style if metrics else {},
        "swatches": [swatch(style) for style in range(STYLES)],
        "figures": [*figures.metric_figures(metrics, style), *filter(None, list_figures)],
        "samples": lists.samples,
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "version": version("nightshelf"),
    }


def _gate_results(store: Store, record: RunRecord) -> dict[str, Any]:
    """Return the checks of both gates, the failed ones, and the state of the run."""
    checks, quality = summary.check_rows(store, record), summary.quality_rows(record)
    return {
        "checks": checks,
        "failed": [row for row in checks if row["result"] != PASSED],
        "quality": quality,
        "refused": [row for row in quality if row["result"] != PASSED],
        "state": _state(record, [*checks, *quality]),
    }


def _list_facts(
    store: Store, record: RunRecord, configuration: Configuration, served: str, release_before: str | None
) -> _Lists:
    """Return facts about the dataset and lists that a run has, compared with the release before."""
    run, lists, earlier = (
        record.folder(store),
        _recommendations_file(store, record),
        summary.kept_release(store, release_before),
    )
    popularity, samples, churn = None, list[Sample](), None
    with connection(run.root, configuration.resources) as con:
        if record.finished("dataset"):
            popularity = figures.popularity_figure(con, run.dataset / "items", lists)
            samples = sample_users(con, run.dataset, lists, served, configuration.report.sample_users)
        if lists is not None and earlier is not None:
            churn = list_churn(con, earlier.table("recommendations"), lists)
    shutil.rmtree(run.root / ".spill", ignore_errors=True)
    return _Lists(popularity, samples, churn)


def _served_model(record: RunRecord, configuration: Configuration) -> str:
    """Return the model that filled most of the lists, published or not; else the configured one."""
    if record.finished("recommendations"):
        sources = record.station("recommendations").facts["by_source"]
        trained: dict[str, int] = {
            name: rows for name, rows in sources.items() if name in configuration.train.models
        }
        if trained:
            return max(trained, key=lambda name: (trained[name], name == configuration.train.serve))
    return configuration.train.serve


def _state(record: RunRecord, checks: Sequence[Row]) -> str:
    """Return the state of the run; a run that failed with a failed check was refused."""
    check_failed = any(row["result"] != PASSED for row in checks)
    return "refused" if record.state == "failed" and check_failed else record.state


def _message_lines(record: RunRecord) -> list[str]:
    """Return the lines of a run's message without the table of quality checks."""
    table = table_lines(record.quality)
    return [line for line in record.message.splitlines() if line not in table]


def _recommendations_file(store: Store, record: RunRecord) -> Path | None:
    """Return the file of a run's recommendations, published or staged; None if incomplete."""
    if not record.finished("recommendations"):
        return None
    return summary.table_file(store, record, "recommendations")


def _baseline(release_id: str | None) -> str:
    """Return how the page names what it compares with: the date of a release, or nothing."""
    return str(split_release_id(release_id)[0]) if release_id else ""


def _tiles(
    record: RunRecord, metrics: Sequence[Row], served: str, churn: Churn | None, baseline: str
) -> Iterator[Row]:
    """Yield the key figures: a name, a value, and a short explanation."""
    if record.finished("interactions"):
        facts = record.station("interactions").facts
        about = f"of {facts['arrived']['read']:,} new rows; {facts['total']['accepted']:,} in total"
        yield {"name": "rows accepted", "figure": f"{facts['arrived']['accepted']:,}", "about": about}
    if record.finished("dataset"):
        facts = record.station("dataset").facts
        about = f"{facts['items']:,} items, {facts['events']:,} events"
        yield {"name": "users", "figure": f"{facts['users']:,}", "about": about}
    served_rows = [row for row in metrics if row["model"] == served]
    if served_rows:
        main = figures.main_metric(served_rows)
        row = next(row for row in served_rows if (row["split"], row["metric"], row["k"]) == main)
        about = f"{row['change'].replace('-', '−')} since {baseline}" if row["change"] else f"of {served}"
        yield {"name": figures.metric_label(*main[1:]), "figure": f"{row['value']:.4f}", "about": about}
    if churn is not None:
        about = f"of users, in the first {churn.depth}, since {baseline}"
        yield {"name": "lists changed", "figure": f"{churn.changed:.0%}", "about": about}
    if record.stations:
        seconds = sum(station.seconds for station in record.stations)
        peak = readable(max(station.peak_memory for station in record.stations))
        yield {"name": "time", "figure": f"{seconds:,.0f} s", "about": f"peak memory {peak}"}

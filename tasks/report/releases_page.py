"""The page about all releases of a store: what each was worth, who served, which one readers have."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.release.pointer import Pointer, readable_pointer
from tasks.release.releases import Release, releases
from tasks.report.figures import main_metric, metric_label
from tasks.report.markdown import markdown, plain
from tasks.report.paths import report_of
from tasks.report.summary import failed_checks, headline, table_file
from tasks.runtime.clock import now
from tasks.runtime.redaction import redacted
from tasks.store.files import write_text_atomically, writing
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, read_records

LOG = logging.getLogger("nightshelf")
FLOORS: Final = ("global_effects", "popularity", "recent_popularity")
"""The built-in models with one ranking for everybody."""
CURRENT, KEPT, ROLLED_BACK, REFUSED, DAMAGED = "current", "kept", "rolled back", "refused", "damaged"
Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A release or a refused night, as text; what is unknown is empty.

    `score` is what the served model was measured at, `floor` the best model with one ranking for
    everybody, `had` what the events since said about its lists. `report` is a path in the store.
    """

    name: str
    as_of: date
    state: str
    why: str = ""
    serves: str = ""
    score: str = ""
    floor: str = ""
    had: str = ""
    published: str = ""
    report: str = ""


def write_releases_page(store: Store) -> None:
    """Replace reports/index.html by a page about the store's present releases.

    Any exception is caught here: a page must not undo a publication. The log says what is missing.
    """
    try:
        with writing(store.reports):
            store.reports.mkdir(exist_ok=True)
        write_text_atomically(store.releases_page, releases_html(store))
    except Exception as error:
        LOG.warning("the page about all releases is not written: %s: %s", type(error).__name__, error)


def releases_html(store: Store) -> str:
    """Return the page as HTML; its links are relative to the store's reports."""
    environment = jinja2.Environment(
        autoescape=True,
        finalize=lambda value: plain(str(redacted(str(value)))) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    package = files("tasks.report")
    css = package.joinpath("page.css").read_text(encoding="utf-8")
    template = environment.from_string(package.joinpath("releases.html.j2").read_text(encoding="utf-8"))
    return template.render(
        css=css, entries=entries(store), store=str(store.root), made=f"{now():%Y-%m-%d %H:%M:%S}"
    )


def releases_markdown(store: Store) -> str:
    """Return the page as Markdown, for Prefect: a table that fits, and below it what is long."""
    listed = entries(store)
    head = ("date", "state", "serves", "measured", "best floor", "what readers had")
    rows = [
        (entry.as_of, entry.state, entry.serves, entry.score, entry.floor, entry.had.partition(" [")[0])
        for entry in listed
    ]
    table = [head, ("---",) * len(head), *(tuple(map(markdown, row)) for row in rows)]
    lines = ["# Releases", "", *(f"| {' | '.join(cells)} |" for cells in table), ""]
    for entry in listed:
        about = filter(None, [entry.why, entry.published and f"published {entry.published}"])
        report = f"; report `{entry.report}`" if entry.report else ""
        lines.append(f"- {entry.as_of}, {'; '.join(map(markdown, (entry.state, *about)))}{report}")
    return "\n".join([*lines, "", f"Store: {markdown(store.root)}"]) + "\n"


def entries(store: Store) -> list[Entry]:
    """Return the releases and the refused nights whose runs are kept, the newest date first."""
    whole = [(release, {} if release.problem else release.manifest()) for release in releases(store)]
    refused = [record for record in read_records(store) if _was_refused(store, record)]
    had = dict(_judgements(store, whole, refused))
    pointer = readable_pointer(store)
    listed = [_of_release(store, release, manifest, pointer, had) for release, manifest in whole]
    listed += [_of_refused(store, record) for record in refused]
    return sorted(listed, key=lambda entry: (entry.as_of, entry.published, entry.name), reverse=True)


def _of_release(
    store: Store,
    release: Release,
    manifest: Mapping[str, Any],
    pointer: Pointer | None,
    had: Mapping[str, str],
) -> Entry:
    """Return the entry of a release, from its manifest."""
    report = store.report(release.release_id)
    override = manifest.get("override") or {}
    score, floor = _measured(manifest)
    return Entry(
        name=release.release_id,
        as_of=release.as_of,
        state=_state(release, pointer),
        why=release.problem or (f"published by force: {override['reason']}" if override else ""),
        serves=_serves(manifest.get("served") or {}),
        score=score,
        floor=floor,
        had=had.get(release.release_id, ""),
        published=_minute(str(manifest.get("published_at", ""))),
        report=_inside(store, report) if report.is_file() else "",
    )


def _of_refused(store: Store, record: RunRecord) -> Entry:
    """Return the entry of a refused night, from its record."""
    report = report_of(store, record)
    return Entry(
        name=f"{record.as_of}-{record.run_id}",
        as_of=record.as_of,
        state=REFUSED,
        why=headline(store, record).removeprefix("refused: "),
        report=_inside(store, report) if report else "",
    )


def _was_refused(store: Store, record: RunRecord) -> bool:
    return record.purpose == "night" and record.state == "failed" and bool(failed_checks(store, record))


def _state(release: Release, pointer: Pointer | None) -> str:
    """Return whether readers have a release, had to be moved back from it, or neither."""
    if release.problem:
        return DAMAGED
    if release.active:
        return CURRENT
    left = pointer is not None and release.release_id in pointer.left_at
    return ROLLED_BACK if left and pointer and release.release_id not in pointer.history else KEPT


def _serves(served: Mapping[str, Any]) -> str:
    """Return which model serves, and which others serve a segment."""
    others = (f"{value}: {model}" for value, model in (served.get("models") or {}).items())
    return "; ".join(filter(None, [str(served.get("default", "")), *others]))


def _measured(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Return the main metric of the served model and of the best floor, each with its name."""
    rows = manifest.get("model_metrics")
    served = (manifest.get("served") or {}).get("default")
    of_served = [row for row in rows if row["model"] == served] if isinstance(rows, list) else []
    if not of_served:
        return "", ""
    split, metric, k = main_metric(of_served)
    alike = [row for row in rows or () if (row["split"], row["metric"], row["k"]) == (split, metric, k)]
    name = metric_label(metric, k)
    (value,) = (row["value"] for row in alike if row["model"] == served)
    floors = [(row["value"], row["model"]) for row in alike if row["model"] in FLOORS]
    best = max(floors, default=None)
    return f"{name} {value:.4f}", f"{best[0]:.4f} {best[1]}" if best else ""


def _judgements(
    store: Store, whole: Sequence[tuple[Release, Mapping[str, Any]]], refused: Sequence[RunRecord]
) -> Iterator[tuple[str, str]]:
    """Yield the judged release and its score for each night that judged one, the last night last."""
    for release, manifest in sorted(whole, key=lambda pair: (pair[0].as_of, pair[0].sequence)):
        judged = (manifest.get("release_scores") or {}).get("judged")
        if judged:
            yield judged, _score(release.table("release_scores"), release.as_of)
    for record in refused:
        if record.finished("release_scores"):
            path, judged = (
                table_file(store, record, "release_scores"),
                record.station("release_scores").facts["judged"],
            )
            if path and judged:
                yield judged, _score(path, record.as_of)


def _score(path: Path, night: date) -> str:
    """Return what a night's release_scores say about all users and whole lists."""
    try:
        with pq.ParquetFile(path) as file:
            rows = file.read().to_pylist()
    except (OSError, pa.ArrowException):
        return ""
    tonight = [row for row in rows if row["as_of"] == night and row["segment"] == "all"]
    row = max(tonight, key=lambda row: int(row["k"]), default=None)
    if row is None or row["ndcg"] is None:
        return ""
    interval = f" [{row['ndcg_low']:.4f}, {row['ndcg_high']:.4f}]" if row["ndcg_low"] is not None else ""
    return f"{metric_label('ndcg', row['k'])} {row['ndcg']:.4f}{interval}"


def _minute(time: str) -> str:
    """Return a timestamp (ISO 8601, UTC) to the minute."""
    return time[:16].replace("T", " ")


def _inside(store: Store, path: Path) -> str:
    return path.relative_to(store.root).as_posix()

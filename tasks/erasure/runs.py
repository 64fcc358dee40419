"""Users removed from the files of runs: datasets, models, staging, studies, pages and messages.

A run's working files are derived from the logs. If a run had one of the users, all of its working
files are removed, except its record and pages. A resumed run makes them again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from markupsafe import escape

from tasks.erasure.subjects import MARK, Change, Subjects, change_if_any
from tasks.release.retention import discard
from tasks.report.markdown import plain
from tasks.runtime.errors import StoreError, StoreLockedError
from tasks.runtime.markup import as_html, elements, pieces_of, without_elements
from tasks.runtime.redaction import redacted
from tasks.store.files import read_json, write_json_atomically, write_text_atomically, writing
from tasks.store.layout import Store
from tasks.store.run_folder import DATA_DOCS, RECORD, REPORT, record_paths, run_paths

KEPT: Final = (RECORD, REPORT, DATA_DOCS)
_SCRATCH: Final = (".*", "catalogue", "scratch")
_BATCH: Final = 1 << 17  # rows
_COLUMNS: Final = ("user_id", "id_text")


def erase_runs(store: Store, subjects: Subjects, *, dry_run: bool) -> list[Change]:
    """Remove the working files of runs that had them, and their ids from messages.

    The caller holds the store's lock, and no run is active.
    """
    folders = run_paths(store)
    affected = [folder for folder in folders if _has_subject(folder, subjects)]
    if not dry_run:
        with writing(store.runs):
            for scratch in sorted(store.runs.glob(".*")):
                shutil.rmtree(scratch) if scratch.is_dir() else scratch.unlink()
            for folder in folders:
                for path in [path for pattern in _SCRATCH for path in sorted(folder.glob(pattern))]:
                    _remove(path)
        for folder in affected:
            for path in [path for path in sorted(folder.iterdir()) if path.name not in KEPT]:
                _remove(path)
    messages = sum(_erase_from_record(path, subjects, dry_run=dry_run) for path in record_paths(store))
    return [
        *change_if_any("runs", "datasets, models and staging of runs", 0, len(affected)),
        *change_if_any("runs", "messages", messages, messages),
    ]


def erase_studies(store: Store, subjects: Subjects, *, dry_run: bool) -> list[Change]:
    """Remove the data and trials of searches that had them; the resulting settings stay."""
    studies = [path for path in _studies(store) if _has_subject(path, subjects)]
    for study in studies if not dry_run else ():
        for path in [path for path in sorted(study.iterdir()) if path.name != "tuned.toml"]:
            _remove(path)
    return change_if_any("tuning", "data and trials of studies", 0, len(studies))


def erase_pages(store: Store, subjects: Subjects, *, dry_run: bool) -> list[Change]:
    """Rewrite the pages that show one of them as a sample user or name one in their text."""
    reports = (folder / REPORT for folder in run_paths(store))
    pages = [path for path in reports if path.is_file()] + sorted(store.reports.glob("*.html"))
    shown = files = 0
    for path in pages:
        page = path.read_text(encoding="utf-8")
        cut, users = _without_samples(page, subjects)
        if cut != page:
            shown, files = shown + users, files + 1
            if not dry_run:
                write_text_atomically(path, cut)
    return change_if_any("reports", "sample users", shown, files)


@contextmanager
def hold_studies(store: Store) -> Iterator[None]:
    """Hold the locks of all studies; StoreLockedError if a search is active."""
    from filelock import FileLock, Timeout

    studies = _studies(store)
    if studies:
        from tasks.tuning.windows import study_lock  # late: it imports the readers of datasets
    with ExitStack() as stack:
        for study in studies:
            try:
                stack.enter_context(FileLock(study_lock(study), timeout=0))
            except Timeout:
                raise StoreLockedError(f"the search {study.name} is active: wait for it, or end it") from None
        yield


def _studies(store: Store) -> list[Path]:
    paths = sorted((store.root / "tuning").glob("*"))
    return [path for path in paths if path.is_dir()]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        discard(path)
    else:
        with writing(path):
            path.unlink(missing_ok=True)


def _has_subject(folder: Path, subjects: Subjects) -> bool:
    """Return whether a Parquet file under a folder has one of them, or cannot be read."""
    matched = False
    for path in sorted(folder.rglob("*.parquet")):
        try:
            with pq.ParquetFile(path) as file:
                for name in _id_columns(path, file.schema_arrow.names):
                    for batch in file.iter_batches(_BATCH, columns=[name]):
                        matched = bool(pc.any(subjects.match(batch.column(0))).as_py()) or matched
        except (OSError, pa.ArrowException):
            matched = True
    return matched


def _id_columns(path: Path, names: list[str]) -> list[str]:
    """Return the columns with user ids in a file of a run."""
    attribute_ids = ["id"] if path.parent.name == "user_attributes" else []
    return [name for name in (*_COLUMNS, *attribute_ids) if name in names]


def _erase_from_record(path: Path, subjects: Subjects, *, dry_run: bool) -> bool:
    """Remove their ids from the messages of a run's record; return whether it had any."""
    try:
        record = read_json(path)
    except StoreError:  # damaged: `status` reports it
        return False
    new = {**record, "message": subjects.without_ids(str(record.get("message", "")))}
    new["warnings"] = [subjects.without_ids(str(warning)) for warning in record.get("warnings", [])]
    new["stations"] = [_without_ids_in_failure(station, subjects) for station in record.get("stations", [])]
    changed = new != record
    if changed and not dry_run:
        write_json_atomically(path, new)
    return changed


def _without_ids_in_failure(station: dict[str, Any], subjects: Subjects) -> dict[str, Any]:
    facts = station.get("facts", {})
    if "failed" not in facts:
        return station
    return {**station, "facts": {**facts, "failed": subjects.without_ids(str(facts["failed"]))}}


def _as_shown(user_id: str) -> str:
    """Return an id as it is written in a page."""
    return str(escape(plain(str(redacted(user_id)))))


def _without_samples(page: str, subjects: Subjects) -> tuple[str, int]:
    """Return a page without their articles and ids, and the number of articles removed."""
    heads = [f"<bdi>{_as_shown(user_id)}</bdi> <span>" for user_id in subjects.ids]
    names = [_as_shown(user_id) for user_id in subjects.ids if not user_id.isdigit()]
    if not any(text in page for text in (*heads, *names)):
        return page, 0
    pieces = pieces_of(page)

    def is_subject(element: range) -> bool:
        text = as_html(pieces[element.start : element.stop])
        return "user" in pieces[element.start].classes and any(head in text for head in heads)

    removed = [element for element in elements(pieces) if is_subject(element)]
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names) or "(?!)")
    kept = without_elements(pieces, removed)
    texts = [pattern.sub(MARK, piece.raw) if piece.kind == "text" else piece.raw for piece in kept]
    return "".join(texts), len(removed)

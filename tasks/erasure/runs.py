"""Users removed from what runs left behind: datasets, models, staging, studies, pages and messages.

A run's working files are made from the logs and can be made again: of a run that knew one of the users, all
of them go but its record and its pages. A resumed run makes them anew.
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

from tasks.erasure.wanted import MARK, Change, Wanted, counted
from tasks.release.retention import discard
from tasks.report.markdown import plain
from tasks.runtime.errors import StoreError, StoreLockedError
from tasks.runtime.redaction import redacted
from tasks.store.files import read_json, write_json_atomically, write_text_atomically, writing
from tasks.store.layout import Store
from tasks.store.run_folder import DATA_DOCS, RECORD, REPORT, record_paths, run_paths

KEPT: Final = (RECORD, REPORT, DATA_DOCS)
_SCRATCH: Final = (".*", "catalogue", "scratch")
_BATCH: Final = 1 << 17  # rows
_ARTICLE: Final = re.compile(r'<article class="user".*?</article>\s*', re.DOTALL)
_TEXT: Final = re.compile(r"(?s)(<style.*?</style>|<script.*?</script>|<[^>]*>)")
_COLUMNS: Final = ("user_id", "id_text")


def erase_runs(store: Store, wanted: Wanted, *, dry_run: bool) -> list[Change]:
    """Remove the working files of runs that knew them, and their ids from messages and pages.

    The caller holds the store's lock, and no run is at work.
    """
    folders = run_paths(store)
    affected = [folder for folder in folders if _knows(folder, wanted)]
    if not dry_run:
        with writing(store.runs):
            for scratch in sorted(store.runs.glob(".*")):
                shutil.rmtree(scratch) if scratch.is_dir() else scratch.unlink()
            for folder in folders:
                for path in [path for pattern in _SCRATCH for path in sorted(folder.glob(pattern))]:
                    _remove(path)
        for folder in affected:
            for path in [one for one in sorted(folder.iterdir()) if one.name not in KEPT]:
                _remove(path)
    messages = sum(_without_names(path, wanted, dry_run=dry_run) for path in record_paths(store))
    return [
        *counted("runs", "datasets, models and staging of runs", 0, len(affected)),
        *counted("runs", "messages", messages, messages),
    ]


def erase_studies(store: Store, wanted: Wanted, *, dry_run: bool) -> list[Change]:
    """Remove the searches for settings that knew them, but for the settings that they found."""
    studies = [path for path in _studies(store) if _knows(path, wanted)]
    for study in studies if not dry_run else ():
        for path in [one for one in sorted(study.iterdir()) if one.name != "tuned.toml"]:
            _remove(path)
    return counted("tuning", "data and trials of studies", 0, len(studies))


def erase_pages(store: Store, wanted: Wanted, *, dry_run: bool) -> list[Change]:
    """Rewrite the pages that show one of them among their sample users."""
    reports = (folder / REPORT for folder in run_paths(store))
    pages = [path for path in reports if path.is_file()] + sorted(store.reports.glob("*.html"))
    shown = files = 0
    for path in pages:
        page = path.read_text(encoding="utf-8")
        cut, users = _without_samples(page, wanted)
        if cut != page:
            shown, files = shown + users, files + 1
            if not dry_run:
                write_text_atomically(path, cut)
    return counted("reports", "sample users", shown, files)


@contextmanager
def studies_held(store: Store) -> Iterator[None]:
    """Hold the locks of all studies, so that no search goes on meanwhile; StoreLockedError if one is."""
    from filelock import FileLock, Timeout

    studies = _studies(store)
    if studies:
        from tasks.tuning.windows import lock_of  # late: it brings the readers of datasets
    with ExitStack() as stack:
        for study in studies:
            try:
                stack.enter_context(FileLock(lock_of(study), timeout=0))
            except Timeout:
                raise StoreLockedError(
                    f"the search {study.name} is at work: wait for it, or end it"
                ) from None
        yield


def _studies(store: Store) -> list[Path]:
    found = sorted((store.root / "tuning").glob("*"))
    return [path for path in found if path.is_dir()]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        discard(path)
    else:
        with writing(path):
            path.unlink(missing_ok=True)


def _knows(folder: Path, wanted: Wanted) -> bool:
    """Tell whether a Parquet file under a folder has one of them; one that cannot be read counts as such."""
    found = False
    for path in sorted(folder.rglob("*.parquet")):
        try:
            with pq.ParquetFile(path) as file:
                for name in _id_columns(path, file.schema_arrow.names):
                    for batch in file.iter_batches(_BATCH, columns=[name]):
                        found = bool(pc.any(wanted.among(batch.column(0))).as_py()) or found
        except (OSError, pa.ArrowException):
            found = True
    return found


def _id_columns(path: Path, names: list[str]) -> list[str]:
    """Return the columns of a file of a run that hold ids of users."""
    owned = ["id"] if path.parent.name == "user_attributes" else []
    return [name for name in (*_COLUMNS, *owned) if name in names]


def _without_names(path: Path, wanted: Wanted, *, dry_run: bool) -> bool:
    """Take their ids out of the messages of a run's record; tell whether there were any."""
    try:
        record = read_json(path)
    except StoreError:  # damaged: `status` says so
        return False
    new = {**record, "message": wanted.without_names(str(record.get("message", "")))}
    new["warnings"] = [wanted.without_names(str(one)) for one in record.get("warnings", [])]
    new["stations"] = [_station(one, wanted) for one in record.get("stations", [])]
    changed = new != record
    if changed and not dry_run:
        write_json_atomically(path, new)
    return changed


def _station(station: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    facts = station.get("facts", {})
    if "failed" not in facts:
        return station
    return {**station, "facts": {**facts, "failed": wanted.without_names(str(facts["failed"]))}}


def _shown(user_id: str) -> str:
    """Return an id as a page shows it."""
    return str(escape(plain(str(redacted(user_id)))))


def _without_samples(page: str, wanted: Wanted) -> tuple[str, int]:
    """Return a page without the articles about them, and how many those were; elsewhere ids are marked."""
    heads = [f"<bdi>{_shown(one)}</bdi> <span>" for one in wanted.ids]
    gone = [one for one in _ARTICLE.findall(page) if any(head in one for head in heads)]
    for article in gone:
        page = page.replace(article, "")
    names = [_shown(one) for one in wanted.ids if not one.isdigit()]
    if any(name in page for name in names):
        words = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names))
        pieces = _TEXT.split(page)  # every second piece is a tag, a style or a script
        page = "".join(one if at % 2 else words.sub(MARK, one) for at, one in enumerate(pieces))
    return page, len(gone)

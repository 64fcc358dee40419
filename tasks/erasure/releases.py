"""Users removed from the releases that are kept: their lists, in Parquet and in a database made anew.

The new files of a release are made in a folder beside it, which then takes its place at once: readers find
the old release or the new one. Where the file system cannot swap folders, the files are replaced one by one,
the manifest last; only the recommendations differ, so that the tables fit each other at every moment.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.erasure.wanted import Change, Wanted, counted
from tasks.release.database import DATABASE, build_database
from tasks.release.manifest import MANIFEST, renewed_manifest
from tasks.release.releases import Release, releases, verify
from tasks.release.tables import GLOBAL_SEGMENT, TABLES, IdTypes
from tasks.release.writer import TableWriter
from tasks.runtime.errors import StoreError
from tasks.store.files import exchange, sync, write_json_atomically, writing
from tasks.store.layout import Store

PREFIX: Final = ".erased-"
_REPLACING: Final = ".replacing"  # in a new folder whose files are taking their places one by one
_BATCH: Final = 100_000
_LISTS, _POPULAR = "recommendations", "popular_items"
_INFO: Final = ("release_id", "as_of", "run_id", "created_at", "expires_at", "code_version")


@dataclass(frozen=True)
class _Theirs:
    """What of a release is theirs: rows of their lists, users, and places of rows in popular_items."""

    rows: int
    users: int
    groups: Any


def erase_releases(store: Store, wanted: Wanted, *, dry_run: bool) -> list[Change]:
    """Rewrite the releases that hold lists of theirs; `wanted.items` are the items of their events.

    The caller holds the store's lock.

    Raises
    ------
    StoreError
        If a release is damaged, so that a rewritten one would pass for whole. Nothing is changed then.
    """
    if not dry_run:
        _finish_swaps(store)
    affected = [(one, theirs) for one in releases(store) if (theirs := _theirs(one, wanted)).rows]
    for release, _ in affected:
        _require_whole(release)
    for release, theirs in affected if not dry_run else ():
        _rewrite(store, release, wanted, theirs)
    rows = sum(theirs.rows for _, theirs in affected)
    groups = sum(pc.sum(theirs.groups).as_py() or 0 for _, theirs in affected)
    touched = sum(bool(pc.any(theirs.groups).as_py()) for _, theirs in affected)
    return [
        *counted("releases", "recommendations", rows, len(affected)),
        *counted("releases", "popular items of segments of one of them alone", groups, touched),
    ]


def _theirs(release: Release, wanted: Wanted) -> _Theirs:
    if release.problem:
        raise StoreError(
            f"release {release.release_id} is damaged, so whose lists it holds cannot be known: remove its "
            f"folder {release.folder} and forget again ({release.problem})"
        )
    rows, users = 0, set()
    try:
        with pq.ParquetFile(release.table(_LISTS)) as file:
            for batch in file.iter_batches(_BATCH, columns=["user_id"]):
                mine = batch.column(0).filter(wanted.among(batch.column(0)))
                rows += len(mine)
                users.update(mine.unique().to_pylist())
        groups = _revealing(release, wanted) if rows else pa.array([], pa.bool_())
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"release {release.release_id} is damaged: {error}") from error
    return _Theirs(rows, len(users), groups)


def _revealing(release: Release, wanted: Wanted) -> Any:
    """Return which rows of popular_items are of a segment's value that one of them seems to be alone in.

    So it is where every row has one user and every item is one of theirs: such rows are a history.
    """
    with pq.ParquetFile(release.table(_POPULAR)) as file:
        table = file.read(["segment", "segment_value", "window_days", "item_id", "users"])
    rows = list(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    public = {row[:3] for row in rows if row[4] > 1 or row[3] not in wanted.items or row[0] == GLOBAL_SEGMENT}
    return pa.array([row[:3] not in public for row in rows], pa.bool_())


def _require_whole(release: Release) -> None:
    problems = verify(release)
    if problems:
        raise StoreError(
            f"release {release.release_id} is damaged, and rewriting it would hide that: "
            f"{'; '.join(problems)}; remove its folder {release.folder} (`nightshelf rollback` first, if it "
            "is the active one) and forget again"
        )


def _rewrite(store: Store, release: Release, wanted: Wanted, theirs: _Theirs) -> None:
    """Make the release anew without them and put it in its place."""
    folder = store.releases / f"{PREFIX}{release.release_id}"
    manifest, old = release.manifest(), release.folder
    with writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for table in TABLES.values():
            if table.name not in (_LISTS, _POPULAR):
                shutil.copy2(old / f"{table.name}.parquet", folder)
    ids = _id_types(old)
    _kept(old, folder, _LISTS, ids, lambda batch: pc.invert(wanted.among(batch["user_id"])))
    places = _Places(theirs.groups)
    _kept(old, folder, _POPULAR, ids, places.kept)
    items = _items(old, folder)
    content = build_database(folder, items, ids, {name: str(manifest.get(name, "")) for name in _INFO})
    items.unlink()
    shutil.rmtree(folder / ".spill", ignore_errors=True)
    note = {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "users": theirs.users,
        "rows": theirs.rows,
        "popular_items": pc.sum(theirs.groups).as_py() or 0,
    }
    warnings = [wanted.without_names(str(one)) for one in manifest.get("warnings", [])]
    erased = [*manifest.get("erased", []), note]
    write_json_atomically(
        folder / MANIFEST, renewed_manifest(folder, manifest, content, warnings=warnings, erased=erased)
    )
    with writing(folder):
        for path in folder.iterdir():
            sync(path)
            if path.name != DATABASE:
                path.chmod(0o444)
        sync(folder)
        _put(folder, old)


@dataclass
class _Places:
    """Which rows of a table go, given to its batches in their order."""

    gone: Any
    at: int = 0

    def kept(self, batch: Any) -> Any:
        """Return the mask of the next batch."""
        mask = pc.invert(self.gone.slice(self.at, batch.num_rows))
        self.at += batch.num_rows
        return mask


def _kept(old: Path, folder: Path, name: str, ids: IdTypes, mask: Any) -> None:
    """Write a table without the rows of each batch that `mask` leaves out."""
    with (
        pq.ParquetFile(old / f"{name}.parquet", page_checksum_verification=True) as file,
        TableWriter(folder, name, ids) as writer,
    ):
        for batch in file.iter_batches(_BATCH):
            table = pa.Table.from_batches([batch])
            writer.write(table.filter(mask(table)))


def _id_types(folder: Path) -> IdTypes:
    schema = pq.read_schema(folder / f"{_LISTS}.parquet")
    return IdTypes(schema.field("user_id").type, schema.field("item_id").type)


def _items(old: Path, folder: Path) -> Path:
    """Write the catalogue of a release as Parquet, from its database; return the file."""
    path = folder / ".items.parquet"
    with duckdb.connect(str(old / DATABASE), read_only=True) as con:
        table = con.sql("SELECT item_id, title FROM items ORDER BY item_id").to_arrow_table()
    pq.write_table(table, path)
    return path


def _put(new: Path, place: Path) -> None:
    """Let a folder take the place of another, which is removed."""
    if not exchange(new, place):
        (new / _REPLACING).touch()
        sync(new)
        _replace_files(new, place)
    sync(place.parent)
    shutil.rmtree(new)


def _replace_files(new: Path, place: Path) -> None:
    """Replace the files of a release by those of `new` that are still there, the manifest last."""
    left: Sequence[Path] = [path for path in new.iterdir() if path.name not in (MANIFEST, _REPLACING)]
    for path in [*sorted(left), *new.glob(MANIFEST)]:
        path.replace(place / path.name)
    sync(place)


def _finish_swaps(store: Store) -> None:
    """End what a crash cut off: files that are taking their places, and folders that are not needed."""
    with writing(store.releases):
        for folder in sorted(store.releases.glob(f"{PREFIX}*")):
            place = store.release(folder.name.removeprefix(PREFIX))
            if (folder / _REPLACING).exists() and place.is_dir():
                _replace_files(folder, place)
                sync(place.parent)
            shutil.rmtree(folder)

"""Users removed from the kept releases: their lists, in Parquet and in a rebuilt database.

The new files of a release are written to a folder beside it, which then replaces it atomically:
readers see the old release or the new one. Where the file system cannot swap folders, the files are
replaced one by one, the manifest last. Only the recommendations differ, so the tables match each
other at every step.
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

from tasks.erasure.subjects import Change, Subjects, change_if_any
from tasks.release.database import DATABASE, build_database
from tasks.release.manifest import MANIFEST, updated_manifest
from tasks.release.releases import Release, releases, verify
from tasks.release.tables import GLOBAL_SEGMENT, TABLES, IdTypes
from tasks.release.writer import TableWriter
from tasks.runtime.errors import StoreError
from tasks.runtime.resources import machine_resources
from tasks.store.files import exchange, sync, write_json_atomically, writing
from tasks.store.layout import Store

PREFIX: Final = ".erased-"
_REPLACING: Final = ".replacing"  # marks a new folder whose files are being moved one by one
_BATCH: Final = 100_000
_LISTS, _POPULAR = "recommendations", "popular_items"
_INFO: Final = ("release_id", "as_of", "run_id", "created_at", "expires_at", "code_version")


@dataclass(frozen=True)
class _UserRows:
    """The users' part of a release: rows of their lists, users, and a mask of popular_items."""

    rows: int
    users: int
    popular_mask: Any


def erase_releases(store: Store, subjects: Subjects, *, dry_run: bool) -> list[Change]:
    """Rewrite the releases that hold their lists; `subjects.items` are the items of their events.

    The caller holds the store's lock.

    Raises
    ------
    StoreError
        If a release is damaged, since rewriting it would hide that. Nothing is changed then.
    """
    if not dry_run:
        _finish_swaps(store)
    affected = [
        (release, user_rows)
        for release in releases(store)
        if (user_rows := _user_rows(release, subjects)).rows
    ]
    for release, _ in affected:
        _require_whole(release)
    for release, user_rows in affected if not dry_run else ():
        _rewrite(store, release, subjects, user_rows)
    rows = sum(user_rows.rows for _, user_rows in affected)
    popular_rows = sum(pc.sum(user_rows.popular_mask).as_py() or 0 for _, user_rows in affected)
    touched = sum(bool(pc.any(user_rows.popular_mask).as_py()) for _, user_rows in affected)
    return [
        *change_if_any("releases", "recommendations", rows, len(affected)),
        *change_if_any("releases", "popular items of segments with a single user", popular_rows, touched),
    ]


def _user_rows(release: Release, subjects: Subjects) -> _UserRows:
    if release.problem:
        raise StoreError(
            f"release {release.release_id} is damaged, so its users are unknown: remove its folder "
            f"{release.folder} and run forget again ({release.problem})"
        )
    rows, users = 0, set()
    try:
        with pq.ParquetFile(release.table(_LISTS)) as file:
            for batch in file.iter_batches(_BATCH, columns=["user_id"]):
                matched = batch.column(0).filter(subjects.match(batch.column(0)))
                rows += len(matched)
                users.update(matched.unique().to_pylist())
        popular_mask = _identifying_rows(release, subjects) if rows else pa.array([], pa.bool_())
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"release {release.release_id} is damaged: {error}") from error
    return _UserRows(rows, len(users), popular_mask)


def _identifying_rows(release: Release, subjects: Subjects) -> Any:
    """Return the mask of popular_items for segment values that seem to hold one of them alone.

    A segment value does if each of its rows has one user and an item of theirs: such rows are a
    history.
    """
    with pq.ParquetFile(release.table(_POPULAR)) as file:
        table = file.read(["segment", "segment_value", "window_days", "item_id", "users"])
    rows = list(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    public = {
        row[:3] for row in rows if row[4] > 1 or row[3] not in subjects.items or row[0] == GLOBAL_SEGMENT
    }
    return pa.array([row[:3] not in public for row in rows], pa.bool_())


def _require_whole(release: Release) -> None:
    problems = verify(release)
    if problems:
        raise StoreError(
            f"release {release.release_id} is damaged, and rewriting it would hide that: "
            f"{'; '.join(problems)}; remove its folder {release.folder} (`nightshelf rollback` first, if it "
            "is the active one) and run forget again"
        )


def _rewrite(store: Store, release: Release, subjects: Subjects, user_rows: _UserRows) -> None:
    """Write the release again without their rows and replace the old one."""
    folder = store.releases / f"{PREFIX}{release.release_id}"
    manifest, old = release.manifest(), release.folder
    tables = [table for table in TABLES.values() if release.table(table.name).is_file()]
    with writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for table in tables:
            if table.name not in (_LISTS, _POPULAR):
                shutil.copy2(old / f"{table.name}.parquet", folder)
    ids = _id_types(old)
    _copy_rows(old, folder, _LISTS, ids, lambda batch: pc.invert(subjects.match(batch["user_id"])))
    popular_masks = _BatchMasks(user_rows.popular_mask)
    _copy_rows(old, folder, _POPULAR, ids, popular_masks.next_mask)
    items = _write_catalogue(old, folder)
    info = {name: str(manifest.get(name, "")) for name in _INFO}
    content = build_database(folder, items, ids, info, machine_resources(), tables=tables)
    items.unlink()
    shutil.rmtree(folder / ".spill", ignore_errors=True)
    note = {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "users": user_rows.users,
        "rows": user_rows.rows,
        "popular_items": pc.sum(user_rows.popular_mask).as_py() or 0,
    }
    warnings = [subjects.without_ids(str(warning)) for warning in manifest.get("warnings", [])]
    erased = [*manifest.get("erased", []), note]
    write_json_atomically(
        folder / MANIFEST, updated_manifest(folder, manifest, content, warnings=warnings, erased=erased)
    )
    with writing(folder):
        for path in folder.iterdir():
            sync(path)
            if path.name != DATABASE:
                path.chmod(0o444)
        sync(folder)
        _replace_folder(folder, old)


@dataclass
class _BatchMasks:
    """The mask of a table's removed rows, handed out batch by batch."""

    removed: Any
    position: int = 0

    def next_mask(self, batch: Any) -> Any:
        """Return the mask of the rows to keep in the next batch."""
        mask = pc.invert(self.removed.slice(self.position, batch.num_rows))
        self.position += batch.num_rows
        return mask


def _copy_rows(old: Path, folder: Path, name: str, ids: IdTypes, mask: Any) -> None:
    """Copy a table; `mask(batch)` returns which rows of a batch to keep."""
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


def _write_catalogue(old: Path, folder: Path) -> Path:
    """Write the catalogue of a release as Parquet, from its database; return the file."""
    path = folder / ".items.parquet"
    with duckdb.connect(str(old / DATABASE), read_only=True) as con:
        table = con.sql("SELECT item_id, title FROM items ORDER BY item_id").to_arrow_table()
    pq.write_table(table, path)
    return path


def _replace_folder(new: Path, target: Path) -> None:
    """Replace the folder `target` by `new` and remove the old one."""
    if not exchange(new, target):
        (new / _REPLACING).touch()
        sync(new)
        _replace_files(new, target)
    sync(target.parent)
    shutil.rmtree(new)


def _replace_files(new: Path, target: Path) -> None:
    """Move the files that are still in `new` into the release, the manifest last."""
    remaining: Sequence[Path] = [path for path in new.iterdir() if path.name not in (MANIFEST, _REPLACING)]
    for path in [*sorted(remaining), *new.glob(MANIFEST)]:
        path.replace(target / path.name)
    sync(target)


def _finish_swaps(store: Store) -> None:
    """Finish replacements that a crash interrupted, and remove unused folders."""
    with writing(store.releases):
        for folder in sorted(store.releases.glob(f"{PREFIX}*")):
            target = store.release(folder.name.removeprefix(PREFIX))
            if (folder / _REPLACING).exists() and target.is_dir():
                _replace_files(folder, target)
                sync(target.parent)
            shutil.rmtree(folder)

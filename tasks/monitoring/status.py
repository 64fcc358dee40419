"""The state of a store: the active release and its age, the last run, the lock, the disk."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path
from typing import Any, Final

from tasks.incumbents.sentences import changed_settings
from tasks.interactions.forgotten import unfinished_removal
from tasks.release.main_metrics import main_metrics
from tasks.release.pointer import read_pointer
from tasks.release.releases import Release, current, releases
from tasks.runtime.errors import StoreError
from tasks.store.layout import Store
from tasks.store.locks import holder_of

FRESH: Final = "fresh"
STALE: Final = "stale"
EMPTY: Final = "nothing published"
DAMAGED: Final = "damaged"
_PARTS: Final = ("interactions", "quarantine", "ingests", "runs", "releases")


def store_status(store: Store, now: dt.datetime | None = None) -> dict[str, Any]:
    """Return the state of a store as plain values, for people and monitoring; only reads.

    `state` is fresh, stale (the active release has expired), nothing published, or damaged
    (`problem` is the error that readers would get).
    """
    now = now or dt.datetime.now(dt.UTC)
    status: dict[str, Any] = {"store": str(store.root), "state": EMPTY, "problem": None, "release": None}
    status |= {"row_accounting": {}, "model_metrics": [], "warnings": [], "settings": ""}
    try:
        if read_pointer(store) is not None:
            release = current(store)
            status |= _published_facts(release)
            status["release"] = _release_status(release, now)
            status["state"] = STALE if status["release"]["stale"] else FRESH
    except (StoreError, KeyError, TypeError, ValueError, OSError) as error:
        status |= {"state": DAMAGED, "problem": str(error)}
    holder = lock_holder(store)
    status["last_run"] = _last_run(store, holder)
    status["locked_by"] = holder
    all_releases = releases(store)
    damaged = [release.release_id for release in all_releases if release.problem]
    status["releases"] = {"count": len(all_releases), "damaged": damaged}
    status["disk"] = disk_usage(store)
    status["warnings"] = [*status["warnings"], *filter(None, [unfinished_removal(store)])]
    return status


def release_rows(store: Store) -> list[dict[str, Any]]:
    """Return every release as plain values, the last published first, damaged ones last."""
    rows = []
    for release in releases(store):
        manifest = {} if release.problem else release.manifest()
        rows.append(
            {
                "release_id": release.release_id,
                "as_of": release.as_of.isoformat(),
                "published_at": manifest.get("published_at"),
                "expires_at": release.expires_at or None,
                "rows": None if release.problem else release.rows,
                "bytes": None if release.problem else release.bytes,
                "active": release.active,
                "problem": release.problem,
            }
        )
    return rows


def lock_holder(store: Store) -> str | None:
    """Return the holders of the store's lock and of dates' locks; None if all are free.

    The files beside the locks name the holders; those whose process has ended are ignored. The
    locks themselves are not touched.
    """
    holders = dict.fromkeys(filter(None, map(holder_of, store.holders())))
    texts = (
        f"{holder.purpose} (pid {holder.pid} on {holder.host} since {holder.since.isoformat()})"
        for holder in holders
    )
    return "; ".join(texts) or None


def disk_usage(store: Store) -> dict[str, int | None]:
    """Return the bytes under each part of the store, their sum, and the bytes free on its disk."""
    used: dict[str, int | None] = {part: _size(store.root / part) for part in _PARTS}
    if not store.root.is_dir():
        return used | {"total": 0, "free": None}
    remaining = [path for path in store.root.iterdir() if path.name not in _PARTS]
    total = sum(filter(None, used.values())) + sum(_size(path) for path in remaining)
    return used | {"total": total, "free": shutil.disk_usage(store.root).free}


def _release_status(release: Release, now: dt.datetime) -> dict[str, Any]:
    manifest = release.manifest()
    published, expires = (
        dt.datetime.fromisoformat(text) for text in (manifest["published_at"], release.expires_at)
    )
    return {
        "release_id": release.release_id,
        "as_of": release.as_of.isoformat(),
        "published_at": manifest["published_at"],
        "expires_at": release.expires_at,
        "age_seconds": int((now - published).total_seconds()),
        "expires_in_seconds": int((expires - now).total_seconds()),
        "stale": now >= expires,
        "rows": release.rows,
        "bytes": release.bytes,
    }


def _published_facts(release: Release) -> dict[str, Any]:
    manifest = release.manifest()
    return {
        "row_accounting": manifest["row_accounting"],
        "model_metrics": _metrics(release.table("model_metrics")),
        "warnings": manifest["warnings"],
        "settings": changed_settings(manifest),
    }


def _metrics(path: Path) -> list[dict[str, Any]]:
    """Return the main metrics, one row per model, the best first."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:  # pq.read_table would import pandas
        rows = file.read(["model", "metric", "k", "value"]).to_pylist()
    return main_metrics(rows, lambda row: row["value"])


def _last_run(store: Store, holder: str | None) -> dict[str, Any] | None:
    """Return the facts of the run that started last; `interrupted` if its process died."""
    from tasks.store.runs import last_run

    try:
        record = last_run(store)
    except (StoreError, ValueError) as error:
        return {"state": "unreadable", "message": str(error)}
    if record is None:
        return None
    facts = record.model_dump(mode="json", exclude={"stations"})
    if record.state == "running" and holder is None:
        facts["state"] = "interrupted"
    stations = [station.account() for station in record.stations]
    return facts | {"seconds": round(sum(s["seconds"] for s in stations), 3), "stations": stations}


def _size(path: Path) -> int:
    """Return the bytes of the files under a path; vanished and unreadable files count as 0."""
    try:
        if not path.is_dir():
            return path.lstat().st_size
        with os.scandir(path) as entries:
            return sum(
                _size(Path(entry.path))
                if entry.is_dir(follow_symlinks=False)
                else entry.stat(follow_symlinks=False).st_size
                for entry in entries
            )
    except (FileNotFoundError, PermissionError):
        return 0

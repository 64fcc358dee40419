"""What the store holds now: the active release and its age, the last run, the lock, the disk."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path
from typing import Any, Final

from tasks.interactions.forgotten import unfinished
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
    """Return the state of a store in plain values, for people and for monitoring; reads only.

    `state` is fresh, stale (the active release has expired), nothing published, or damaged (`problem` says
    what readers would meet).
    """
    now = now or dt.datetime.now(dt.UTC)
    answer: dict[str, Any] = {"store": str(store.root), "state": EMPTY, "problem": None, "release": None}
    answer |= {"row_accounting": {}, "model_metrics": [], "warnings": []}
    try:
        if read_pointer(store) is not None:
            release = current(store)
            answer |= _published(release)
            answer["release"] = _described(release, now)
            answer["state"] = STALE if answer["release"]["stale"] else FRESH
    except (StoreError, KeyError, TypeError, ValueError, OSError) as error:
        answer |= {"state": DAMAGED, "problem": str(error)}
    holder = lock_holder(store)
    answer["last_run"] = _last_run(store, holder)
    answer["locked_by"] = holder
    found = releases(store)
    damaged = [release.release_id for release in found if release.problem]
    answer["releases"] = {"count": len(found), "damaged": damaged}
    answer["disk"] = disk_used(store)
    answer["warnings"] = [*answer["warnings"], *filter(None, [unfinished(store)])]
    return answer


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
    """Return who says to hold the store's lock or those of dates, None if nobody or processes that are gone.

    The locks themselves are not touched.
    """
    holders = dict.fromkeys(filter(None, map(holder_of, store.holders())))
    named = (f"{it.purpose} (pid {it.pid} on {it.host} since {it.since.isoformat()})" for it in holders)
    return "; ".join(named) or None


def disk_used(store: Store) -> dict[str, int | None]:
    """Return the bytes under each part of the store, their sum, and the bytes free on its disk."""
    used: dict[str, int | None] = {part: _size(store.root / part) for part in _PARTS}
    if not store.root.is_dir():
        return used | {"total": 0, "free": None}
    others = [path for path in store.root.iterdir() if path.name not in _PARTS]
    total = sum(filter(None, used.values())) + sum(_size(path) for path in others)
    return used | {"total": total, "free": shutil.disk_usage(store.root).free}


def _described(release: Release, now: dt.datetime) -> dict[str, Any]:
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


def _published(release: Release) -> dict[str, Any]:
    manifest = release.manifest()
    return {
        "row_accounting": manifest["row_accounting"],
        "model_metrics": _metrics(release.table("model_metrics")),
        "warnings": manifest["warnings"],
    }


def _metrics(path: Path) -> list[dict[str, Any]]:
    """Return the main metrics of every model, one row a model, the best first."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:  # pq.read_table would import pandas
        rows = file.read(["model", "metric", "k", "value"]).to_pylist()
    return main_metrics(rows, lambda row: row["value"])


def _last_run(store: Store, holder: str | None) -> dict[str, Any] | None:
    """Return what is known of the run that started last; one that a dead process left is `interrupted`."""
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
    """Return the bytes of the files under a path; what vanishes or may not be read counts nothing."""
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

"""manifest.json: what a release is, what it was made from, and the hash of every file in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from tasks.release.database import DATABASE
from tasks.release.tables import TABLES
from tasks.runtime.errors import StoreError
from tasks.runtime.redaction import redacted
from tasks.store.files import sha256_of
from tasks.store.hashes import FileHash, differences
from tasks.store.names import split_release_id

MANIFEST: Final = "manifest.json"
VERSION: Final = 1  # of the manifest's own layout
FACTS: Final = (
    "code_version",
    "configuration",
    "inputs",
    "row_accounting",
    "model_metrics",
    "warnings",
    "devices",
    "stations",
)
STRANGE: Final = "is not part of the release"
_RELEASE_FILES: Final = (*(f"{name}.parquet" for name in TABLES), DATABASE)


def build_manifest(
    folder: Path,
    release_id: str,
    facts: Mapping[str, Any],
    content: Mapping[str, str],
    *,
    created_at: dt.datetime,
    expires_at: dt.datetime,
) -> dict[str, Any]:
    """Return the manifest of the files in `folder`; `content` is the hash per table of the DuckDB file.

    `facts` are the caller's: the names in FACTS, each given, and any others; StoreError when one lacks or
    takes a name of the manifest's own. Credentials in them are replaced, figures that are not finite become
    null.
    """
    missing = [name for name in FACTS if name not in facts]
    if missing:
        raise StoreError(f"expected facts {', '.join(FACTS)} for the manifest; missing: {', '.join(missing)}")
    as_of, run_id = split_release_id(release_id)
    own: dict[str, Any] = {
        "manifest_version": VERSION,
        "release_id": release_id,
        "as_of": as_of,
        "run_id": run_id,
        "created_at": created_at.isoformat(),
        "expires_at": expires_at.isoformat(),
        "files": {name: _described(folder / name) for name in _RELEASE_FILES},
        "database_content": dict(content),
    }
    taken = sorted({*own, "sequence", "published_at", "audit"} & set(facts))
    if taken:
        raise StoreError(f"expected facts beside the manifest's own names, got {', '.join(taken)}")
    return {**own, **redacted(dict(facts))}


def renewed_manifest(
    folder: Path, manifest: Mapping[str, Any], content: Mapping[str, str], **facts: Any
) -> dict[str, Any]:
    """Return the manifest of a release whose files in `folder` were rewritten; `facts` are what is new."""
    files = {name: _described(folder / name) for name in _RELEASE_FILES}
    return {**manifest, **facts, "files": files, "database_content": dict(content)}


def file_problems(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the files of a release: missing, changed, or strange; empty if whole."""
    expected = manifest.get("files")
    if not isinstance(expected, dict) or set(expected) != set(_RELEASE_FILES):
        return [f"{MANIFEST} does not list the files {', '.join(_RELEASE_FILES)}"]
    found = differences(recorded_files(folder, manifest))
    problems = [_told(path.name, problem) for path, problem in sorted(found.items())]
    return problems + [_told(path.name, STRANGE) for path in strangers(folder)]


def recorded_files(folder: Path, manifest: Mapping[str, Any]) -> dict[Path, FileHash]:
    """Return what a manifest recorded of each file of its release; KeyError where one lacks."""
    described = {name: manifest["files"][name] for name in _RELEASE_FILES}
    return {
        folder / name: FileHash(sha256=one["sha256"], bytes=one["bytes"]) for name, one in described.items()
    }


def strangers(folder: Path) -> list[Path]:
    """Return what lies in the folder of a release and is no part of it."""
    return sorted(path for path in folder.iterdir() if path.name not in (*_RELEASE_FILES, MANIFEST))


def _told(name: str, problem: str) -> str:
    return f"{name} {problem}" if problem.startswith("is ") else f"{name}: {problem}"


def _described(path: Path) -> dict[str, Any]:
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size, "rows": rows}

"""manifest.json: a release's identity, its inputs, and the hash of each of its files."""

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
VERSION: Final = 1  # of the manifest's format
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
UNEXPECTED: Final = "is not part of the release"
_RELEASE_FILES: Final = (*(f"{name}.parquet" for name in TABLES), DATABASE)
_LATER_FILES: Final = {f"{name}.parquet" for name, table in TABLES.items() if table.later}


def build_manifest(
    folder: Path,
    release_id: str,
    facts: Mapping[str, Any],
    content: Mapping[str, str],
    *,
    created_at: dt.datetime,
    expires_at: dt.datetime,
) -> dict[str, Any]:
    """Return the manifest of the files in `folder`; `content` has the DuckDB file's hash per table.

    `facts` must have every name in FACTS and may have more; StoreError if a name is missing, or is
    one that the manifest sets itself. Credentials in them are replaced; numbers that are not finite
    become null.
    """
    missing = [name for name in FACTS if name not in facts]
    if missing:
        raise StoreError(f"expected facts {', '.join(FACTS)} for the manifest; missing: {', '.join(missing)}")
    as_of, run_id = split_release_id(release_id)
    manifest: dict[str, Any] = {
        "manifest_version": VERSION,
        "release_id": release_id,
        "as_of": as_of,
        "run_id": run_id,
        "created_at": created_at.isoformat(),
        "expires_at": expires_at.isoformat(),
        "files": {name: _described(folder / name) for name in _RELEASE_FILES},
        "database_content": dict(content),
    }
    reserved = sorted({*manifest, "sequence", "published_at", "audit"} & set(facts))
    if reserved:
        raise StoreError(f"expected facts under names that are not reserved, got {', '.join(reserved)}")
    return {**manifest, **redacted(dict(facts))}


def updated_manifest(
    folder: Path, manifest: Mapping[str, Any], content: Mapping[str, str], **facts: Any
) -> dict[str, Any]:
    """Return the manifest after the files in `folder` were rewritten; `facts` replace old ones."""
    files = {name: _described(folder / name) for name in _files_of(manifest)}
    return {**manifest, **facts, "files": files, "database_content": dict(content)}


def file_problems(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Return the problems of a release's files: missing, changed or unexpected; empty if whole."""
    expected = manifest.get("files")
    if not isinstance(expected, dict) or set(expected) != set(_files_of(manifest)):
        return [f"{MANIFEST} does not list the files {', '.join(_RELEASE_FILES)}"]
    changed = differences(recorded_files(folder, manifest))
    problems = [_problem_text(path.name, problem) for path, problem in sorted(changed.items())]
    unexpected = unexpected_files(folder, manifest)
    return problems + [_problem_text(path.name, UNEXPECTED) for path in unexpected]


def recorded_files(folder: Path, manifest: Mapping[str, Any]) -> dict[Path, FileHash]:
    """Return the recorded hash of each file of a release; KeyError if the manifest lacks any."""
    described = {name: manifest["files"][name] for name in _files_of(manifest)}
    return {
        folder / name: FileHash(sha256=file["sha256"], bytes=file["bytes"])
        for name, file in described.items()
    }


def unexpected_files(folder: Path, manifest: Mapping[str, Any]) -> list[Path]:
    """Return the paths in a release's folder that are not part of the release."""
    return sorted(path for path in folder.iterdir() if path.name not in (*_files_of(manifest), MANIFEST))


def _files_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files that a release must have; one of an older version lacks later tables."""
    recorded = manifest.get("files")
    known = recorded if isinstance(recorded, dict) else {}
    return tuple(name for name in _RELEASE_FILES if name in known or name not in _LATER_FILES)


def _problem_text(name: str, problem: str) -> str:
    return f"{name} {problem}" if problem.startswith("is ") else f"{name}: {problem}"


def _described(path: Path) -> dict[str, Any]:
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size, "rows": rows}

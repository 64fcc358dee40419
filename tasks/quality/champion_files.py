"""The files kept of a champion: their hashes, their damage and its remedy.

Apart from champion.py because `verify` reads them and must load no configuration and no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tasks.runtime.errors import DamagedError
from tasks.store.hashes import FileHash, differences, hashes_of

FACTS: Final = "champion.json"


def recorded_hashes(folder: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Return the hashes of files, by their paths in the folder, for champion.json."""
    hashes = zip(files, hashes_of(files), strict=True)
    return {str(path.relative_to(folder)): file_hash.model_dump() for path, file_hash in hashes}


def kept_files(folder: Path, facts: Mapping[str, Any]) -> dict[Path, FileHash]:
    """Return the hashes of the files beside champion.json; empty if version 0.1 wrote it."""
    return {folder / name: FileHash(**fields) for name, fields in facts.get("files", {}).items()}


def require_whole(folder: Path, facts: Mapping[str, Any]) -> None:
    """Raise DamagedError if a file has changed since it was kept."""
    for path, problem in differences(kept_files(folder, facts)).items():
        raise DamagedError(f"{path}: {problem}; {recovery_advice(folder)}")


def recovery_advice(folder: Path) -> str:
    """Return the remedy for damaged files."""
    return f"remove the folder {folder}: the next night is then compared with no previous release"

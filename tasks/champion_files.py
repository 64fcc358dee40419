"""The files that are kept of a published night: what champion.json records of them, and whether they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tasks.errors import DamagedError
from tasks.file_hashes import FileHash, differences, hashes_of

FACTS: Final = "champion.json"


def recorded(folder: Path, kept: Sequence[Path]) -> dict[str, Any]:
    """Return what champion.json says of the files beside it: their hashes, by their paths in the folder."""
    hashes = zip(kept, hashes_of(kept), strict=True)
    return {str(path.relative_to(folder)): one.model_dump() for path, one in hashes}


def kept_files(folder: Path, facts: Mapping[str, Any]) -> dict[Path, FileHash]:
    """Return the hashes that champion.json has of the files beside it; none, where it is of 0.1."""
    return {folder / name: FileHash(**one) for name, one in facts.get("files", {}).items()}


def require_whole(folder: Path, facts: Mapping[str, Any]) -> None:
    """Raise DamagedError if a file is not as it was kept: a person may decide to go without."""
    for path, problem in differences(kept_files(folder, facts)).items():
        raise DamagedError(f"{path}: {problem}; {way_on(folder)}")


def way_on(folder: Path) -> str:
    """Return what to do about files that are damaged."""
    return f"remove the folder {folder}: the next night is then compared with no release before it"

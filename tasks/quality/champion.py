"""What is kept of a published night, so that the next one can be measured against it on the same events.

`<store>/champions/<release_id>/` has the served models as they were trained without the last events, the ids
of their items, and champion.json: the cut, who is served by what, the rules by which events counted. It goes
when its release goes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.configuration.configuration import Configuration
from tasks.dataset.parts import read
from tasks.recommendations.serving import Serving
from tasks.release.releases import Release
from tasks.runtime.errors import DamagedError, StoreError
from tasks.store.files import read_json, sync_all, write_json_atomically, writing
from tasks.store.hashes import FileHash, differences, hashes_of
from tasks.store.layout import Store
from tasks.store.names import is_release_id

FORMAT: Final = 1


@dataclass(frozen=True)
class Champion:
    """The models of a release as they were measured: folders by name, item ids by index, their cut.

    `cut`: events from then on were not trained on, in microseconds since 1970 UTC.
    """

    release_id: str
    cut: int
    serving: Serving
    models: Mapping[str, Path]
    item_ids: pa.Array


@dataclass(frozen=True)
class Measured:
    """What a night measured: the dataset up to `cut`, and the folder of the models trained on it, by name."""

    past: Path
    artefacts: Path
    cut: int


class NoChampionError(StoreError):
    """There is nothing that a night could be compared with; the message says why."""


def rules_of(configuration: Configuration) -> str:
    """Return a hash of what decides which events there are and which of them count."""
    facts = [configuration.source_fingerprint(), configuration.dataset.positive]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def champion_folder(store: Store, release_id: str) -> Path:
    """Return where a release's champion is kept; StoreError for what is no id."""
    return store.champions / store.release(release_id).name


def keep_champion(
    store: Store, release_id: str, configuration: Configuration, measured: Measured, serving: Serving
) -> Path:
    """Copy what the next night needs of this one; return the folder. The caller holds the store's lock."""
    folder = champion_folder(store, release_id)
    with writing(store.champions):
        store.champions.mkdir(exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in serving.names:
            shutil.copytree(measured.artefacts / name, folder / "models" / name)
        pq.write_table(
            read(measured.past, "items", ["item_id"]), folder / "items.parquet", compression="zstd"
        )
        kept = sorted(path for path in folder.rglob("*") if path.is_file())
        sync_all([*kept, *(path for path in folder.rglob("*") if path.is_dir()), folder])
    facts = {
        "format": FORMAT,
        "cut": measured.cut,
        "rules": rules_of(configuration),
        "serving": serving.facts(),
        "files": recorded(folder, kept),
    }
    write_json_atomically(folder / FACTS, facts)  # last: without it the folder does not count
    return folder


def read_champion(store: Store, configuration: Configuration, before: Release | None) -> Champion:
    """Return what was kept of the release `before`.

    Raises
    ------
    NoChampionError
        If there is none, it kept nothing, or it was made by other rules, so that figures would not compare.
    DamagedError
        If a file of it is not as it was kept: to leave the comparison out is a person's decision.
    """
    if before is None:
        raise NoChampionError("no release of an earlier date")
    folder = champion_folder(store, before.release_id)
    if not (folder / FACTS).is_file():
        raise NoChampionError(f"{before.release_id} kept no measured model")
    facts = read_json(folder / FACTS)
    if facts.get("format") != FORMAT:
        raise NoChampionError(f"{before.release_id} was kept by another version")
    if facts["rules"] != rules_of(configuration):
        raise NoChampionError(f"[source] or dataset.positive changed since {before.release_id}")
    require_whole(folder, facts)
    serving = Serving(**facts["serving"])
    items = pq.read_table(folder / "items.parquet", columns=["item_id"])["item_id"].combine_chunks()
    models = {name: folder / "models" / name for name in serving.names}
    return Champion(before.release_id, int(facts["cut"]), serving, models, items)


def champion_serving(store: Store, before: Release | None) -> Serving | None:
    """Return who was served by what in the release `before`, None where that is not known."""
    facts = champion_folder(store, before.release_id) / FACTS if before else None
    return Serving(**read_json(facts)["serving"]) if facts and facts.is_file() else None


def forget_champions(store: Store) -> list[str]:
    """Remove what was kept of releases that are gone; return their ids. The caller holds the store's lock."""
    folders = store.champions.glob("*") if store.champions.is_dir() else []
    gone = [one for one in folders if not (is_release_id(one.name) and store.release(one.name).is_dir())]
    with writing(store.champions):
        for folder in gone:
            shutil.rmtree(folder)
    return [folder.name for folder in gone]


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
        raise DamagedError(f"{path}: {problem}; {recovery_advice(folder)}")


def recovery_advice(folder: Path) -> str:
    """Return what to do about files that are damaged."""
    return f"remove the folder {folder}: the next night is then compared with no release before it"

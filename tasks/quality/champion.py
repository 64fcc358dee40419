"""The champion: models kept of a published night, for the next night to be compared with.

`<store>/champions/<release_id>/` has the served models as trained without the last events, the ids
of their items, and champion.json: the cut, which model serves whom, and the rules by which events
count. It is removed with its release.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.configuration.configuration import Configuration
from tasks.dataset.parts import read
from tasks.quality.champion_files import FACTS, recorded_hashes, require_whole
from tasks.recommendations.serving import Serving
from tasks.release.releases import Release
from tasks.runtime.errors import StoreError
from tasks.store.files import read_json, sync_all, write_json_atomically, writing
from tasks.store.layout import Store
from tasks.store.names import is_release_id

FORMAT: Final = 1


@dataclass(frozen=True)
class Champion:
    """The measured models of a release: folders by name, item ids by index, and their cut.

    `cut` is in microseconds since 1970 UTC; the models were trained on the events before it.
    """

    release_id: str
    cut: int
    serving: Serving
    models: Mapping[str, Path]
    item_ids: pa.Array


@dataclass(frozen=True)
class Measured:
    """The dataset of a night up to `cut`, and the folder of the models trained on it."""

    past: Path
    artefacts: Path
    cut: int


class NoChampionError(StoreError):
    """No champion to compare a night with; the message says why."""


def rules_of(configuration: Configuration) -> str:
    """Return a hash of the settings that decide which events exist and which of them count."""
    facts = [configuration.source_fingerprint(), configuration.dataset.positive]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def champion_folder(store: Store, release_id: str) -> Path:
    """Return the folder of a release's champion; StoreError if the id is not valid."""
    return store.champions / store.release(release_id).name


def keep_champion(
    store: Store, release_id: str, configuration: Configuration, measured: Measured, serving: Serving
) -> Path:
    """Copy what the next night needs of this one; return the folder.

    The caller holds the store's lock.
    """
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
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        sync_all([*files, *(path for path in folder.rglob("*") if path.is_dir()), folder])
    facts = {
        "format": FORMAT,
        "cut": measured.cut,
        "rules": rules_of(configuration),
        "serving": serving.facts(),
        "files": recorded_hashes(folder, files),
    }
    write_json_atomically(folder / FACTS, facts)  # last: a folder without it does not count
    return folder


def read_champion(store: Store, configuration: Configuration, before: Release | None) -> Champion:
    """Return the champion of the previous release `before`.

    Raises
    ------
    NoChampionError
        If there is no release or champion, or its events count by other rules.
    DamagedError
        If a file has changed since it was kept: only the operator may skip the comparison.
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
    """Return which model served whom in the release `before`; None if unknown."""
    facts = champion_folder(store, before.release_id) / FACTS if before else None
    return Serving(**read_json(facts)["serving"]) if facts and facts.is_file() else None


def remove_champions(store: Store) -> list[str]:
    """Remove the champions of removed releases; return their ids.

    The caller holds the store's lock.
    """
    folders = store.champions.glob("*") if store.champions.is_dir() else []
    orphaned = [
        path for path in folders if not (is_release_id(path.name) and store.release(path.name).is_dir())
    ]
    with writing(store.champions):
        for folder in orphaned:
            shutil.rmtree(folder)
    return [folder.name for folder in orphaned]

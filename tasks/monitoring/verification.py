"""Looking for damage: every file that the store relies on, beside what was recorded when it was written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tasks.interactions.forgotten import NAME as FORGOTTEN
from tasks.interactions.ledger import REBUILD, WITHOUT, IngestManifest, Ledger, manifest_paths
from tasks.quality.champion import FACTS, kept_files, way_on
from tasks.release.manifest import MANIFEST, STRANGE, recorded_files, strangers
from tasks.release.pointer import PointerDamagedError, read_pointer
from tasks.runtime.errors import StoreError
from tasks.runtime.progress import Report, silent
from tasks.store.files import read_sealed
from tasks.store.hashes import FileHash, differences
from tasks.store.layout import Store
from tasks.store.names import is_release_id, split_release_id
from tasks.store.run_folder import record_paths

_POINT: Final = "`nightshelf publish <id>`, with one of `nightshelf releases`, leads readers again"


@dataclass(frozen=True)
class Finding:
    """One file of the store, by its path in it: what is wrong or unknown, and what to do."""

    path: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Verification:
    """What was read (files, bytes, seconds), what is damaged, and what nothing was recorded of."""

    files: int
    bytes: int
    seconds: float
    damaged: list[Finding]
    unrecorded: list[Finding]


@dataclass
class _Survey:
    """What there is to look at: recorded files with what to do about each, and what is known already."""

    store: Store
    recorded: dict[Path, FileHash] = field(default_factory=dict)
    remedies: dict[Path, str] = field(default_factory=dict)
    damaged: list[Finding] = field(default_factory=list)
    unrecorded: list[Finding] = field(default_factory=list)
    sealed: list[Path] = field(default_factory=list)

    def finding(self, path: Path, problem: str, remedy: str) -> Finding:
        return Finding(str(path.relative_to(self.store.root)), problem, remedy)

    def expect(self, recorded: dict[Path, FileHash], remedy: str) -> None:
        """Have these files looked at."""
        self.recorded |= recorded
        self.remedies |= dict.fromkeys(recorded, remedy)

    def read(self, path: Path, remedy: str, older: str) -> dict[str, Any] | None:
        """Return what a sealed file says, None if it is damaged; `older` is what to do without a seal."""
        try:
            content, sealed = read_sealed(path)
        except StoreError as error:
            self.damaged.append(self.finding(path, str(error).replace(f"{path} ", ""), remedy))
            return None
        self.sealed.append(path)
        if not sealed:
            self.unrecorded.append(self.finding(path, "no hash recorded of the file itself", older))
        return content


def verify_store(store: Store, report: Report = silent) -> Verification:
    """Read every file that later runs and readers rely on, and say which are not as they were written.

    Releases, the pointer, ingests with their interactions and quarantine, champions and the records of runs.
    No lock is held: what is found wrong is looked at again, since a night may have replaced or removed it
    meanwhile.
    """
    started = time.perf_counter()
    survey = _survey(store)
    damaged = _damage(survey, report)
    if damaged:
        again = _survey(store)
        wrong = {store.root / one.path for one in damaged}
        again.recorded = {path: one for path, one in again.recorded.items() if path in wrong}
        damaged = [one for one in _damage(again, silent) if store.root / one.path in wrong]
    small = sum(path.stat().st_size for path in survey.sealed if path.exists())
    return Verification(
        files=len(survey.recorded) + len(survey.sealed),
        bytes=small + sum(one.bytes for one in survey.recorded.values()),
        seconds=time.perf_counter() - started,
        damaged=sorted(damaged, key=lambda one: one.path),
        unrecorded=sorted(survey.unrecorded, key=lambda one: one.path),
    )


def _damage(survey: _Survey, report: Report) -> list[Finding]:
    found = differences(survey.recorded, report, "verify: MiB")
    return survey.damaged + [
        survey.finding(path, problem, survey.remedies[path]) for path, problem in found.items()
    ]


def _survey(store: Store) -> _Survey:
    survey = _Survey(store)
    for part in (_pointer, _releases, _ingests, _forgotten, _champions, _runs):
        part(survey)
    return survey


def _pointer(survey: _Survey) -> None:
    store = survey.store
    if not store.pointer.exists():
        return
    if survey.read(store.pointer, _POINT, "the next publication records it") is None:
        return
    try:
        pointer = read_pointer(store)
    except PointerDamagedError as error:
        survey.damaged.append(survey.finding(store.pointer, str(error).partition(";")[0], _POINT))
        return
    if pointer is not None and not store.release(pointer.release_id).is_dir():
        problem = f"leads to {pointer.release_id}, which is not there"
        survey.damaged.append(survey.finding(store.pointer, problem, _POINT))


def _releases(survey: _Survey) -> None:
    active = _active(survey.store)
    for folder in sorted(survey.store.releases.glob("*")):
        if not is_release_id(folder.name):
            continue
        remedy = f"`nightshelf run --as-of {split_release_id(folder.name)[0]}` makes it anew"
        if folder.name == active:
            remedy = f"`nightshelf rollback` leads readers to the release before; then {remedy}"
        manifest = survey.read(folder / MANIFEST, remedy, "it goes with its release")
        if manifest is None:
            continue
        try:
            survey.expect(recorded_files(folder, manifest), remedy)
        except (KeyError, TypeError, AttributeError, ValidationError) as error:
            survey.damaged.append(
                survey.finding(folder / MANIFEST, f"cannot be understood: {error!r}", remedy)
            )
        for path in strangers(folder):
            survey.damaged.append(survey.finding(path, STRANGE, "remove it"))


def _active(store: Store) -> str | None:
    try:
        pointer = read_pointer(store)
    except PointerDamagedError:
        return None
    return pointer.release_id if pointer else None


def _ingests(survey: _Survey) -> None:
    manifests = list(_manifests(survey))
    for manifest in Ledger(survey.store, manifests).living():
        logs = [file.address for file in manifest.files]
        more = f" and {len(logs) - 1} more" if len(logs) > 1 else ""
        remedy = f"{REBUILD} (it has rows of {logs[0]}{more})"
        there = {survey.store.root / path: manifest.hashes.get(path) for path in manifest.written()}
        survey.expect({path: one for path, one in there.items() if one is not None}, remedy)
        unknown = [path for path, one in there.items() if one is None]
        for path in unknown:
            if not path.is_file():
                survey.damaged.append(survey.finding(path, "is missing", remedy))
        if unknown:
            problem = f"no hash recorded of its {len(unknown)} Parquet files"
            path = survey.store.ingest(manifest.ingest_id)
            survey.unrecorded.append(survey.finding(path, problem, f"to have them recorded, {REBUILD}"))


def _manifests(survey: _Survey) -> Iterator[IngestManifest]:
    """Yield the ingests whose records are whole."""
    for path in manifest_paths(survey.store):
        content = survey.read(path, WITHOUT, f"to have it recorded, {REBUILD}")
        if content is None:
            continue
        try:
            yield IngestManifest.model_validate(content)
        except ValidationError as error:
            survey.damaged.append(survey.finding(path, f"cannot be understood: {error}", WITHOUT))


def _forgotten(survey: _Survey) -> None:
    path = survey.store.root / FORGOTTEN
    if path.exists():
        back = "put it back from a backup: without it the logs bring back who was forgotten"
        survey.read(path, back, "`nightshelf forget` records it")


def _champions(survey: _Survey) -> None:
    for path in sorted(survey.store.champions.glob(f"*/{FACTS}")):
        remedy = way_on(path.parent)
        facts = survey.read(path, remedy, "the next night records its own")
        if facts is None:
            continue
        try:
            files = kept_files(path.parent, facts)
        except (TypeError, AttributeError, ValidationError) as error:
            survey.damaged.append(survey.finding(path, f"cannot be understood: {error!r}", remedy))
            continue
        survey.expect(files, remedy)


def _runs(survey: _Survey) -> None:
    """Look at the records of runs, by which a run goes on; the rest of their folders is scratch."""
    for path in record_paths(survey.store):
        survey.read(path, "start that date without --resume", "the next night records its own")

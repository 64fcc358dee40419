"""The search for damage: each file the store relies on, compared with its recorded hash."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tasks.interactions.forgotten import NAME as FORGOTTEN
from tasks.interactions.ledger import REBUILD, RESTORE, IngestManifest, Ledger, manifest_paths
from tasks.quality.champion_files import FACTS, kept_files, recovery_advice
from tasks.release.manifest import MANIFEST, UNEXPECTED, recorded_files, unexpected_files
from tasks.release.pointer import PointerDamagedError, read_pointer, readable_pointer
from tasks.runtime.errors import StoreError
from tasks.runtime.progress import Report, silent
from tasks.runtime.wording import counted
from tasks.store.files import read_sealed
from tasks.store.hashes import FileHash, differences
from tasks.store.layout import Store
from tasks.store.names import is_release_id, split_release_id
from tasks.store.run_folder import record_paths

_POINT: Final = "`nightshelf publish <id>`, with an id of `nightshelf releases`, writes it again"


@dataclass(frozen=True)
class Finding:
    """A damaged or unrecorded file, by its path in the store: the problem, and the remedy."""

    path: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Verification:
    """What a verification read (files, bytes, seconds), and the damaged and unrecorded files."""

    files: int
    bytes: int
    seconds: float
    damaged: list[Finding]
    unrecorded: list[Finding]


@dataclass
class _Survey:
    """The recorded files to check, the remedy for each, and the findings so far."""

    store: Store
    recorded: dict[Path, FileHash] = field(default_factory=dict)
    remedies: dict[Path, str] = field(default_factory=dict)
    damaged: list[Finding] = field(default_factory=list)
    unrecorded: list[Finding] = field(default_factory=list)
    sealed: list[Path] = field(default_factory=list)

    def finding(self, path: Path, problem: str, remedy: str) -> Finding:
        return Finding(str(path.relative_to(self.store.root)), problem, remedy)

    def expect(self, recorded: dict[Path, FileHash], remedy: str) -> None:
        """Add files to be checked."""
        self.recorded |= recorded
        self.remedies |= dict.fromkeys(recorded, remedy)

    def read(self, path: Path, remedy: str, unsealed_remedy: str) -> dict[str, Any] | None:
        """Return the content of a sealed file, None if it is damaged; an unsealed file is noted."""
        try:
            content, sealed = read_sealed(path)
        except StoreError as error:
            self.damaged.append(self.finding(path, str(error).replace(f"{path} ", ""), remedy))
            return None
        self.sealed.append(path)
        if not sealed:
            self.unrecorded.append(self.finding(path, "no hash recorded of the file itself", unsealed_remedy))
        return content


def verify_store(store: Store, report: Report = silent) -> Verification:
    """Read every file that later runs and readers rely on; report those that have changed.

    That is releases, the pointer, ingests with their interactions and quarantine, champions and the
    records of runs. No lock is held, so damaged files are checked a second time: a night may have
    replaced or removed them meanwhile.
    """
    started = time.perf_counter()
    survey = _survey(store)
    damaged = _damage(survey, report)
    if damaged:
        second = _survey(store)
        suspects = {store.root / finding.path for finding in damaged}
        second.recorded = {path: seal for path, seal in second.recorded.items() if path in suspects}
        damaged = [finding for finding in _damage(second, silent) if store.root / finding.path in suspects]
    small = sum(path.stat().st_size for path in survey.sealed if path.exists())
    return Verification(
        files=len(survey.recorded) + len(survey.sealed),
        bytes=small + sum(recorded.bytes for recorded in survey.recorded.values()),
        seconds=time.perf_counter() - started,
        damaged=sorted(damaged, key=lambda finding: finding.path),
        unrecorded=sorted(survey.unrecorded, key=lambda finding: finding.path),
    )


def _damage(survey: _Survey, report: Report) -> list[Finding]:
    changed = differences(survey.recorded, report, "verify: MiB")
    return survey.damaged + [
        survey.finding(path, problem, survey.remedies[path]) for path, problem in changed.items()
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
        problem = f"points to {pointer.release_id}, which does not exist"
        survey.damaged.append(survey.finding(store.pointer, problem, _POINT))


def _releases(survey: _Survey) -> None:
    active = _active(survey.store)
    for folder in sorted(survey.store.releases.glob("*")):
        if not is_release_id(folder.name):
            continue
        remedy = f"`nightshelf run --as-of {split_release_id(folder.name)[0]}` makes it again"
        if folder.name == active:
            remedy = f"`nightshelf rollback` points readers to the previous release; then {remedy}"
        manifest = survey.read(folder / MANIFEST, remedy, "it is removed with its release")
        if manifest is None:
            continue
        try:
            survey.expect(recorded_files(folder, manifest), remedy)
        except (KeyError, TypeError, AttributeError, ValidationError) as error:
            survey.damaged.append(
                survey.finding(folder / MANIFEST, f"has unexpected content: {error!r}", remedy)
            )
        for path in unexpected_files(folder, manifest):
            survey.damaged.append(survey.finding(path, UNEXPECTED, "remove it"))


def _active(store: Store) -> str | None:
    pointer = readable_pointer(store)
    return pointer.release_id if pointer else None


def _ingests(survey: _Survey) -> None:
    manifests = list(_manifests(survey))
    for manifest in Ledger(survey.store, manifests).live_manifests():
        logs = [file.address for file in manifest.files]
        more = f" and {len(logs) - 1} more" if len(logs) > 1 else ""
        remedy = f"{REBUILD} (it has rows of {logs[0]}{more})"
        hashes = {survey.store.root / path: manifest.hashes.get(path) for path in manifest.parquet_paths()}
        survey.expect({path: value for path, value in hashes.items() if value is not None}, remedy)
        unknown = [path for path, value in hashes.items() if value is None]
        for path in unknown:
            if not path.is_file():
                survey.damaged.append(survey.finding(path, "is missing", remedy))
        if unknown:
            problem = f"no hash recorded of its {counted(len(unknown), 'Parquet file')}"
            path = survey.store.ingest(manifest.ingest_id)
            survey.unrecorded.append(survey.finding(path, problem, f"to record them, {REBUILD}"))


def _manifests(survey: _Survey) -> Iterator[IngestManifest]:
    """Yield the undamaged records of ingests."""
    for path in manifest_paths(survey.store):
        content = survey.read(path, RESTORE, f"to record it, {REBUILD}")
        if content is None:
            continue
        try:
            yield IngestManifest.model_validate(content)
        except ValidationError as error:
            survey.damaged.append(survey.finding(path, f"has unexpected content: {error}", RESTORE))


def _forgotten(survey: _Survey) -> None:
    path = survey.store.root / FORGOTTEN
    if path.exists():
        remedy = "restore it from a backup: without it, the logs bring back forgotten users"
        survey.read(path, remedy, "`nightshelf forget` records it")


def _champions(survey: _Survey) -> None:
    for path in sorted(survey.store.champions.glob(f"*/{FACTS}")):
        remedy = recovery_advice(path.parent)
        facts = survey.read(path, remedy, "the next night records its own")
        if facts is None:
            continue
        try:
            files = kept_files(path.parent, facts)
        except (TypeError, AttributeError, ValidationError) as error:
            survey.damaged.append(survey.finding(path, f"has unexpected content: {error!r}", remedy))
            continue
        survey.expect(files, remedy)


def _runs(survey: _Survey) -> None:
    """Check the records of runs, which `--resume` reads; a run's other files are scratch data."""
    for path in record_paths(survey.store):
        survey.read(path, "run that date without --resume", "the next night records its own")

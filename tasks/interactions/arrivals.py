"""Which files of a source to ingest: new files, changed files, and files that a change affects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from models.options import workers
from sql.landing.landing import RawFile
from tasks.interactions.account import IngestedFile
from tasks.interactions.ledger import Ledger
from tasks.interactions.source_files import SourceFile, fetch, redacted
from tasks.runtime.errors import InputError
from tasks.runtime.progress import Report
from tasks.store.files import sha256_of

MAX_CONCURRENT = 4  # files fetched and hashed at the same time


@dataclass
class Arrival:
    """A file to ingest, and the ids of the files whose rows it replaces."""

    raw: RawFile
    file: SourceFile
    sha256: str
    replaces: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Candidate:
    """A file that may be new, with its local path and the hash of its content.

    No ingested file has its address, size and modification stamp.
    """

    file: SourceFile
    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """The file's address without secrets, as manifests and messages show it."""
        return redacted(self.file.address)


def arrivals(
    files: Sequence[SourceFile],
    ledger: Ledger,
    scratch: Path,
    *,
    replace_changed: bool,
    rebuild: bool,
    report: Report,
) -> tuple[list[Arrival], list[IngestedFile]]:
    """Return the files to ingest of those of a source, and the earlier ones to keep.

    Content that was ingested before is skipped. With `rebuild`, every file is ingested again.
    Together they replace everything ingested before, except the files to keep, which are gone.

    Raises
    ------
    InputError
        If a file cannot be read, or changed after it was ingested and `replace_changed` is false.
    """
    known = [] if rebuild else ledger.files()
    by_address = {file.address: file for file in known}
    candidates = list(_candidates(files, by_address, scratch, report))
    contents = {file.sha256 for file in known}
    candidate_hashes = {candidate.sha256 for candidate in candidates}
    kept = _gone(ledger, candidates) if rebuild else []
    next_id = ledger.next_file_id()
    new: list[Arrival] = []
    for candidate in candidates:
        if candidate.sha256 in contents:
            continue
        contents.add(candidate.sha256)
        old = by_address.get(candidate.name)
        # if the old content is elsewhere now, that file was moved, and this one is new
        replaces = old is not None and old.sha256 not in candidate_hashes
        if old is not None and replaces and not replace_changed:
            raise InputError(_changed_message(old, candidate.file))
        raw = RawFile(next_id + len(new), candidate.path, candidate.name, candidate.file.partitions)
        replaced_ids = [old.file_id] if old and replaces else []
        new.append(Arrival(raw, candidate.file, candidate.sha256, replaced_ids))
    if rebuild and new:
        new[0].replaces.extend(file.file_id for file in ledger.files() if file not in kept)
    elif any(arrival.replaces for arrival in new):
        new += _affected_duplicates(ledger, new, files, scratch)
    return new, kept


def batches(arriving: Sequence[Arrival], limit: int) -> Iterator[list[Arrival]]:
    """Yield batches of about `limit` bytes; if any arrival replaces a file, all form one batch."""
    batch: list[Arrival] = []
    size = 0
    replacing = any(arrival.replaces for arrival in arriving)
    for arrival in arriving:
        if batch and size + arrival.file.size > limit and not replacing:
            yield batch
            batch, size = [], 0
        batch.append(arrival)
        size += arrival.file.size
    if batch:
        yield batch


def _gone(ledger: Ledger, present: Sequence[Candidate]) -> list[IngestedFile]:
    """Return the ingested files that are no longer there, by content or by name.

    New content under a known name is the last file of this name, changed. Earlier files of the name
    were moved when the name was used again, and are gone if their content is.
    """
    files = ledger.files()
    known = {file.sha256 for file in files}
    last = {file.address: file.file_id for file in files}
    hashes = {candidate.sha256 for candidate in present}
    changed = {last.get(candidate.name) for candidate in present if candidate.sha256 not in known}
    return [file for file in files if file.sha256 not in hashes and file.file_id not in changed]


def _changed_message(old: IngestedFile, file: SourceFile) -> str:
    return (
        f"{old.address}: changed since it was ingested ({old.size} bytes then, {file.size} now); "
        "run `nightshelf ingest --replace-changed` if the new content is right"
    )


def _candidates(
    files: Sequence[SourceFile], by_address: dict[str, IngestedFile], scratch: Path, report: Report
) -> Iterator[Candidate]:
    """Yield the files that may be new, each with its hash; a few are read at the same time."""
    unknown = []
    for file in files:
        old = by_address.get(redacted(file.address))
        if old is None or not file.stamp or (old.size, old.stamp) != (file.size, file.stamp):
            unknown.append(file)

    def hashed(number: int) -> Candidate:
        file = unknown[number]
        path = fetch(file, scratch / "fetched" / str(number))
        try:
            return Candidate(file, path, _hash(path, file.partitions))
        except OSError as error:
            raise InputError(f"{redacted(file.address)}: cannot be read: {error.strerror or error}") from None

    with ThreadPoolExecutor(min(MAX_CONCURRENT, workers())) as pool:
        for number, candidate in enumerate(pool.map(hashed, range(len(unknown)))):
            report("ingest: looking for new files", number + 1, len(unknown))
            yield candidate


def _hash(path: Path, partitions: Mapping[str, str | None]) -> str:
    """Return a file's hash; columns that its folders tell are part of its content."""
    content = sha256_of(path)
    if not partitions:
        return content
    return hashlib.sha256(json.dumps([content, partitions], sort_keys=True).encode()).hexdigest()


def _affected_duplicates(
    ledger: Ledger, new: Sequence[Arrival], files: Sequence[SourceFile], scratch: Path
) -> list[Arrival]:
    """Return unchanged files with duplicates, whose first copies may be in a replaced file."""
    replaced = {old for arrival in new for old in arrival.replaces}
    by_address = {redacted(file.address): file for file in files}
    next_id = new[-1].raw.file_id + 1
    repeated: list[Arrival] = []
    for old in ledger.files():
        if old.counts.duplicates and old.address in by_address and old.file_id not in replaced:
            file = by_address[old.address]
            path = fetch(file, scratch / "fetched" / f"again-{old.file_id}")
            raw = RawFile(next_id + len(repeated), path, old.address, file.partitions)
            repeated.append(Arrival(raw, file, old.sha256, [old.file_id]))
    return repeated

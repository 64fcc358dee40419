"""Which files of a source to ingest: new files, changed files, and files that a change affects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from models.options import workers
from sql.landing.landing import RawFile
from sql.source import Source
from tasks.interactions.account import IngestedFile
from tasks.interactions.ledger import Ledger
from tasks.interactions.owners import Owners
from tasks.interactions.source_files import SourceFile, fetch, redacted
from tasks.runtime.errors import InputError
from tasks.runtime.progress import Report
from tasks.store.files import sha256_of

REMEDY: Final = (
    "change it back, or run with --rebuild, which ingests every file again that is still there, and keeps "
    "the stored rows of files that are gone"
)
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


@dataclass
class Arrivals:
    """What an ingest does about a source: files to ingest, and earlier ones that a rebuild keeps.

    `apart` are earlier files whose rows are not compared with new ones: a rebuild replaces them now or
    next, or they are of a source that is gone, and now under the path of another one.
    """

    source: Source
    new: list[Arrival]
    kept: list[IngestedFile] = field(default_factory=list)
    apart: frozenset[int] = frozenset()


def arrivals(
    files: Mapping[str, Sequence[SourceFile]],
    owners: Owners,
    scratch: Path,
    *,
    replace_changed: bool,
    rebuilt: Collection[str],
    report: Report,
) -> list[Arrivals]:
    """Return what to do about each source; `files` are those to consider, by the source's name.

    Content that a source has ingested before is skipped. Of the `rebuilt` sources, every file is
    ingested again, which replaces the earlier files whose present copies, by content or by name,
    are the source's. The others are gone: those of the source are kept.

    Raises
    ------
    InputError
        If a file cannot be read, was ingested as one of another configured source, or changed after
        it was ingested and `replace_changed` is false.
    """
    known = {file.address: file for file in owners.ledger.files()}
    candidates: dict[str, list[Candidate]] = {}
    for number, source in enumerate(owners.sources):
        folder, by_address = scratch / str(number), {} if source.name in rebuilt else known
        candidates[source.name] = list(_candidates(files[source.name], by_address, folder, report))
    claims = _claims(owners, {name: here for name, here in candidates.items() if name in rebuilt})
    claimed = frozenset(chain(*claims.values()))
    next_id = owners.ledger.next_file_id()
    found = []
    for source in owners.sources:
        here, elsewhere = candidates[source.name], _elsewhere(owners, source, files)
        if source.name in rebuilt:
            new = _rebuilt(here, claims[source.name], next_id)
            gone = [file for file in owners.files_of(source) if file.file_id not in claimed]
        else:
            _require_owned(owners, source, files[source.name], here)
            known_content = _known_content(owners, source, elsewhere)
            new = _new(owners, known_content, here, next_id, replace_changed=replace_changed)
            gone = []
            if any(arrival.replaces for arrival in new):
                new += _affected_duplicates(owners.ledger, new, files[source.name], scratch)
        found.append(Arrivals(source, new, gone, claimed | elsewhere))
        next_id += len(new)
    return found


def _elsewhere(owners: Owners, source: Source, files: Mapping[str, Sequence[SourceFile]]) -> frozenset[int]:
    """Return the ids of files whose source is gone and that are now under the path of another source."""
    others = (here for name, here in files.items() if name != source.name)
    addresses = {redacted(file.address) for here in others for file in here}
    gone = chain(*owners.without_owner().values())
    return frozenset(file.file_id for file in gone if file.address in addresses)


def _known_content(owners: Owners, source: Source, elsewhere: Collection[int]) -> set[str]:
    """Return the hashes of the content that a source has ingested."""
    files = (file for file in owners.ledger.files() if file.file_id not in elsewhere)
    return {file.sha256 for file in files if owners.has_read(source, file)}


def _new(
    owners: Owners,
    contents: set[str],
    candidates: Sequence[Candidate],
    next_id: int,
    *,
    replace_changed: bool,
) -> list[Arrival]:
    """Return the candidates with other content than is known, with the files that they replace."""
    by_address = {file.address: file for file in owners.ledger.files()}
    hashes = {candidate.sha256 for candidate in candidates}
    new: list[Arrival] = []
    for candidate in candidates:
        if candidate.sha256 in contents:
            continue
        contents.add(candidate.sha256)
        old = by_address.get(candidate.name)
        # if the old content is elsewhere now, that file was moved, and this one is new
        replaces = old is not None and old.sha256 not in hashes
        if old is not None and replaces and not replace_changed:
            raise InputError(_changed_message(old, candidate.file))
        new.append(_arrival(candidate, next_id + len(new), [old.file_id] if old and replaces else []))
    return new


def _rebuilt(candidates: Sequence[Candidate], replaced: Sequence[int], next_id: int) -> list[Arrival]:
    """Return the candidates, each content once; the first replaces all files to be replaced."""
    once = {candidate.sha256: candidate for candidate in reversed(candidates)}
    present = [candidate for candidate in candidates if once[candidate.sha256] is candidate]
    new = [_arrival(candidate, number, []) for number, candidate in enumerate(present, next_id)]
    if new:
        new[0].replaces.extend(replaced)
    return new


def _arrival(candidate: Candidate, file_id: int, replaces: list[int]) -> Arrival:
    raw = RawFile(file_id, candidate.path, candidate.name, candidate.file.partitions)
    return Arrival(raw, candidate.file, candidate.sha256, replaces)


def _require_owned(
    owners: Owners, source: Source, files: Sequence[SourceFile], candidates: Sequence[Candidate]
) -> None:
    """Raise InputError if a known file was ingested as another configured source's, or by other settings."""
    known = {file.address: file for file in owners.ledger.files()}
    hashes = {candidate.name: candidate.sha256 for candidate in candidates}
    for old in filter(None, (known.get(redacted(file.address)) for file in files)):
        owner = owners.owner_of(old)
        if owner is None:
            change = owners.change_of(old, source)
            if change is not None and hashes.get(old.address, old.sha256) == old.sha256:
                raise InputError(
                    f"{old.address}: ingested by other settings than those of [{source.section}]"
                    f"{change.in_brackets}: {REMEDY}"
                )
        elif owner != source.name:
            raise InputError(
                f"{old.address}: ingested as a file of {owner}, and now under the path of {source.name}: "
                f"{REMEDY}"
            )


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


def _claims(owners: Owners, present: Mapping[str, Sequence[Candidate]]) -> dict[str, list[int]]:
    """Return the ids of ingested files whose present copies are a source's, by the source's name.

    They are the source's by content, which is first looked for in the source that ingested it or
    has the name now, or by name: new content under a known name is the last file of this name,
    changed. Earlier files of the name were moved when the name was used again, and are gone if their
    content is.
    """
    files = owners.ledger.files()
    owner = {file.file_id: owners.owner_of(file) for file in files}
    hashes = {name: {candidate.sha256 for candidate in candidates} for name, candidates in present.items()}
    read: dict[str | None, set[str]] = {name: set() for name in (*present, None)}
    for file in files:
        read.setdefault(owner[file.file_id], set()).add(file.sha256)
    last = {file.address: file.file_id for file in files}
    here = {candidate.name: name for name, candidates in present.items() for candidate in candidates}
    changed: dict[int, str] = {}
    for name, candidates in present.items():
        for candidate in candidates:
            old = last.get(candidate.name)
            if old is not None and not any(candidate.sha256 in read[by] for by in (name, owner[old], None)):
                changed[old] = name
    claims: dict[str, list[int]] = {name: [] for name in present}
    for file in files:
        by = owner[file.file_id]
        if by is not None and by not in present:
            continue  # of a source that is not read again
        first = by if by is not None else here.get(file.address)
        names = [first] if first is not None and file.sha256 in hashes[first] else []
        names += [name for name in present if file.sha256 in hashes[name] and file.sha256 not in read[name]]
        names += [changed[file.file_id]] if file.file_id in changed else []
        if names:
            claims[names[0]].append(file.file_id)
    return claims


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

"""Which files of a source are to be taken in: new ones, and changed ones with what they make doubtful."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from sql.landing.landing import RawFile
from sql.source import Source
from tasks.interactions.account import TakenFile
from tasks.interactions.ledger import Ledger
from tasks.interactions.source_files import SourceFile, fetch, find, redacted
from tasks.runtime.errors import InputError
from tasks.runtime.progress import Report
from tasks.store.files import sha256_of


@dataclass
class Arrival:
    """A file that is to be taken in, and the ids of the files whose rows it replaces."""

    raw: RawFile
    found: SourceFile
    sha256: str
    replaces: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Candidate:
    """A file that is not known by its address, size and modification: here, with the hash of its content."""

    found: SourceFile
    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """The name that people know the file by."""
        return redacted(self.found.address)


def arrivals(
    source: Source,
    ledger: Ledger,
    as_of: date,
    scratch: Path,
    *,
    replace_changed: bool,
    rebuild: bool,
    report: Report,
) -> list[Arrival]:
    """Return the files to take in, in the order of their names; content that is known is not taken in again.

    With `rebuild` every file is taken in, and together they replace all that was.

    Raises
    ------
    InputError
        If there are no files, one cannot be read, or one changed since it was taken in and
        `replace_changed` is false; or `rebuild` is true and a file that was taken in is not there any more.
    """
    found = find(source, as_of)
    known = [] if rebuild else ledger.files()
    by_address = {file.address: file for file in known}
    looked_at = list(_candidates(found, by_address, scratch, report))
    contents = {file.sha256 for file in known}
    here = {candidate.sha256 for candidate in looked_at}
    if rebuild:
        _require_all_there(ledger, here | {candidate.name for candidate in looked_at})
    next_id = ledger.next_file_id()
    taken: list[Arrival] = []
    for candidate in looked_at:
        if candidate.sha256 in contents:
            continue
        contents.add(candidate.sha256)
        old = by_address.get(candidate.name)
        replaces = old is not None and old.sha256 not in here  # else it was moved, and this is a new file
        if old is not None and replaces and not replace_changed:
            raise InputError(_changed(old, candidate.found))
        raw = RawFile(next_id + len(taken), candidate.path, candidate.name)
        taken.append(
            Arrival(raw, candidate.found, candidate.sha256, [old.file_id] if old and replaces else [])
        )
    if rebuild and taken:
        taken[0].replaces.extend(file.file_id for file in ledger.files())
    elif any(arrival.replaces for arrival in taken):
        taken += _doubtful(ledger, taken, found, scratch)
    return taken


def batches(taken: Sequence[Arrival], limit: int) -> Iterator[list[Arrival]]:
    """Yield arrivals in groups of about `limit` bytes; if one replaces something, all are one group."""
    batch: list[Arrival] = []
    size = 0
    replacing = any(arrival.replaces for arrival in taken)
    for arrival in taken:
        if batch and size + arrival.found.size > limit and not replacing:
            yield batch
            batch, size = [], 0
        batch.append(arrival)
        size += arrival.found.size
    if batch:
        yield batch


def _require_all_there(ledger: Ledger, here: set[str]) -> None:
    known = [file for file in ledger.files() if file.sha256 not in here]
    gone = [file.address for file in known if file.address not in here]
    if gone:
        raise InputError(
            f"--rebuild takes every file in again, but {len(gone)} taken in before are not there any more, "
            f"such as {gone[0]}: bring them back, or start with another [store] path"
        )


def _changed(old: TakenFile, file: SourceFile) -> str:
    return (
        f"{old.address}: changed since it was taken in ({old.size} bytes then, {file.size} now); "
        "run `nightshelf ingest --replace-changed` if the new content is right"
    )


def _candidates(
    found: Sequence[SourceFile], by_address: dict[str, TakenFile], scratch: Path, report: Report
) -> Iterator[Candidate]:
    """Yield the files that may be new, each hashed; a few are read at a time."""
    unknown = []
    for file in found:
        old = by_address.get(redacted(file.address))
        if old is None or not file.stamp or (old.size, old.stamp) != (file.size, file.stamp):
            unknown.append(file)

    def look(place: int) -> Candidate:
        file = unknown[place]
        path = fetch(file, scratch / "fetched" / str(place))
        try:
            return Candidate(file, path, sha256_of(path))
        except OSError as error:
            raise InputError(f"{redacted(file.address)}: cannot be read: {error.strerror or error}") from None

    with ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0)))) as pool:
        for place, candidate in enumerate(pool.map(look, range(len(unknown)))):
            report("ingest: looking for new files", place + 1, len(unknown))
            yield candidate


def _doubtful(
    ledger: Ledger, taken: Sequence[Arrival], found: Sequence[SourceFile], scratch: Path
) -> list[Arrival]:
    """Return unchanged files that held duplicates: the first copies may have been in a replaced file."""
    replaced = {old for arrival in taken for old in arrival.replaces}
    here = {redacted(file.address): file for file in found}
    next_id = taken[-1].raw.file_id + 1
    again: list[Arrival] = []
    for old in ledger.files():
        if old.counts.duplicates and old.address in here and old.file_id not in replaced:
            file = here[old.address]
            path = fetch(file, scratch / "fetched" / f"again-{old.file_id}")
            raw = RawFile(next_id + len(again), path, old.address)
            again.append(Arrival(raw, file, old.sha256, [old.file_id]))
    return again

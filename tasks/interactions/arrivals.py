"""Which files of a source to ingest: new files, changed files, and files that a change affects."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Final

from sql.landing.landing import RawFile
from sql.source import Source
from tasks.interactions.account import IngestedFile, heads
from tasks.interactions.candidates import Candidate, candidates
from tasks.interactions.ledger import Ledger
from tasks.interactions.owners import Owners
from tasks.runtime.errors import InputError
from tasks.runtime.progress import Report
from tasks.sources.source_files import SourceFile, fetch, redacted
from tasks.store.contents import whole_lines

REMEDY: Final = (
    "change it back, or run with --rebuild, which ingests every file again that is still there, and keeps "
    "the stored rows of files that are gone"
)


@dataclass
class Arrival:
    """A file to ingest, and the ids of the files whose rows it replaces.

    `continues` is the hash of what was read of it before lines were appended.
    """

    raw: RawFile
    file: SourceFile
    sha256: str
    replaces: list[int] = field(default_factory=list)
    continues: str = ""


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
    present: dict[str, list[Candidate]] = {}
    for number, source in enumerate(owners.sources):
        known = [] if source.name in rebuilt else owners.heads()
        found_now = candidates(source, files[source.name], known, scratch / str(number), report)
        present[source.name] = [candidate for candidate in found_now if not candidate.is_empty]
    claims = _claims(owners, {name: here for name, here in present.items() if name in rebuilt})
    claimed = frozenset(chain(*claims.values()))
    next_id = owners.ledger.next_file_id()
    found = []
    for source in owners.sources:
        here, elsewhere = present[source.name], owners.elsewhere(source, files)
        if source.name in rebuilt:
            new = _rebuilt(here, claims[source.name], next_id)
            gone = [file for file in owners.files_of(source) if file.file_id not in claimed]
        else:
            _require_owned(owners, source, files[source.name], here)
            new = _new(owners, source, here, next_id, replace_changed=replace_changed, elsewhere=elsewhere)
            gone = []
            if any(arrival.replaces for arrival in new):
                again = scratch / "again"
                new += _affected_duplicates(owners.ledger, new, files[source.name], again)
        found.append(Arrivals(source, new, gone, claimed | elsewhere))
        next_id += len(new)
    return found


def _new(
    owners: Owners,
    source: Source,
    candidates: Sequence[Candidate],
    next_id: int,
    *,
    replace_changed: bool,
    elsewhere: Collection[int],
) -> list[Arrival]:
    """Return the candidates whose content a source has not ingested, with the files that they replace.

    Of a file to which lines were appended, since then or under another name, only these are new.
    """
    files = owners.ledger.files()
    by_address = {file.address: file for file in owners.heads()}
    own = [file for file in files if file.file_id not in elsewhere and owners.has_read(source, file)]
    read = {file.sha256: file for file in heads(own)}
    before = {candidate.name: _before(candidate, read) for candidate in candidates}
    continued = {old.sha256 for old in before.values() if old is not None}
    hashes = {candidate.sha256 for candidate in candidates} | continued
    contents = {file.sha256 for file in own}
    new: list[Arrival] = []
    for candidate in candidates:
        if candidate.sha256 in contents:
            continue
        contents.add(candidate.sha256)
        number, after, old = next_id + len(new), before[candidate.name], by_address.get(candidate.name)
        if after is not None and after.sha256 in continued:
            continued.remove(after.sha256)  # a copy of the file is a file of its own
            new.append(_arrival(candidate, number, [], after))
            continue
        # if the old content is elsewhere now, that file was moved, and this one is new
        replaces = old is not None and old.sha256 not in hashes
        if old is not None and replaces and not replace_changed:
            raise InputError(_changed_message(old, candidate, source))
        new.append(_arrival(candidate, number, owners.parts_of(old) if old and replaces else []))
    return new


def _before(candidate: Candidate, read: Mapping[str, IngestedFile]) -> IngestedFile | None:
    """Return the most that was read of a file, under any name, before lines were appended to it."""
    parts = [old for digest in candidate.beginnings if (old := read.get(digest)) is not None]
    return max(parts, key=lambda old: old.size, default=None)


def _rebuilt(candidates: Sequence[Candidate], replaced: Sequence[int], next_id: int) -> list[Arrival]:
    """Return the candidates, each content once; the first replaces all files to be replaced."""
    once = {candidate.sha256: candidate for candidate in reversed(candidates)}
    present = [candidate for candidate in candidates if once[candidate.sha256] is candidate]
    new = [_arrival(candidate, number, []) for number, candidate in enumerate(present, next_id)]
    if new:
        new[0].replaces.extend(replaced)
    return new


def _arrival(
    candidate: Candidate, file_id: int, replaces: list[int], after: IngestedFile | None = None
) -> Arrival:
    continues = "" if after is None else after.sha256
    return Arrival(candidate.raw(file_id, after), candidate.file, candidate.sha256, replaces, continues)


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
    files = owners.heads()
    owner = {file.file_id: owners.owner_of(file) for file in files}
    hashes = {name: {candidate.sha256 for candidate in candidates} for name, candidates in present.items()}
    read: dict[str | None, set[str]] = {name: set() for name in (*present, None)}
    for file in files:
        read.setdefault(owner[file.file_id], set()).add(file.sha256)
    last = {file.address: file.file_id for file in files}
    holder = {candidate.name: name for name, here in present.items() for candidate in here}
    changed: dict[int, str] = {}
    for name, here in present.items():
        for candidate in here:
            old = last.get(candidate.name)
            if old is not None and not any(candidate.sha256 in read[by] for by in (name, owner[old], None)):
                changed[old] = name
    claims: dict[str, list[int]] = {name: [] for name in present}
    for file in files:
        by = owner[file.file_id]
        if by is not None and by not in present:
            continue  # of a source that is not read again
        first = by if by is not None else holder.get(file.address)
        names = [first] if first is not None and file.sha256 in hashes[first] else []
        names += [name for name in present if file.sha256 in hashes[name] and file.sha256 not in read[name]]
        names += [changed[file.file_id]] if file.file_id in changed else []
        if names:
            claims[names[0]].extend(owners.parts_of(file))
    return claims


def _changed_message(old: IngestedFile, candidate: Candidate, source: Source) -> str:
    grew = not source.appended and candidate.begins_with(old, source)
    appended = f"lines were appended to it: set appended = true in [{source.section}], or " if grew else ""
    return (
        f"{old.address}: changed since it was ingested ({old.size} bytes then, {candidate.file.size} now); "
        f"{appended}run `nightshelf ingest --replace-changed` if the new content is right"
    )


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
            path = fetch(file, scratch / f"{old.file_id}")
            file_id = next_id + len(repeated)
            raw = RawFile(file_id, path, old.address, file.partitions, file.field_names)
            raw = _same_rows(ledger, raw, old)
            repeated.append(Arrival(raw, file, old.sha256, [old.file_id], old.continues))
    return repeated


def _same_rows(ledger: Ledger, raw: RawFile, old: IngestedFile) -> RawFile:
    """Return the part of a file that was read as `old`: lines may have been appended before and after."""
    earlier = next((file.size for file in ledger.files() if file.sha256 == old.continues), 0)
    if not earlier and raw.path.stat().st_size == old.size:
        return raw
    _, beginnings = whole_lines(raw.path, {earlier, old.size})
    lines = next((beginning.lines for beginning in beginnings if beginning.size == earlier), 0)
    return replace(raw, begin=earlier, end=old.size, first_line=lines + 1)

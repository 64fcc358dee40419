"""The files of a source that may be new: fetched if they are remote, and known by their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from models.options import workers
from sql.landing.landing import RawFile, grows
from sql.source import Source
from tasks.interactions.account import IngestedFile
from tasks.runtime.errors import InputError
from tasks.runtime.progress import Report
from tasks.sources.source_files import SourceFile, fetch, redacted
from tasks.store.contents import Beginning, whole_lines
from tasks.store.files import sha256_of

MAX_CONCURRENT = 4  # files fetched and hashed at the same time


@dataclass(frozen=True)
class Candidate:
    """A file with its local path and the hash of its content.

    Of a file to which lines are appended, the content ends with its last whole line, `lines` is that
    content, and `beginnings` are shorter ones by their hash: those that ingested files may have had.
    """

    file: SourceFile
    path: Path
    sha256: str
    lines: Beginning | None
    beginnings: Mapping[str, Beginning]

    @property
    def name(self) -> str:
        """The file's address without secrets, as manifests and messages show it."""
        return redacted(self.file.address)

    @property
    def is_empty(self) -> bool:
        """Whether it has no whole line yet."""
        return self.lines is not None and not self.lines.size

    def raw(self, file_id: int, after: IngestedFile | None = None) -> RawFile:
        """Return the file as it is to be read: all of it, or what was appended `after` it was read."""
        if self.lines is None:
            return RawFile(file_id, self.path, self.name, self.file.partitions, self.file.field_names)
        begin = Beginning(0, "", 0) if after is None else self.beginnings[after.sha256]
        return RawFile(
            file_id,
            self.path,
            self.name,
            self.file.partitions,
            begin=begin.size,
            end=self.lines.size,
            first_line=begin.lines + 1,
        )

    def begins_with(self, old: IngestedFile, source: Source) -> bool:
        """Return whether the file has grown: it begins with the whole lines that it was."""
        if not grows(self.name, source):
            return False
        lines, beginnings = whole_lines(self.path, {old.size})
        return any(
            _known_by(part.sha256, self.file) == old.sha256 and part.size < lines.size for part in beginnings
        )


def candidates(
    source: Source,
    files: Sequence[SourceFile],
    known: Collection[IngestedFile],
    scratch: Path,
    report: Report,
) -> Iterator[Candidate]:
    """Yield the files that may be new, a few of which are read at the same time.

    Left out are those with the address, size and modification stamp of a `known` file. InputError
    for a file that cannot be read.
    """
    by_address = {file.address: file for file in known}
    sizes = {file.size for file in known}
    unknown = []
    for file in files:
        old = by_address.get(redacted(file.address))
        if old is None or not file.stamp or (old.size, old.stamp) != (file.size, file.stamp):
            unknown.append(file)

    def read(number: int) -> Candidate:
        return _candidate_of(source, unknown[number], scratch / "fetched" / str(number), sizes)

    with ThreadPoolExecutor(min(MAX_CONCURRENT, workers())) as pool:
        for number, candidate in enumerate(pool.map(read, range(len(unknown)))):
            report("ingest: looking for new files", number + 1, len(unknown))
            yield candidate


def _candidate_of(source: Source, file: SourceFile, folder: Path, sizes: Collection[int] = ()) -> Candidate:
    """Return a file with its content and, if lines are appended to it, its beginnings of these sizes."""
    path = fetch(file, folder)
    try:
        if not source.appended or not grows(redacted(file.address), source):
            return Candidate(file, path, _known_by(sha256_of(path), file), None, {})
        lines, beginnings = whole_lines(path, sizes)
    except OSError as error:
        raise InputError(f"{redacted(file.address)}: cannot be read: {error.strerror or error}") from None
    by_hash = {_known_by(beginning.sha256, file): beginning for beginning in beginnings}
    return Candidate(file, path, _known_by(lines.sha256, file), lines, by_hash)


def _known_by(content: str, file: SourceFile) -> str:
    """Return the hash by which content is known; columns that its folders tell are part of it."""
    if not file.partitions:
        return content
    return hashlib.sha256(json.dumps([content, file.partitions], sort_keys=True).encode()).hexdigest()

"""Which of several sources a file belongs to: one under their paths, and one that was ingested."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from itertools import chain
from typing import Any

from sql.source import NO_ELEMENTS, Source
from tasks.configuration.sources import WithSources
from tasks.interactions.account import Counts, IngestedFile, heads, total
from tasks.interactions.ledger import IngestManifest, Ledger
from tasks.interactions.row_settings import Change, RowSettings, change_between, row_settings
from tasks.runtime.errors import InputError
from tasks.sources.discovery import Discovered, discover
from tasks.sources.source_files import SourceFile, redacted

UNNAMED = "source"
"""What an account calls a source without a name."""


class Owners:
    """The configured sources of the files of a ledger; files of sources that are gone have none."""

    def __init__(self, configuration: WithSources, ledger: Ledger) -> None:
        self.configuration, self.ledger = configuration, ledger
        self.sources = configuration.sources
        self._differences: dict[tuple[str, str], Change | None] = {}

    @cached_property
    def _manifests(self) -> dict[int, IngestManifest]:
        return {file.file_id: manifest for manifest in self.ledger.manifests for file in manifest.files}

    @cached_property
    def _settings(self) -> dict[str, RowSettings]:
        return self.ledger.settings(self.configuration)

    @cached_property
    def unnamed(self) -> str:
        """The name of the source of ingests without a name, which were made when there was only one.

        It is the first source, unless a later ingest recorded what was the first then.
        """
        first = self.sources[0].name
        recorded = (m.unnamed for m in reversed(self.ledger.manifests) if m.unnamed)
        return next(recorded, first) if first else first

    def name_of(self, manifest: IngestManifest) -> str | None:
        """Return the name of an ingest's source; None if it is no longer configured."""
        name = self.recorded_name(manifest)
        return name if name in {source.name for source in self.sources} else None

    def recorded_name(self, manifest: IngestManifest) -> str:
        """Return the name of an ingest's source, configured or not."""
        return manifest.source_name or self.unnamed

    def owner_of(self, file: IngestedFile) -> str | None:
        """Return the name of an ingested file's source; None if it is no longer configured."""
        return self.name_of(self._manifests[file.file_id])

    def is_comparable(self, manifest: IngestManifest, source: Source) -> bool:
        """Return whether rows of an ingest can be those of a source: no other configured one owns them."""
        return self.name_of(manifest) in {source.name, None}

    def has_read(self, source: Source, file: IngestedFile) -> bool:
        """Return whether an ingested file has the rows that a source would make of its content."""
        owner = self.owner_of(file)
        return self.change_of(file, source) is None if owner is None else owner == source.name

    def heads(self) -> list[IngestedFile]:
        """Return the files that were not replaced, without those that one of the same source continues."""
        by_source: dict[str, list[IngestedFile]] = {}
        for file in self.ledger.files():
            by_source.setdefault(self.recorded_name(self._manifests[file.file_id]), []).append(file)
        return sorted(chain(*map(heads, by_source.values())), key=lambda file: file.file_id)

    @cached_property
    def _by_content(self) -> dict[tuple[str | None, str], IngestedFile]:
        return {(self.owner_of(file), file.sha256): file for file in self.ledger.files()}

    def parts_of(self, last: IngestedFile) -> list[int]:
        """Return the ids of a file, and of all that its source read of it before lines were appended."""
        ids, owner, part = [last.file_id], self.owner_of(last), last
        while part.continues:
            digest = part.continues
            before = self._by_content.get((owner, digest)) or self._by_content.get((None, digest))
            if before is None:
                break
            ids.append(before.file_id)
            part = before
        return ids

    def files_of(self, source: Source) -> list[IngestedFile]:
        """Return the files of a source that were not replaced."""
        return [file for file in self.ledger.files() if self.owner_of(file) == source.name]

    def without_owner(self) -> dict[str, list[IngestedFile]]:
        """Return the files of sources that are no longer configured, by the name of the source."""
        files: dict[str, list[IngestedFile]] = {}
        for file in self.ledger.files():
            if self.owner_of(file) is None:
                files.setdefault(self.recorded_name(self._manifests[file.file_id]), []).append(file)
        return files

    def elsewhere(self, source: Source, present: Mapping[str, Sequence[SourceFile]]) -> frozenset[int]:
        """Return the ids of files whose source is gone and that are now under the path of another source.

        `present` are the files under each source's path, by its name.
        """
        others = (here for name, here in present.items() if name != source.name)
        addresses = {redacted(file.address) for here in others for file in here}
        gone = chain(*self.without_owner().values())
        return frozenset(file.file_id for file in gone if file.address in addresses)

    def exclusion_rules(self) -> list[str]:
        """Return the names of all rules that exclude rows, also of sources that are gone."""
        gone = [manifest for manifest in self.ledger.manifests if self.name_of(manifest) is None]
        rules = [name for m in gone for name, _ in self._settings.get(m.ingest_id, {}).get("exclude", [])]
        built_in = [NO_ELEMENTS] if gone else []
        return list(dict.fromkeys([*self.configuration.exclusion_rules(), *rules, *built_in]))

    def changes(self) -> dict[str, Change]:
        """Return what changed in each source since its last ingest, if stored rows would now be others.

        A change has no keys if that ingest recorded no settings, and other ones.
        """
        last = {self.name_of(manifest): manifest for manifest in self.ledger.manifests}
        changes = {}
        for source in self.sources:
            if source.name in last:
                then = self._settings.get(last[source.name].ingest_id)
                unknown = _unknown_types(self.files_of(source), source)
                change = change_between(then, row_settings(source), unknown) if then else Change(())
                if then is None or change.keys:
                    changes[source.name] = change
        return changes

    def change_of(self, file: IngestedFile, source: Source) -> Change | None:
        """Return what differs in a source from the settings by which a file was ingested, if rows would."""
        manifest = self._manifests[file.file_id]
        key = (manifest.ingest_id, source.name)
        if key not in self._differences:
            then = self._settings.get(manifest.ingest_id)
            unknown = _unknown_types(manifest.files, source)
            change = change_between(then, row_settings(source), unknown) if then else Change(())
            self._differences[key] = change if change.keys or then is None else None
        return self._differences[key]

    def accounts(self, files: Iterable[IngestedFile]) -> dict[str, Counts]:
        """Return the account of files by the name of their source."""
        by_name: dict[str, list[IngestedFile]] = {source.name or UNNAMED: [] for source in self.sources}
        for file in files:
            name = self.recorded_name(self._manifests[file.file_id])
            by_name.setdefault(name or UNNAMED, []).append(file)
        return {name: total(part) for name, part in by_name.items()}


def by_source(accounts: Mapping[str, Counts]) -> dict[str, Any]:
    """Return accounts by source as plain values; empty if there is only one source."""
    return {name: counts.model_dump() for name, counts in accounts.items()} if len(accounts) > 1 else {}


def discover_all(sources: Sequence[Source], until: Callable[[Source], date]) -> dict[str, Discovered]:
    """Return the files of each source up to a date, by its name; raises as `discover` does.

    InputError for a file that is under the paths of two sources: its rows would count twice.
    """
    found = {source.name: discover(source, until(source)) for source in sources}
    require_apart(found, sources)
    return found


def require_apart(found: Mapping[str, Discovered], sources: Sequence[Source]) -> None:
    """Raise InputError for a file that was found under the paths of two sources."""
    first: dict[str, Source] = {}
    for source in sources if len(sources) > 1 else ():
        here = found.get(source.name, Discovered([], ()))
        for file in (*here.files, *here.unsettled):
            address = os.path.realpath(file.address) if file.local else file.address
            known = first.setdefault(address, source)
            if known is not source:
                raise InputError(
                    f"{redacted(file.address)}: expected a file of one source, got one under the paths of "
                    f"{known.name} and {source.name}"
                )


def _unknown_types(files: Iterable[IngestedFile], source: Source) -> int:
    """Return the rows that were quarantined for their event type and would now have a known one."""
    rules = total(files).rules
    unknown = rules.get("event_type_unknown", 0)
    return unknown if source.event_weights else unknown + rules.get("event_type_missing", 0)

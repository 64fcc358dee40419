"""Arriving rows that the store has already, whatever the settings by which it has read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sql.engines.engine import Engine
from sql.errors import SourceError
from sql.interactions.classification import ClassifiedRows
from sql.interactions.raw_rows import wanted_columns
from sql.interactions.redelivery import drop_stored, drop_stored_as_read
from sql.landing.landing import Landing, RawFile
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import id_types
from tasks.interactions.ledger import IngestManifest, Ledger
from tasks.interactions.owners import Owners
from tasks.interactions.row_settings import RowSettings, row_settings, same_columns, same_days, source_then


@dataclass(frozen=True)
class Redelivery:
    """Finds arriving rows of a source in a ledger; `replaces` are the files that do not count.

    Rows of other configured sources are not looked at: equal rows of two sources are two events. Rows of
    sources that are gone are, as the source may have a new name.
    """

    configuration: Configuration
    source: Source
    ledger: Ledger
    engine: Engine
    replaces: Sequence[int]

    def drop(self, classified: ClassifiedRows, files: Sequence[RawFile]) -> None:
        """Turn accepted rows that are stored already into duplicates.

        Stored rows that were read with other columns, types or formats are compared with what those
        settings make of the arriving files, which are landed once more. So the landing of the
        classified rows must not be needed afterwards. DamagedError if a stored file is damaged.
        """
        source, owners = self.source, Owners(self.configuration, self.ledger)
        now = row_settings(source)
        settings = self.ledger.settings(self.configuration)
        alike: dict[bool, list[IngestManifest]] = {False: [], True: []}  # whether rests are unnamed
        earlier: dict[tuple[str, bool], tuple[RowSettings, list[IngestManifest]]] = {}
        stored = self.ledger.with_rows(self.replaces)
        for manifest in (manifest for manifest in stored if owners.is_comparable(manifest, source)):
            then, unnamed = settings.get(manifest.ingest_id), not manifest.source
            if same_columns(then, now) if then else self._fits(manifest):
                alike[unnamed].append(manifest)
            elif then:
                key = json.dumps(then, sort_keys=True)
                earlier.setdefault((key, unnamed), (then, []))[1].append(manifest)
        replaced = [*self.ledger.replaced(), *self.replaces]
        if old := _flat(self._whole(alike[True], classified.accepted())):
            drop_stored_as_read(classified, classified.landing, source, old, replaced, unnamed=True)
        drop_stored(classified, self._whole(alike[False], classified.accepted()), replaced)
        for (_, unnamed), (then, manifests) in earlier.items():
            reader = source_then(then, source)
            days = classified.accepted() if same_days(then, now) else None
            parts = _flat(self._whole(manifests, days))
            if reader is not None and parts:
                for landing in self._landings(files, reader):
                    drop_stored_as_read(classified, landing, reader, parts, replaced, unnamed=unnamed)

    def _fits(self, manifest: IngestManifest) -> bool:
        """Return whether rows of unknown settings have the present columns."""
        schema = schema_of(self.ledger, manifest)
        ids = id_types(self.configuration)
        present = {"user_id": ids.user, "item_id": ids.item}
        present |= dict.fromkeys(self.source.attributes, pa.string())
        return all(
            name in schema.names and _plain(schema.field(name).type) == kind for name, kind in present.items()
        )

    def _whole(
        self, manifests: Sequence[IngestManifest], days: Mapping[str, object] | None
    ) -> dict[str, list[Path]]:
        """Return the Parquet files of ingests by day, once they are proved whole."""
        parts: dict[str, list[Path]] = {}
        for manifest in manifests:
            for day, paths in manifest.parts.items():
                if days is None or day in days:
                    parts.setdefault(day, []).extend(self.ledger.store.root / path for path in paths)
        self.ledger.require_whole([path for paths in parts.values() for path in paths])
        return parts

    def _landings(self, files: Sequence[RawFile], source: Source) -> Iterator[Landing]:
        """Yield the files as `source` lands them, together or, if one cannot be read, by themselves.

        One that it cannot read has no stored rows. A landing ends when the next begins.
        """
        wanted = wanted_columns(source)
        try:
            landing = self.engine.land(files, source, replace(wanted, optional=frozenset(wanted.columns)))
        except SourceError:
            for file in files if len(files) > 1 else ():
                yield from self._landings([file], source)
        else:
            yield landing


def _flat(parts: Mapping[str, Sequence[Path]]) -> list[Path]:
    return [path for paths in parts.values() for path in paths]


def schema_of(ledger: Ledger, manifest: IngestManifest) -> pa.Schema:
    """Return the schema of an ingest's accepted rows, which all its Parquet files share."""
    part = next(path for paths in manifest.parts.values() for path in paths)
    return pq.read_schema(ledger.store.root / part)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(kind) else kind

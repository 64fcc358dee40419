"""Arriving rows that the store has already, whatever the settings by which it has read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sql.engines.engine import Engine
from sql.interactions.classification import ClassifiedRows
from sql.interactions.redelivery import drop_stored, drop_stored_as_read
from sql.landing.landing import RawFile, SourceError
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import id_types
from tasks.interactions.ledger import IngestManifest, Ledger
from tasks.interactions.row_settings import RowSettings, row_settings, same_columns, same_days, source_then


@dataclass(frozen=True)
class Redelivery:
    """Finds arriving rows in a ledger; `replaces` are the files that the arriving ones replace."""

    configuration: Configuration
    ledger: Ledger
    engine: Engine
    replaces: Sequence[int]

    def drop(self, classified: ClassifiedRows, files: Sequence[RawFile]) -> None:
        """Turn accepted rows that are stored already into duplicates.

        Stored rows that were read with other columns, types or formats are compared with what those
        settings make of the arriving files, which are landed once more. So the landing of the
        classified rows must not be needed afterwards. DamagedError if a stored file is damaged.
        """
        now = row_settings(self.configuration.source)
        fingerprint = self.configuration.source_fingerprint()
        settings = self.ledger.settings({fingerprint: now})
        alike: list[IngestManifest] = []
        earlier: dict[str, tuple[RowSettings, list[IngestManifest]]] = {}
        for manifest in self.ledger.with_rows(self.replaces):
            then = settings.get(manifest.ingest_id)
            if same_columns(then, now) if then else self._fits(manifest):
                alike.append(manifest)
            elif then:
                key = json.dumps(then, sort_keys=True)
                earlier.setdefault(key, (then, []))[1].append(manifest)
        replaced = [*self.ledger.replaced(), *self.replaces]
        drop_stored(classified, self._whole(alike, classified.accepted()), replaced)
        for then, manifests in earlier.values():
            source = source_then(then, self.configuration.source)
            days = classified.accepted() if same_days(then, now) else None
            parts = [path for paths in self._whole(manifests, days).values() for path in paths]
            if source is not None and parts:
                self._drop_as_read(classified, files, source, parts, replaced)

    def _fits(self, manifest: IngestManifest) -> bool:
        """Return whether rows of unknown settings have the present columns."""
        schema = schema_of(self.ledger, manifest)
        ids = id_types(self.configuration)
        present = {"user_id": ids.user, "item_id": ids.item}
        present |= dict.fromkeys(self.configuration.source.attributes, pa.string())
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

    def _drop_as_read(
        self,
        classified: ClassifiedRows,
        files: Sequence[RawFile],
        source: Source,
        parts: Sequence[Path],
        replaced: Sequence[int],
    ) -> None:
        """Compare the files as `source` reads them; one that it cannot read has no stored rows."""
        mapped = list(dict.fromkeys([*source.columns.mapped().values(), *source.attributes.values()]))
        for group in self._readable(files, source, mapped):
            landing = self.engine.land(group, source, mapped, mapped)
            drop_stored_as_read(classified, landing, source, parts, replaced)

    def _readable(
        self, files: Sequence[RawFile], source: Source, mapped: Sequence[str]
    ) -> Iterator[Sequence[RawFile]]:
        """Yield the files together, or if one cannot be read, each other one by itself."""
        try:
            self.engine.land(files, source, mapped, mapped)
        except SourceError:
            if len(files) > 1:
                for file in files:
                    yield from self._readable([file], source, mapped)
        else:
            yield files


def schema_of(ledger: Ledger, manifest: IngestManifest) -> pa.Schema:
    """Return the schema of an ingest's accepted rows, which all its Parquet files share."""
    part = next(path for paths in manifest.parts.values() for path in paths)
    return pq.read_schema(ledger.store.root / part)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(kind) else kind

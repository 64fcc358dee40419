"""Stored interactions under the present settings, whatever settings they were ingested with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from sql.engines.engine import Engine
from sql.engines.text import render
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.configuration.sources import WithSources
from tasks.interactions.account import EXAMPLES
from tasks.interactions.ledger import IngestManifest, Ledger
from tasks.interactions.owners import Owners
from tasks.interactions.redelivery import schema_of
from tasks.interactions.row_settings import RowSettings, unlisted_types
from tasks.runtime.wording import counted

TYPES = ("user_id_type", "item_id_type", "time_zone")


@dataclass
class Group:
    """Ingests whose rows have the same types of ids and zone; together they have the attributes."""

    user_id_type: str
    item_id_type: str
    time_zone: str
    attributes: set[str] = field(default_factory=set)
    parts: list[Path] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, ...]:
        """The types of ids and the zone."""
        return (self.user_id_type, self.item_id_type, self.time_zone)


def stored_parts(configuration: Configuration, ledger: Ledger, as_of: date) -> list[Path]:
    """Return the Parquet files that may hold interactions up to the end of a date."""
    return [path for group in _groups(configuration, ledger, as_of) for path in group.parts]


def make_interactions(configuration: Configuration, ledger: Ledger, engine: Engine, as_of: date) -> bool:
    """Make the relation `interactions` of stored rows; return whether ids had to be converted.

    It has rows up to the end of `as_of`, and later ones. The ledger has rows up to `as_of`.
    """
    groups = _groups(configuration, ledger, as_of)
    key = tuple(str(getattr(configuration, name)) for name in TYPES)
    if len(groups) == 1 and groups[0].key == key and {*configuration.attributes} <= groups[0].attributes:
        engine.parquet("interactions", groups[0].parts, reread=True)
        return False
    for number, group in enumerate(groups, start=1):
        engine.parquet(f"interactions_{number}", group.parts, reread=True)
    values = {name: getattr(configuration, name) for name in TYPES}
    values |= {"attributes": list(configuration.attributes)}
    engine.view("interactions", render("interactions/stored_rows", values | {"groups": groups}))
    return any(group.key[:2] != key[:2] for group in groups)


def notes_about(configuration: WithSources, ledger: Ledger) -> Iterator[str]:
    """Yield a sentence for each way in which stored rows differ from what [source] now makes."""
    owners, settings = Owners(configuration, ledger), ledger.settings(configuration)
    yield from _about_kept(ledger)
    live = [manifest for manifest in ledger.with_rows() if manifest.ingest_id in settings]
    weights = {"event_weights": [*configuration.event_weights]} if configuration.event_weights else {}
    unlisted = [(owners.recorded_name(m), unlisted_types(settings[m.ingest_id], weights)) for m in live]
    for name, files in sorted(owners.without_owner().items()):
        if events := sum(file.counts.accepted for file in files):
            used = " and are used" if all(kinds == [] for by, kinds in unlisted if by == name) else ""
            yield f"[source] {name} is no longer configured: its {events:,} stored events stay{used}"
    for name in ("user_id_type", "item_id_type"):
        then, kind = Source.model_fields[name].default, getattr(configuration, name)
        others = [m for m in live if settings[m.ingest_id].get(name, then) != kind]
        if events := _events_of(others, ledger):
            yield (
                f"[source] {name}: the {name.partition('_')[0]} ids of {events:,} events were read as "
                f"{settings[others[0].ingest_id].get(name, then)}; as {kind}, those that have no such value "
                "are not used"
            )
    for source in configuration.sources:
        own = [m for m in live if owners.name_of(m) == source.name]
        yield from _about_attributes(source, own, settings, ledger)
    names = sorted({kind for _, kinds in unlisted for kind in kinds or ()})
    if names or any(kinds is None for _, kinds in unlisted):
        kinds = ", ".join(map(repr, names[:EXAMPLES])) if names else "of others"
        yield f"[source] event_weights lists fewer types than before: stored events ({kinds}) are not used"


def _about_attributes(
    source: Source, live: Sequence[IngestManifest], settings: Mapping[str, RowSettings], ledger: Ledger
) -> Iterator[str]:
    """Yield a sentence for each attribute of a source that some of its stored rows lack."""
    for name in source.attributes:
        lacking = [m for m in live if name not in settings[m.ingest_id].get("attributes", {})]
        if events := _events_of(lacking, ledger):
            first = next((m for m in live if m not in lacking), None)
            known = f"ingest {first.ingest_id} of {first.created_at.date()}" if first else "the next ingest"
            yield (
                f"[{source.section}] attribute {name!r} exists from {known} on: it is empty in {events:,} "
                "events ingested before; --rebuild reads it from files that are still there"
            )


def _events_of(manifests: Sequence[IngestManifest], ledger: Ledger) -> int:
    """Return the number of events of ingests, without files that were replaced."""
    replaced = ledger.replaced()
    return sum(f.counts.accepted for m in manifests for f in m.files if f.file_id not in replaced)


def _about_kept(ledger: Ledger) -> Iterator[str]:
    """Yield a sentence about the files that a rebuild could not read again."""
    kept = ledger.kept()
    files = [file for file in ledger.files() if file.file_id in kept]
    if files:
        names = ", ".join(file.address for file in files[:EXAMPLES])
        more = ", ..." if len(files) > EXAMPLES else ""
        yield (
            f"[source] {counted(len(files), 'ingested file')} could not be read again: gone (since "
            f"{min(kept.values())}: {names}{more}); the events read before stay "
            f"({sum(f.counts.accepted for f in files):,})"
        )


def _groups(configuration: Configuration, ledger: Ledger, as_of: date) -> list[Group]:
    """Return the stored rows up to a date by types and zone, those of the oldest ingest first."""
    settings = ledger.settings(configuration)
    groups: dict[tuple[str, ...], Group] = {}
    for manifest in ledger.with_rows():
        then = settings.get(manifest.ingest_id)
        group = _by_settings(then) if then else _by_schema(ledger, manifest, configuration)
        # a day of another zone may begin before the date ends
        last = as_of + timedelta(days=group.time_zone != configuration.time_zone)
        days = [day for day in sorted(manifest.parts) if day <= last.isoformat()]
        if days:
            group = groups.setdefault(group.key, group)
            group.parts += [ledger.store.root / path for day in days for path in manifest.parts[day]]
            group.attributes |= _attributes(ledger, manifest, then)
    return list(groups.values())


def _by_settings(then: RowSettings) -> Group:
    user, item, zone = (str(then.get(name, Source.model_fields[name].default)) for name in TYPES)
    return Group(user, item, zone)


def _by_schema(ledger: Ledger, manifest: IngestManifest, configuration: Configuration) -> Group:
    """Return the group of an ingest that recorded no settings, by the types in its Parquet files."""
    schema = schema_of(ledger, manifest)
    types = [
        "int64" if schema.field(f"{kind}_id").type == pa.int64() else "string" for kind in ("user", "item")
    ]
    return Group(types[0], types[1], configuration.time_zone)


def _attributes(ledger: Ledger, manifest: IngestManifest, then: RowSettings | None) -> set[str]:
    """Return the names of the attributes, or of all columns, that an ingest's rows have."""
    return {*then.get("attributes", {})} if then else {*schema_of(ledger, manifest).names}

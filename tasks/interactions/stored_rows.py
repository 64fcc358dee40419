"""Stored interactions under the present settings, whatever settings they were ingested with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from sql.engines.engine import Engine
from sql.engines.text import render
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.interactions.account import EXAMPLES
from tasks.interactions.ledger import IngestManifest, Ledger
from tasks.interactions.redelivery import schema_of
from tasks.interactions.row_settings import (
    Change,
    RowSettings,
    change_between,
    row_settings,
    unlisted_types,
)

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


def change_since(configuration: Configuration, ledger: Ledger) -> Change | None:
    """Return what changed in [source] since the last ingest, if stored rows would now be others.

    The change has no keys if the last ingest recorded no settings, and other ones.
    """
    if not ledger.manifests:
        return None
    then = ledger.settings(configuration).get(ledger.manifests[-1].ingest_id)
    if then is None:
        return Change(())
    rules = ledger.counts().rules
    unknown = rules.get("event_type_unknown", 0)
    if not configuration.source.event_weights:
        unknown += rules.get("event_type_missing", 0)
    change = change_between(then, row_settings(configuration.source), unknown)
    return change if change.keys else None


def stored_parts(configuration: Configuration, ledger: Ledger, as_of: date) -> list[Path]:
    """Return the Parquet files that may hold interactions up to the end of a date."""
    return [path for group in _groups(configuration, ledger, as_of) for path in group.parts]


def make_interactions(configuration: Configuration, ledger: Ledger, engine: Engine, as_of: date) -> bool:
    """Make the relation `interactions` of stored rows; return whether ids had to be converted.

    It has rows up to the end of `as_of`, and later ones. The ledger has rows up to `as_of`.
    """
    source, groups = configuration.source, _groups(configuration, ledger, as_of)
    key = tuple(str(getattr(source, name)) for name in TYPES)
    if len(groups) == 1 and groups[0].key == key and {*source.attributes} <= groups[0].attributes:
        engine.parquet("interactions", groups[0].parts, reread=True)
        return False
    for number, group in enumerate(groups, start=1):
        engine.parquet(f"interactions_{number}", group.parts, reread=True)
    values = {name: getattr(source, name) for name in TYPES} | {"attributes": list(source.attributes)}
    engine.view("interactions", render("interactions/stored_rows", values | {"groups": groups}))
    return any(group.key[:2] != key[:2] for group in groups)


def notes_about(configuration: Configuration, ledger: Ledger) -> Iterator[str]:
    """Yield a sentence for each way in which stored rows differ from what [source] now makes."""
    yield from _about_kept(ledger)
    settings, now = ledger.settings(configuration), row_settings(configuration.source)
    live = [manifest for manifest in ledger.with_rows() if manifest.ingest_id in settings]
    for name in ("user_id_type", "item_id_type"):
        then, kind = Source.model_fields[name].default, getattr(configuration.source, name)
        others = [m for m in live if settings[m.ingest_id].get(name, then) != kind]
        if events := _events_of(others, ledger):
            yield (
                f"[source] {name}: the {name.partition('_')[0]} ids of {events:,} events were read as "
                f"{settings[others[0].ingest_id].get(name, then)}; as {kind}, those that have no such value "
                "are not used"
            )
    for name in configuration.source.attributes:
        lacking = [m for m in live if name not in settings[m.ingest_id].get("attributes", {})]
        if events := _events_of(lacking, ledger):
            first = next((m for m in live if m not in lacking), None)
            known = f"ingest {first.ingest_id} of {first.created_at.date()}" if first else "the next ingest"
            yield (
                f"[source] attribute {name!r} exists from {known} on: it is empty in {events:,} events "
                "ingested before; --rebuild reads it from files that are still there"
            )
    unlisted = [unlisted_types(settings[manifest.ingest_id], now) for manifest in live]
    names = sorted({name for listed in unlisted for name in listed or ()})
    if names or None in unlisted:
        kinds = ", ".join(map(repr, names[:EXAMPLES])) if names else "of others"
        yield f"[source] event_weights lists fewer types than before: stored events ({kinds}) are not used"


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
            f"[source] {len(files):,} ingested files are gone and could not be read again (since "
            f"{min(kept.values())}: {names}{more}); their {sum(f.counts.accepted for f in files):,} events "
            "stay as they were read before"
        )


def _groups(configuration: Configuration, ledger: Ledger, as_of: date) -> list[Group]:
    """Return the stored rows up to a date by types and zone, those of the oldest ingest first."""
    settings = ledger.settings(configuration)
    groups: dict[tuple[str, ...], Group] = {}
    for manifest in ledger.with_rows():
        then = settings.get(manifest.ingest_id)
        group = _by_settings(then) if then else _by_schema(ledger, manifest, configuration.source)
        # a day of another zone may begin before the date ends
        last = as_of + timedelta(days=group.time_zone != configuration.source.time_zone)
        days = [day for day in sorted(manifest.parts) if day <= last.isoformat()]
        if days:
            group = groups.setdefault(group.key, group)
            group.parts += [ledger.store.root / path for day in days for path in manifest.parts[day]]
            group.attributes |= _attributes(ledger, manifest, then)
    return list(groups.values())


def _by_settings(then: RowSettings) -> Group:
    user, item, zone = (str(then.get(name, Source.model_fields[name].default)) for name in TYPES)
    return Group(user, item, zone)


def _by_schema(ledger: Ledger, manifest: IngestManifest, source: Source) -> Group:
    """Return the group of an ingest that recorded no settings, by the types in its Parquet files."""
    schema = schema_of(ledger, manifest)
    types = [
        "int64" if schema.field(f"{kind}_id").type == pa.int64() else "string" for kind in ("user", "item")
    ]
    return Group(types[0], types[1], source.time_zone)


def _attributes(ledger: Ledger, manifest: IngestManifest, then: RowSettings | None) -> set[str]:
    """Return the names of the attributes, or of all columns, that an ingest's rows have."""
    return {*then.get("attributes", {})} if then else {*schema_of(ledger, manifest).names}

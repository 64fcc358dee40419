"""The sources of logs: [source], or several [[source]] with a name each, and what holds for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, Field, field_serializer, field_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from sql.reading import Section
from sql.source import IdType, Source
from tasks.configuration.fingerprints import fingerprint_of, source_fingerprint


class WithSources(Section):
    """A configuration with one source or several, whose events are used together."""

    model_config = ConfigDict(serialize_by_alias=True)

    sources: tuple[Source, ...] = Field(alias="source")

    @property
    def user_id_type(self) -> IdType:
        """The type of user ids, which is the same in all sources."""
        return self.sources[0].user_id_type

    @property
    def item_id_type(self) -> IdType:
        """The type of item ids, which is the same in all sources."""
        return self.sources[0].item_id_type

    @property
    def time_zone(self) -> str:
        """The time zone in which days begin and end: that of the first source."""
        return self.sources[0].time_zone

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of the attributes of any source; events of other sources have none."""
        return tuple(dict.fromkeys(name for source in self.sources for name in source.attributes))

    @property
    def event_weights(self) -> dict[str, float]:
        """The strength of each event type; empty if no source lists any."""
        return {name: weight for source in self.sources for name, weight in source.event_weights.items()}

    def exclusion_rules(self) -> list[str]:
        """Return the names of all rules that exclude rows of any source."""
        return list(dict.fromkeys(rule for source in self.sources for rule in source.exclusion_rules()))

    def source_fingerprint(self) -> str:
        """Return a hash of the settings of all sources that decide events and their strength."""
        prints = [source_fingerprint(source) for source in self.sources]
        return prints[0] if len(prints) == 1 else fingerprint_of(sorted(prints))

    @field_validator("sources", mode="before")
    @classmethod
    def _as_array(cls, content: Any) -> Any:
        return (content,) if isinstance(content, Mapping | Source) else content

    @field_serializer("sources", mode="wrap")
    def _as_table(self, sources: tuple[Source, ...], handler: SerializerFunctionWrapHandler) -> Any:
        """Return an unnamed source as a table, as the file has it."""
        written = handler(sources)
        return written[0] if len(sources) == 1 and not sources[0].name else written

    @field_validator("sources")
    @classmethod
    def _agree(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        names = [source.name for source in sources]
        if not sources:
            raise ValueError("expected at least one source, got none")
        if len(sources) > 1 and "" in names:
            raise ValueError(
                f"expected a name for each of several sources, got none in source {names.index('') + 1}"
            )
        if len({*names}) < len(names):
            raise ValueError(f"expected distinct names of sources, got {', '.join(names)}")
        for key in ("user_id_type", "item_id_type"):
            kinds = {source.name: getattr(source, key) for source in sources}
            if len({*kinds.values()}) > 1:
                got = ", ".join(f"{kind} ({name})" for name, kind in kinds.items())
                raise ValueError(f"expected the same {key} in all sources, got {got}")
        _require_weights(sources)
        _require_outcomes(sources)
        return sources


def _require_weights(sources: Iterable[Source]) -> None:
    """Raise ValueError unless each event type that any source can have has one weight, or none has."""
    weights: dict[str, tuple[float, Source]] = {}
    for source in sources:
        for kind, weight in source.event_weights.items():
            known, first = weights.setdefault(kind, (weight, source))
            if known != weight:
                raise ValueError(
                    f"expected one weight of event type {kind!r}, got {known:g} in {first.name} and "
                    f"{weight:g} in {source.name}"
                )
    for source in sources if weights else ():
        listed = ", ".join(sorted(weights))
        if source.event_type is not None and source.event_type not in weights:
            raise ValueError(
                f"{source.name}: expected event_type to be one of event_weights ({listed}), "
                f"got {source.event_type!r}"
            )
        if source.event_type is None and not source.event_weights:
            given = next(iter(weights.values()))[1].name
            raise ValueError(
                f"{source.name}: expected event_weights, since {given} has them; a source whose events "
                "are all of one kind can have an event_type that is listed there"
            )


def _require_outcomes(sources: Iterable[Source]) -> None:
    """Raise ValueError if a rule's name quarantines rows of one source and excludes those of another."""
    quarantining = {rule.name: source.name for source in sources for rule in source.quarantine}
    for source in sources:
        for rule in source.exclude:
            if rule.name in quarantining:
                raise ValueError(
                    f"expected rule {rule.name!r} to quarantine rows or to exclude them in all sources, got "
                    f"a quarantine rule in {quarantining[rule.name]} and an exclude rule in {source.name}"
                )

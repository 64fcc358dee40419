"""The configuration file: read and validated, with a message for each mistake."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from models import registry
from sql.source import NAME
from tasks.configuration.file import from_folder, read_toml
from tasks.configuration.fingerprints import fingerprint_of, settings_of
from tasks.configuration.model_sections import EvaluationSection, QualitySection, TrainSection
from tasks.configuration.overrides import overridden
from tasks.configuration.sections import (
    Catalogue,
    DatasetSection,
    EngineSection,
    GateSection,
    ItemCatalogue,
    PopularSection,
    ReportSection,
    ScheduleSection,
    StoreSection,
    TopNSection,
    bytes_of,
)
from tasks.configuration.sources import WithSources
from tasks.release.tables import GLOBAL_SEGMENT
from tasks.runtime.errors import ConfigurationError
from tasks.runtime.redaction import HIDDEN, is_secret_name, note_secrets
from tasks.runtime.resources import Resources


class Configuration(WithSources):
    """The whole file."""

    store: StoreSection = StoreSection()
    engine: EngineSection = EngineSection()
    items: ItemCatalogue = ItemCatalogue()
    users: Catalogue = Catalogue()
    gate: GateSection = GateSection()
    dataset: DatasetSection = DatasetSection()
    top_n: TopNSection = TopNSection()
    popular: PopularSection = PopularSection()
    train: TrainSection = TrainSection()
    evaluation: EvaluationSection = EvaluationSection()
    report: ReportSection = ReportSection()
    schedule: ScheduleSection = ScheduleSection()
    quality: QualitySection = QualitySection()
    models: dict[str, dict[str, Any]] = Field({}, description="Settings of models, by name.")

    @model_validator(mode="before")
    @classmethod
    def _serves_without_measuring(cls, content: Any) -> Any:
        """Let the first model serve if nothing is measured and the file names none."""
        match content:
            case {"evaluation": {"enabled": False}, **rest}:
                train = rest.get("train", {})
                if isinstance(train, Mapping) and "serve" not in train:
                    models = train.get("models") or TrainSection.model_fields["models"].default
                    return {**content, "train": {**train, "serve": models[0]}}
        return content

    @model_validator(mode="after")
    def _references(self) -> Configuration:
        known = {*self.users.attributes, *self.items.attributes}
        for segment in self.popular.segments:
            if segment not in known:
                raise ValueError(f"popular.segments: unknown attribute {segment!r}; known: {_listed(known)}")
            if segment == GLOBAL_SEGMENT or segment in {*self.users.attributes} & {*self.items.attributes}:
                raise ValueError(
                    f"popular.segments: expected an attribute of either users or items, other than "
                    f"{GLOBAL_SEGMENT!r} (all users); got {segment!r}"
                )
        fallback = self.popular.fallback_segment
        if fallback is not None and fallback not in self.users.attributes:
            raise ValueError(
                f"popular.fallback_segment: expected an attribute of users, got {fallback!r}; "
                f"known: {_listed(self.users.attributes)}"
            )
        self._check_served()
        titles = filter(None, [self.items.title])
        columns_of = {
            "items": [*self.items.attributes.values(), *titles],
            "users": self.users.attributes.values(),
        }
        for kind, catalogue in (("items", self.items), ("users", self.users)):
            if catalogue.path is None:
                for column in columns_of[kind]:
                    if column not in self.attributes:
                        raise ValueError(
                            f"{kind}: expected an attribute of [source.attributes], got {column!r}; "
                            f"known: {_listed(self.attributes)}"
                        )
        return self

    def _check_served(self) -> None:
        by = self.train.serve_by_segment.by
        attributes = [("quality.segments", name) for name in self.quality.segments]
        if by != "activity":
            attributes.append(("train.serve_by_segment.by", by))
        for key, name in attributes:
            if name not in self.users.attributes:
                known = _listed(self.users.attributes)
                raise ValueError(f"{key}: expected an attribute of users, got {name!r}; known: {known}")
        if self.train.chooses and not self.evaluation.enabled:
            raise ValueError(
                'serving the "best" model needs evaluation.enabled = true, to measure models; else name the '
                "model in train.serve"
            )

    def settings_of(self, model: str) -> dict[str, Any]:
        """Return a model's settings; for a model made of others, with their settings in [models]."""
        settings, parts = self.models.get(model, {}), self.parts_of(model)
        if not parts:
            return settings
        inner = {part: self.models[part] for part in parts if part in self.models}
        return settings | {"settings": inner | settings.get("settings", {})}

    def parts_of(self, model: str) -> tuple[str, ...]:
        """Return the names of the models that a model is made of; ModelError if it is unknown."""
        return registry.parts(model, self.models.get(model, {}))

    @property
    def in_training_order(self) -> tuple[str, ...]:
        """The models of [train]; models made of others come last and use those already trained."""
        return tuple(sorted(self.train.models, key=lambda name: bool(self.parts_of(name))))

    def model_post_init(self, _context: Any, /) -> None:
        """Register secret values for redaction, in every process that has a configuration."""
        note_secrets(self.model_dump())

    @property
    def resources(self) -> Resources:
        """The memory and threads that a run may use."""
        engine = self.engine
        return Resources.of(bytes_of(engine.memory), engine.threads, bytes_of(self.top_n.memory))

    def fingerprint(self) -> str:
        """Return a hash of everything that affects the results of a night.

        [store], [report] and resources are excluded: lists do not depend on memory, threads or a
        cluster. The bounds of [quality] are excluded too, so that a refused night can be resumed
        with other bounds.
        """
        resources: dict[str, Any] = {
            "quality": set(QualitySection.model_fields) - {"metric", "k", "min_users"},
            "engine": {"memory", "threads", "batch", "spark_master", "spark_settings"},
            "top_n": {"memory"},
            **{key: {"max_expansion"} for key in ("items", "users")},
        }
        facts = self.model_dump(
            mode="json", exclude={"store": True, "report": True, "sources": True, **resources}
        )
        facts["source"] = [settings_of(source) for source in self.sources]
        if len(self.sources) == 1:
            (facts["source"],) = facts["source"]
        return fingerprint_of(facts)


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> Configuration:
    """Return the configuration in a TOML file; relative paths are relative to the file's folder.

    `overrides` replaces keys at any depth before validation; keys are written with dots, such as
    "models.als.factors".

    Raises
    ------
    ConfigurationError
        If the file is missing or is not TOML, or a key or value is invalid; all mistakes are
        listed.
    """
    content = overridden(read_toml(path), overrides or {})
    try:
        return _validated(from_folder(content, path), path)
    except RecursionError:
        raise ConfigurationError(f"{path}: expected less deeply nested lists and tables") from None


def only_models(models: Sequence[str], serve: str | None = None) -> dict[str, Any]:
    """Return overrides that limit a configuration to these models; `serve` or the first serves."""
    return {
        "train.models": list(dict.fromkeys(models)),
        "train.serve": serve if serve in models or serve == "best" else models[0],
        "train.serve_by_segment": {},
    }


def _validated(content: dict[str, Any], path: Path) -> Configuration:
    note_secrets(content)
    try:
        configuration = Configuration.model_validate(content)
    except ValidationError as error:
        lines = [_explain(detail, content) for detail in error.errors(include_url=False)]
        raise ConfigurationError(f"{path}: " + f"\n{path}: ".join(lines)) from None
    for name in configuration.models:
        try:
            registry.config(name, configuration.settings_of(name))
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from None
    return configuration


def _explain(detail: Any, content: Mapping[str, Any]) -> str:
    """Return a line about a mistake: where, what was expected, what came, what is known."""
    location = [str(part) for part in _named(detail["loc"], content)]
    if detail["type"] == "extra_forbidden":
        known = _known_keys(detail["loc"][:-1])
        near = difflib.get_close_matches(location[-1][:100], known, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        where = f" in [{'.'.join(location[:-1])}]" if location[:-1] else ""
        return f"unknown key {location[-1]!r}{where}{hint}; known: {_listed(known)}"
    where = ".".join(location)
    if detail["type"] == "missing":
        return f"{where} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{where}: {message}" if where else message
    value = HIDDEN if any(map(is_secret_name, location)) else f"{detail['input']!r:.200}"
    return f"{where}: {message[0].lower()}{message[1:]}, got {value}"


def _named(location: tuple[Any, ...], content: Mapping[str, Any]) -> list[Any]:
    """Return where a mistake is, with the name of a source for its number, or else `source 2`."""
    match location:
        case ("source", int(number), *inner):
            tables = content["source"]
            if isinstance(tables, Mapping):
                return ["source", *inner]
            names = [table.get("name") if isinstance(table, Mapping) else None for table in tables]
            name = names[number]
            known = isinstance(name, str) and NAME.fullmatch(name) and names.count(name) == 1
            return ["source", name, *inner] if known else [f"source {number + 1}", *inner]
    return list(location)


def _known_keys(location: Sequence[Any]) -> list[str]:
    model: type[BaseModel] = Configuration
    for part in location:
        field = fields_of(model).get(part)
        if field is None:
            continue
        candidates = [field.annotation, *get_args(field.annotation)]
        sections = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        model = sections[0] if sections else model
    return list(fields_of(model))


def fields_of(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a section by their keys in the file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "none"

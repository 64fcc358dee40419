"""The one configuration file: read, validated, and explained where it is wrong."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from models import registry
from sql.source import Section, Source
from tasks.configuration.file import DEFAULT_STORE, anchored, from_environment, read_toml
from tasks.configuration.overrides import overridden
from tasks.configuration.sections import (
    Catalogue,
    DatasetSection,
    EngineSection,
    EvaluationSection,
    GateSection,
    PopularSection,
    QualitySection,
    ReportSection,
    StoreSection,
    TopNSection,
    TrainSection,
)
from tasks.release.tables import GLOBAL_SEGMENT
from tasks.runtime.errors import ConfigurationError
from tasks.runtime.redaction import HIDDEN, is_secret_name, note_secrets


class Configuration(Section):
    """The whole file."""

    store: StoreSection = StoreSection()
    engine: EngineSection = EngineSection()
    source: Source
    items: Catalogue = Catalogue()
    users: Catalogue = Catalogue()
    gate: GateSection = GateSection()
    dataset: DatasetSection = DatasetSection()
    top_n: TopNSection = TopNSection()
    popular: PopularSection = PopularSection()
    train: TrainSection = TrainSection()
    evaluation: EvaluationSection = EvaluationSection()
    report: ReportSection = ReportSection()
    quality: QualitySection = QualitySection()
    models: dict[str, dict[str, Any]] = Field({}, description="Settings of models, by name.")

    @model_validator(mode="after")
    def _references(self) -> Configuration:
        known = {*self.users.attributes, *self.items.attributes}
        for segment in self.popular.segments:
            if segment not in known:
                raise ValueError(f"popular.segments: unknown attribute {segment!r}; known: {_listed(known)}")
            if segment == GLOBAL_SEGMENT or segment in {*self.users.attributes} & {*self.items.attributes}:
                raise ValueError(
                    f"popular.segments: expected a name of one attribute, of users or of items, other than "
                    f"{GLOBAL_SEGMENT!r} (everybody); got {segment!r}"
                )
        fallback = self.popular.fallback_segment
        if fallback is not None and fallback not in self.users.attributes:
            raise ValueError(
                f"popular.fallback_segment: expected an attribute of users, got {fallback!r}; "
                f"known: {_listed(self.users.attributes)}"
            )
        self._check_served()
        for kind, catalogue in (("items", self.items), ("users", self.users)):
            if catalogue.path is None:
                for column in (*catalogue.attributes.values(), *filter(None, [catalogue.title])):
                    if column not in self.source.attributes:
                        raise ValueError(
                            f"{kind}: expected an attribute of [source.attributes], got {column!r}; "
                            f"known: {_listed(self.source.attributes)}"
                        )
        return self

    def _check_served(self) -> None:
        by = self.train.serve_by_segment.by
        wanted = [("quality.segments", name) for name in self.quality.segments]
        if by != "activity":
            wanted.append(("train.serve_by_segment.by", by))
        for key, name in wanted:
            if name not in self.users.attributes:
                known = _listed(self.users.attributes)
                raise ValueError(f"{key}: expected an attribute of users, got {name!r}; known: {known}")
        if self.train.chooses and not self.evaluation.enabled:
            raise ValueError('to serve the "best" model needs evaluation.enabled = true, to measure them')

    def settings_of(self, model: str) -> dict[str, Any]:
        """Return a model's settings; for one that is made of others, with those of [models] for each."""
        own, parts = self.models.get(model, {}), self.parts_of(model)
        if not parts:
            return own
        inner = {part: self.models[part] for part in parts if part in self.models}
        return own | {"settings": inner | own.get("settings", {})}

    def parts_of(self, model: str) -> tuple[str, ...]:
        """Return the names of the models that a model is made of; ModelError where it is not known."""
        return registry.parts(model, self.models.get(model, {}))

    @property
    def in_training_order(self) -> tuple[str, ...]:
        """The models of [train]; those that are made of others come last, and take these as they are."""
        return tuple(sorted(self.train.models, key=lambda name: bool(self.parts_of(name))))

    def model_post_init(self, _context: Any, /) -> None:
        """Remember which values are secret, in every process that has a configuration."""
        note_secrets(self.model_dump())

    def fingerprint(self) -> str:
        """Return a hash of everything that decides what a night makes.

        [store] and [report] are not part of it, nor are the resources: lists do not depend on memory, threads
        or a cluster.
        Nor are the bounds of [quality], so that a refused night can be resumed with others.
        """
        resources: dict[str, Any] = {
            "quality": set(QualitySection.model_fields) - {"metric", "k", "min_users"},
            "engine": {"memory", "threads", "batch", "spark_master", "spark_settings"},
            "top_n": {"memory"},
            **{key: {"max_expansion"} for key in ("source", "items", "users")},
        }
        facts = self.model_dump(mode="json", exclude={"store": True, "report": True, **resources})
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def source_fingerprint(self) -> str:
        """Return a hash of what decides which rows are accepted, and how; the path is not part of it."""
        facts = self.source.model_dump(mode="json", exclude={"path", "max_expansion"})
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> Configuration:
    """Return the configuration in a TOML file; relative paths in it are relative to its folder.

    `overrides` replaces keys at any depth, given with dots ("models.als.factors"), before anything is
    validated.

    Raises
    ------
    ConfigurationError
        If the file is missing or no TOML, or a key or value is not as expected: all mistakes are listed.
    """
    content = overridden(read_toml(path), overrides or {})
    try:
        return _validated(_from_folder(content, path), path)
    except RecursionError:
        raise ConfigurationError(
            f"{path}: expected no lists within lists within lists, got too many"
        ) from None


def only_models(models: Sequence[str], serve: str | None = None) -> dict[str, Any]:
    """Return the overrides of a configuration that has these models alone; the first serves, or `serve`."""
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
        lines = [_explain(detail) for detail in error.errors(include_url=False)]
        raise ConfigurationError(f"{path}: " + f"\n{path}: ".join(lines)) from None
    for name in configuration.models:
        try:
            registry.config(name, configuration.settings_of(name))
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from None
    return configuration


def _explain(detail: Any) -> str:
    """Return one line for one mistake: where, expected, got, known."""
    place = [str(part) for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        known = _known_keys(place[:-1])
        near = difflib.get_close_matches(place[-1][:100], known, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        where = f" in [{'.'.join(place[:-1])}]" if place[:-1] else ""
        return f"unknown key {place[-1]!r}{where}{hint}; known: {_listed(known)}"
    where = ".".join(place)
    if detail["type"] == "missing":
        return f"{where} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{where}: {message}" if where else message
    given = HIDDEN if any(map(is_secret_name, place)) else f"{detail['input']!r:.200}"
    return f"{where}: {message[0].lower()}{message[1:]}, got {given}"


def _known_keys(place: list[str]) -> list[str]:
    model: type[BaseModel] = Configuration
    for part in place:
        field = model.model_fields.get(part)
        if field is None:
            continue
        candidates = [field.annotation, *get_args(field.annotation)]
        found = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        model = found[0] if found else model
    return list(model.model_fields)


def _listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "none"


def _from_folder(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the content of a file with its relative paths made absolute, from the file's folder."""
    folder = path.resolve().parent

    def from_there(one: Any, where: str) -> Any:
        if isinstance(one, list):
            return [from_there(part, where) for part in one]
        return anchored(one, folder, where) if isinstance(one, str) else one

    content = from_environment(content)
    for section in ("source", "items", "users", "store"):
        if isinstance(content.get(section), dict) and "path" in content[section]:
            place = from_there(content[section]["path"], f"{path}: {section}.path")
            content[section] = content[section] | {"path": place}
    content.setdefault("store", {})
    if isinstance(content["store"], dict):
        content["store"].setdefault("path", str(folder / DEFAULT_STORE))
    return content

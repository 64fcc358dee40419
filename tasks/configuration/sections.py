"""The sections of the configuration, a class each, with their keys, defaults and limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from models import registry
from models.activity import ACTIVITY
from models.evaluation.names import MetricName
from models.options import Device
from sql.source import NAME, Reading, Section
from tasks.configuration.file import DEFAULT_STORE

SIZES = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
EngineName = Literal["duckdb", "spark"]
LEAST_MEMORY: dict[EngineName, str] = {"duckdb": "256MiB", "spark": "1GiB"}
"""The least memory with which an engine can keep to its budget."""


def bytes_of(size: str) -> int:
    """Return the bytes of a size such as 512MiB; ValueError if it is malformed."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(MiB|GiB|TiB)", size)
    if match is None or float(match.group(1)) == 0:
        raise ValueError(f"expected a size such as 512MiB or 4GiB, got {size!r:.100}")
    return int(float(match.group(1)) * SIZES[match.group(2)])


class StoreSection(Section):
    """[store]: where data is kept, and for how long."""

    path: Path = Field(Path(DEFAULT_STORE), description="The store's folder; relative to this file.")
    keep_releases: int = Field(
        7, ge=2, description="Releases kept; the current and the previous one always are."
    )
    reader_minutes: float = Field(
        60,
        ge=0,
        description="How long a formerly current release is kept, since readers may still use it.",
    )
    keep_runs: int = Field(3, ge=1, description="Working folders of runs kept, to resume or inspect them.")
    expires_after_hours: float = Field(48, gt=0, description="After this, `status` calls a release stale.")


class EngineSection(Section):
    """[engine]: the SQL engine, and the resources of the whole run."""

    name: EngineName = Field("duckdb", description="duckdb (embedded) or spark.")
    memory: str = Field("4GiB", description="Memory budget of a run, for example 512MiB or 4GiB.")
    threads: int = Field(0, ge=0, le=1024, description="Worker threads; 0 uses all cores.")
    batch: str = Field("1GiB", description="Raw logs ingested at a time; bounds the scratch space.")
    spark_master: str = Field("local", description="Spark's master; local runs it in this process.")
    spark_settings: dict[str, str] = Field({}, description="Further Spark properties.")

    @field_validator("memory", "batch")
    @classmethod
    def _size(cls, value: str) -> str:
        bytes_of(value)
        return value

    @model_validator(mode="after")
    def _enough(self) -> EngineSection:
        least = LEAST_MEMORY[self.name]
        if bytes_of(self.memory) < bytes_of(least):
            raise ValueError(f"memory: expected at least {least} for {self.name}, got {self.memory}")
        return self


class Catalogue(Reading):
    """Titles and attributes, from a file or from the events themselves."""

    path: str | None = Field(
        None, description="The catalogue's file; without it, attributes come from events."
    )
    id: str | None = Field(None, description="Column of the file with the id.")
    title: str | None = Field(None, description="Column (or event attribute) with the item's title.")
    available: str | None = Field(
        None, description="Column that is false for items that must not be recommended."
    )
    attributes: dict[str, str] = Field({}, description="Attributes: name -> column (or event attribute).")
    separator: str | None = Field(
        None, description="Separator of several values in one attribute, such as |."
    )

    @model_validator(mode="after")
    def _complete(self) -> Catalogue:
        for name in self.attributes:
            if not NAME.fullmatch(name):
                raise ValueError(f"attribute {name!r}: expected a name of a-z, 0-9 and _")
        if self.path is not None and self.id is None:
            raise ValueError("path needs id = the column with the id")
        if self.path is None and (self.available is not None or self.id is not None):
            raise ValueError("id and available need path = the catalogue's file")
        return self


class GateSection(Section):
    """[gate]: conditions on the interactions before anything is trained."""

    min_events: int = Field(1, ge=1, description="Least number of events up to as_of.")
    min_users: int = Field(2, ge=1, description="Least number of users.")
    min_items: int = Field(2, ge=1, description="Least number of items.")
    max_quarantined_share: float = Field(0.2, ge=0, le=1, description="Largest share of quarantined rows.")
    max_duplicate_share: float = Field(0.5, ge=0, le=1, description="Largest share of exact duplicates.")
    max_null_share: dict[str, float] = Field({}, description="Largest share of nulls, by column.")
    min_value: float | None = Field(None, description="Smallest value (rating).")
    max_value: float | None = Field(None, description="Largest value (rating).")
    require_events_on_as_of: bool = Field(True, description="Whether there must be events on as_of itself.")
    volume_days: int = Field(
        7, ge=1, description="Earlier days whose median volume the date is compared with."
    )
    min_volume_ratio: float = Field(
        0.05, ge=0, description="Least ratio of the date's volume to that median."
    )
    max_volume_ratio: float = Field(
        20.0, gt=0, description="Largest ratio of the date's volume to that median."
    )


class DatasetSection(Section):
    """[dataset]: how interactions become confidence weights."""

    positive: str | None = Field(None, description="Predicate for events that count, such as value >= 4.")
    alpha: float = Field(1.0, gt=0, description="The weight is 1 + alpha * ln(1 + strength).")
    half_life_days: float | None = Field(None, gt=0, description="Age at which an event counts half.")
    min_user_items: int = Field(1, ge=1, description="Users with fewer distinct items are not trained on.")
    min_item_users: int = Field(1, ge=1, description="Items with fewer distinct users are not trained on.")
    max_user_events: int = Field(
        100_000,
        ge=1,
        description="Users with more events count as bots: excluded from training and popularity.",
    )
    history_days: int | None = Field(None, ge=1, description="Only events of the last N days are used.")


class TopNSection(Section):
    """[top_n]: the lists of recommendations and similar items."""

    n: int = Field(20, ge=1, le=10_000, description="Recommendations for every user.")
    similar: int = Field(20, ge=1, le=10_000, description="Similar items for every item.")
    repeats: bool = Field(False, description="Whether items of the user's history can be recommended.")
    shortage: Literal["repeat", "fail"] = Field(
        "repeat",
        description="For users with too few unseen items: repeat seen items (marked in source), or fail.",
    )
    blocked_items: tuple[str | int, ...] = Field((), description="Items that are never recommended.")
    memory: str = Field(
        "1GiB", description="Memory for blocks of scores and lists; at most a quarter of engine.memory."
    )

    @field_validator("memory")
    @classmethod
    def _size(cls, value: str) -> str:
        bytes_of(value)
        return value


class PopularSection(Section):
    """[popular]: the popularity tables and the fallback ladder."""

    n: int = Field(100, ge=1, le=10_000, description="Items in each list.")
    windows: tuple[int, ...] = Field((1, 7, 30, 0), description="Windows in days; 0 is all time.")
    segments: tuple[str, ...] = Field((), description="Attributes of users or items that get separate lists.")
    fallback_window: int = Field(
        30, ge=0, description="The window that fills lists which the model leaves short."
    )
    fallback_segment: str | None = Field(
        None, description="User attribute whose list is tried before the global list."
    )

    @model_validator(mode="after")
    def _windows(self) -> PopularSection:
        if not self.windows or min(self.windows) < 0 or len(set(self.windows)) != len(self.windows):
            raise ValueError(
                f"windows: expected different numbers of days, 0 for all time, got {self.windows}"
            )
        if self.fallback_window not in self.windows:
            raise ValueError(
                f"fallback_window: expected one of windows {self.windows}, got {self.fallback_window}"
            )
        if self.fallback_segment is not None and self.fallback_segment not in self.segments:
            raise ValueError(f"fallback_segment: expected one of segments, got {self.fallback_segment!r}")
        return self


class ServeBySegmentSection(Section):
    """[train.serve_by_segment]: segments of users with a model other than [train] serve."""

    by: str = Field("activity", description="An attribute of users, or activity (new, light or heavy).")
    models: dict[str, str] = Field(
        {},
        description='The model for each value, such as new = "popularity", or best; other values get serve.',
    )

    @model_validator(mode="after")
    def _known(self) -> ServeBySegmentSection:
        unknown = sorted(self.models.keys() - set(ACTIVITY))
        if self.by == "activity" and unknown:
            raise ValueError(f"models: expected new, light or heavy by activity, got {unknown[0]!r}")
        return self


class TrainSection(Section):
    """[train]: which models are trained, which of them serves, and where they run."""

    models: tuple[str, ...] = Field(
        ("als", "mult_vae", "item_knn", "popularity"), min_length=1, description="The models of a night."
    )
    serve: str = Field(
        "als",
        description="The model whose lists are published; best: the previous night's, unless another is "
        "significantly better by [quality] metric.",
    )
    serve_by_segment: ServeBySegmentSection = ServeBySegmentSection()
    refit: Literal["served", "all"] = Field(
        "served", description="Models trained on everything, after all were measured on the holdout."
    )
    device: Device = Field("auto", description="Where models train; if CUDA is requested and fails, the CPU.")
    seed: int = Field(7, ge=0, lt=2**32, description="Seed of all random numbers.")
    on_failure: Literal["stop", "continue"] = Field(
        "stop",
        description="Whether a night goes on without a model that failed; never without the served model.",
    )
    deployment: str | None = Field(
        None,
        description="The deployment that trains in nights run by Prefect: train-models/train-models.",
    )

    @field_validator("deployment")
    @classmethod
    def _names_both(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^/\s]+/[^/]*[^/\s]", value):
            raise ValueError(
                f"expected the names of a flow and its deployment, as flow/deployment, got {value!r}"
            )
        return value

    @property
    def chooses(self) -> bool:
        """Whether a night chooses the served model by measuring, for all users or a segment."""
        return "best" in (self.serve, *self.serve_by_segment.models.values())

    @model_validator(mode="after")
    def _known(self) -> TrainSection:
        served = tuple(name for name in (self.serve,) if name != "best")
        segments = tuple(name for name in self.serve_by_segment.models.values() if name != "best")
        for name in (*self.models, *served, *segments):
            if not registry.is_known(name):
                known = ", ".join(registry.known())
                raise ValueError(f"unknown model {name!r}; known: {known}")
        for where, names in (("serve", served), ("serve_by_segment", segments)):
            for name in names:
                if name not in self.models:
                    raise ValueError(f"{where}: expected one of models {self.models}, got {name!r}")
        return self


class EvaluationSection(Section):
    """[evaluation]: how a night's models are measured on events they have not seen."""

    enabled: bool = Field(
        True, description="Whether models are measured, which trains them once more without the holdout."
    )
    holdout_share: float = Field(0.2, gt=0, lt=1, description="Share of the events held out: the last ones.")
    max_users: int = Field(10_000, ge=1, description="Largest number of users measured; a seeded sample.")
    ks: tuple[int, ...] = Field((10, 20), min_length=1, description="Lengths of list to measure.")


class ReportSection(Section):
    """[report]: the report about each run."""

    enabled: bool = Field(True, description="Whether a run writes a report, an HTML page.")
    sample_users: int = Field(
        3,
        ge=0,
        le=50,
        description="Users shown with id, history and list; 0 keeps all users out of the report and Prefect.",
    )


class QualitySection(Section):
    """[quality]: conditions on a night's lists and models before readers get them."""

    enabled: bool = Field(True, description="Whether a night that is worse than the last release is refused.")
    metric: MetricName = Field("ndcg", description="The metric that compares models on the holdout.")
    k: int = Field(10, ge=1, description="Length of list to compare; top_n.n if that is shorter.")
    min_users: int = Field(
        30, ge=2, description="Least number of users to compare; with fewer, the check passes."
    )
    max_loss: float = Field(
        0.1, ge=0, le=1, description="A night is refused if its loss of accuracy surely exceeds this share."
    )
    min_coverage: float = Field(0, ge=0, le=1, description="Least share of the catalogue in the lists.")
    max_gini: float = Field(
        1, ge=0, le=1, description="Largest Gini of items over lists: 0 is even, 1 is a single item."
    )
    max_head_share: float = Field(
        1, ge=0, le=1, description="Largest share of rows with items of the most popular fifth."
    )
    min_novelty: float = Field(0, ge=0, description="Least mean self-information of listed items, in bits.")
    min_coverage_ratio: float = Field(0.5, ge=0, description="Least ratio of coverage to the last release's.")
    min_evenness_ratio: float = Field(0.5, ge=0, description="Least ratio of 1 - Gini to the last release's.")
    max_head_share_rise: float = Field(
        0.2, ge=0, description="Largest rise of the share that max_head_share limits."
    )
    min_novelty_ratio: float = Field(0.8, ge=0, description="Least ratio of novelty to the last release's.")
    rbo_p: float = Field(0.9, gt=0, lt=1, description="Persistence p of rank-biased overlap.")
    min_rbo: float = Field(
        0.1, ge=0, le=1, description="Least mean overlap with the last release, for each segment of users."
    )
    segments: tuple[str, ...] = Field(
        (), description="User attributes whose overlap is checked by value, besides new, light and heavy."
    )
    mostly: float = Field(
        0.8, ge=0, le=1, description="A list with a larger share of new items counts as mostly changed."
    )
    max_mostly_changed: float = Field(
        0.8, ge=0, le=1, description="Largest share of users whose list is mostly changed."
    )
    max_entirely_changed: float = Field(
        0.5, ge=0, le=1, description="Largest share of users whose list has no item of the last one."
    )

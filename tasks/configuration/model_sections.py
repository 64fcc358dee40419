"""The sections of the configuration about models: which are trained, how measured, when good enough."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from models import registry
from models.evaluation.activity import ACTIVITY
from models.evaluation.names import MetricName
from models.options import Device
from sql.reading import Section


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
        ("als", "ease", "mult_vae", "item_knn", "blend", "recent_popularity", "popularity"),
        min_length=1,
        description="The models of a night.",
    )
    serve: str = Field(
        "best",
        description="The model whose lists are published; best: one that is significantly better than "
        "popularity by [quality] metric, if any: the previous night's, unless another is better still. "
        "If nothing is measured, the default is the first of models.",
    )
    serve_by_segment: ServeBySegmentSection = ServeBySegmentSection()
    refit: Literal["served", "all"] = Field(
        "served", description="Models trained on everything, after all were measured on the holdout."
    )
    minutes: float = Field(
        60,
        gt=0,
        description="Expected minutes that all trainings of a night may take, on a nominal machine of two "
        "cores. Models that do not fit get fewer epochs or are left out, with a warning.",
    )
    challengers: Annotated[int, Field(ge=0, le=20)] | Literal["auto"] = Field(
        "auto",
        description="Settings tried each night beside those of the model that serves, for its settings that "
        "this file does not name; auto: 4, or as many as are left time for in minutes; 0: none, and "
        "nothing that was learned counts.",
    )
    device: Device = Field("auto", description="Where models train; if CUDA is requested and fails, the CPU.")
    seed: int = Field(7, ge=0, lt=2**32, description="Seed of all random numbers.")
    on_failure: Literal["stop", "continue"] = Field(
        "continue",
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
    max_top_item_share: float = Field(
        0.99, ge=0, le=1, description="Largest share of personal lists with the item that is in most of them."
    )
    max_identical_share: float = Field(
        0.5, ge=0, le=1, description="Largest share of personal lists with the same items."
    )
    max_constant_share: float = Field(
        0.5, ge=0, le=1, description="Largest share of personal lists whose items all have the same score."
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

"""The names of evaluations are in a module of their own; each has its implementation."""

from __future__ import annotations

from typing import get_args

from models import registry
from models.abilities import PredictsRatings
from models.evaluation.metrics import METRICS
from tasks.evaluation.names import (
    ERROR_NAMES,
    METRIC_NAMES,
    RATING_REFERENCES,
    REFERENCES,
    FigureName,
    ProtocolName,
)
from tasks.evaluation.protocols import PUBLISHED_METRICS


def test_every_name_has_an_implementation() -> None:
    assert sorted(METRIC_NAMES) == sorted(METRICS)
    assert set(REFERENCES) < set(registry.known())
    assert set(get_args(ProtocolName)) == PUBLISHED_METRICS.keys()
    assert set(get_args(FigureName)) == {*METRIC_NAMES, *ERROR_NAMES}


def test_the_references_of_ratings_predict_them() -> None:
    assert all(issubclass(registry.model_class(name), PredictsRatings) for name in RATING_REFERENCES)

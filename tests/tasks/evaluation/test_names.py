"""The names of evaluations, which are written apart from what they name: each names something."""

from __future__ import annotations

from typing import get_args

from models import registry
from models.evaluation.metrics import METRICS
from tasks.evaluation.names import METRIC_NAMES, REFERENCES, ProtocolName
from tasks.evaluation.protocols import READ


def test_every_name_names_something() -> None:
    assert sorted(METRIC_NAMES) == sorted(METRICS)
    assert set(REFERENCES) < set(registry.known())
    assert set(get_args(ProtocolName)) == READ.keys()

"""The names of reference models, splits, protocols and metrics, in a module quick to import."""

from __future__ import annotations

from typing import Final, Literal, get_args

from models.evaluation.names import METRIC_NAMES, MetricName

__all__ = ["METRIC_NAMES", "REFERENCES", "SPLITS", "MetricName", "ProtocolName", "SplitName"]

REFERENCES: Final = ("random", "popularity", "recent_popularity", "item_knn")
"""The models that every model is compared with, the weakest first."""
SplitName = Literal["temporal", "leave-last-out", "held-out-users", "rolling", "random"]
SPLITS: Final[tuple[SplitName, ...]] = get_args(SplitName)
ProtocolName = Literal["ncf", "vae", "time"]

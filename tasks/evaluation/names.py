"""The names of reference models, splits, protocols and metrics, in a module quick to import."""

from __future__ import annotations

from typing import Final, Literal, get_args

from models.evaluation.names import ERROR_NAMES, METRIC_NAMES, FigureName, MetricName

__all__ = [
    "ERROR_NAMES",
    "METRIC_NAMES",
    "RATING_REFERENCES",
    "REFERENCES",
    "SPLITS",
    "FigureName",
    "MetricName",
    "ProtocolName",
    "SplitName",
]

REFERENCES: Final = ("random", "popularity", "recent_popularity", "item_knn")
"""The models that every model is compared with, the weakest first."""
RATING_REFERENCES: Final = ("global_effects",)
"""The models that every model of ratings is compared with."""
SplitName = Literal["temporal", "leave-last-out", "held-out-users", "rolling", "random"]
SPLITS: Final[tuple[SplitName, ...]] = get_args(SplitName)
ProtocolName = Literal["ncf", "vae", "time", "ratings", "ratings-time"]

"""The names of the metrics, apart from the code that computes them: quick to import."""

from __future__ import annotations

from typing import Final, Literal, get_args

MetricName = Literal["ndcg", "recall", "recall_min", "hit_rate", "precision", "map", "mrr"]
"""The metrics of a user's list, in the order of the tables."""
METRIC_NAMES: Final[tuple[MetricName, ...]] = get_args(MetricName)

"""The names of the metrics, without what computes them: quick to import."""

from __future__ import annotations

from typing import Final, Literal, get_args

MetricName = Literal["ndcg", "recall", "recall_min", "hit_rate", "precision", "map", "mrr"]
"""The metrics of one user's list, in the order in which tables show them."""
METRIC_NAMES: Final[tuple[MetricName, ...]] = get_args(MetricName)

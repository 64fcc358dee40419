"""The names of the metrics, apart from the code that computes them: quick to import."""

from __future__ import annotations

from typing import Final, Literal, get_args

MetricName = Literal["ndcg", "recall", "recall_min", "hit_rate", "precision", "map", "mrr"]
"""The metrics of a user's list, in the order of the tables."""
METRIC_NAMES: Final[tuple[MetricName, ...]] = get_args(MetricName)
ErrorName = Literal["rmse", "mse", "mae"]
"""The errors of predicted ratings, of all users together, in the order of the tables: less is better."""
ERROR_NAMES: Final[tuple[ErrorName, ...]] = get_args(ErrorName)
FigureName = Literal[MetricName, ErrorName]
"""What a search can go by."""

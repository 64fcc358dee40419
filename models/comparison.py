"""Models measured on interactions, split in time, beside popularity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from models import registry
from models.dataset import Dataset
from models.errors import ModelError
from models.estimator import Estimator, create
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.measured import Figure
from models.evaluation.protocols import measure
from models.interactions import Interactions
from models.options import TrainingOptions
from models.splitting.split import Split, in_order, split_last

BASELINE: Final = "popularity"
SCHEMA: Final = pa.schema(
    {
        "model": pa.string(),
        "metric": pa.string(),
        "k": pa.int32(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "users": pa.int64(),
    }
)
Models = Sequence[str | Estimator] | Mapping[str, str | Estimator]


def evaluate(
    data: Interactions,
    models: Models,
    k: int | Sequence[int] = 10,
    *,
    share: float = 0.2,
    options: TrainingOptions | None = None,
) -> Any:
    """Train models on the past, ask for what came after, and return a frame of metrics with intervals.

    The test is the last ``share`` of the events, from one moment on for everybody; each model is trained
    anew on those before. Measured are the users known from before, by the items known from before that were
    new to them; items of the past are not recommended. ``models`` are names or models made by ``create``, or
    a mapping from what the frame is to call them. Popularity is always measured beside them.

    The frame has the columns model, metric, k, value (the mean over the users), low and high (its 95 %
    interval by resampling users; null for figures of all lists together) and users.

    Raises
    ------
    ModelError
        When the data have no times, all events are of one moment, or a model is unknown or given twice.

    Examples
    --------
    >>> import nightshelf as ns
    >>> events = {"user": [1, 1, 2, 2, 2, 3, 4, 5, 1], "item": list("ababcdddc"), "time": range(9)}
    >>> data = ns.Interactions.of(events, unit="s")
    >>> figures = ns.evaluate(data, ["item_knn"], k=1, share=0.1).to_pylist()
    >>> [(row["model"], row["value"]) for row in figures if row["metric"] == "recall"]
    [('item_knn', 1.0), ('popularity', 0.0)]
    """
    estimators, ks = _named(models), _cuts(k)
    past, split = _split(data, share)
    dataset = past.dataset
    rows: list[dict[str, Any]] = []
    for label, estimator in estimators.items():
        figures = _measured(estimator, dataset, split, ks, options or TrainingOptions())
        rows += [{"model": label, **asdict(figure)} for figure in figures]
    return data.frame(pa.Table.from_pylist(rows, SCHEMA))


def _measured(
    estimator: Estimator, past: Dataset, split: Split, ks: list[int], options: TrainingOptions
) -> list[Figure]:
    """Train a model on the past and return its figures on the test of the split."""
    users = split.warm_users
    if not len(users):
        raise ModelError(f"expected users with a history and known items to find, got none: {split.counts}")
    measured = measure(
        partial(registry.create, estimator.name, estimator.config),
        past,
        past.histories.rows(users),
        split.warm[users],
        users=users,
        counts=split.counts,
        ks=ks,
        options=options,
    )
    return measured.table(Bootstrap(threads=options.threads))


def _split(data: Interactions, share: float) -> tuple[Interactions, Split]:
    """Return the events of the past, and the split of the events that have a strength."""
    if data.weights is not None:
        data = data.kept(data.weights > 0)
    if data.timestamps is None:
        raise ModelError("expected interactions with times, to split the past from what came after, got none")
    n_users, n_items = data.shape
    sequences, order = in_order(data.users, data.items, data.timestamps, n_users, data.positions)
    split = split_last(sequences, n_items, share)
    trained = np.empty(len(order), dtype=np.bool_)
    trained[order] = split.train
    return data.kept(trained), split


def _named(models: Models) -> dict[str, Estimator]:
    """Return models by what they are to be called, with the baseline."""
    pairs: list[tuple[str, str | Estimator]]
    if isinstance(models, Mapping):
        pairs = list(models.items())
    else:
        listed = [models] if isinstance(models, str | Estimator) else list(models)
        pairs = [(model.name if isinstance(model, Estimator) else model, model) for model in listed]
    estimators: dict[str, Estimator] = {}
    for label, model in pairs:
        if label in estimators:
            raise ModelError(f"expected different models, got {label!r} twice; a mapping gives each a name")
        estimators[label] = model if isinstance(model, Estimator) else create(model)
    if not any(estimator.name == BASELINE for estimator in estimators.values()):
        if BASELINE in estimators:
            raise ModelError(f"expected popularity by the name {BASELINE!r}, got {estimators[BASELINE]!r}")
        estimators[BASELINE] = create(BASELINE)
    return estimators


def _cuts(k: int | Sequence[int]) -> list[int]:
    cuts = list(k) if isinstance(k, Sequence) else [k]
    if not cuts or not all(isinstance(cut, int) and cut > 0 for cut in cuts):
        raise ModelError(f"expected k as a whole number of 1 or more, or several, got {k!r:.100}")
    return cuts

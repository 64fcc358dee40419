"""Evaluation of models on interactions split in time, with popularity as the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from numbers import Integral, Real
from typing import Any, Final

import numpy as np
import pyarrow as pa

from models import registry
from models.dataset import Dataset
from models.errors import ModelError, NoListsError
from models.estimator import Estimator, create
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.measured import Figure
from models.evaluation.protocols import measure
from models.interactions import Interactions, checked_interactions
from models.options import TrainingOptions, checked_options
from models.splitting.split import Split, last_share_start, split_between, to_sequences

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
Models = str | Estimator | Iterable[str | Estimator] | Mapping[str, str | Estimator]


def evaluate(
    data: Interactions,
    models: Models,
    k: int | Iterable[int] = 10,
    *,
    share: float = 0.2,
    options: TrainingOptions | None = None,
) -> Any:
    """Train models on past events, test them on later ones, and return a frame of metrics.

    The test is the last ``share`` of the events, with the same start for all users; each model is
    trained on the events before. Users and items without training events are not measured, nor are
    items a user had before, which are not recommended. ``models`` are names, models made by
    ``create``, or a mapping from labels to either. Popularity is always included as the baseline.

    The frame has the columns model, metric, k, value (the mean over the users), low and high (its
    95 % interval by resampling users; null for figures over all lists) and users. ``k`` is at most
    the number of items. A model that recommends nothing has coverage 0 and otherwise nulls.

    Raises
    ------
    ModelError
        When the data have no times, all events have the same time, a model is unknown or repeated,
        or an argument has another type.

    Examples
    --------
    >>> import nightshelf as ns
    >>> events = {"user": [1, 1, 2, 2, 2, 3, 4, 5, 1], "item": list("ababcdddc"), "time": range(9)}
    >>> data = ns.Interactions.of(events, unit="s")
    >>> figures = ns.evaluate(data, ["item_knn"], k=1, share=0.1).to_pylist()
    >>> [(row["model"], row["value"]) for row in figures if row["metric"] == "recall"]
    [('item_knn', 1.0), ('popularity', 0.0)]
    """
    options, data = checked_options(options), checked_interactions(data)
    estimators, ks = _labelled(models), _cuts(k, data.shape[1])
    past, split = _split(data, share)
    dataset = past.dataset
    figures: dict[str, list[Figure] | None] = {}
    for label, estimator in estimators.items():
        try:
            figures[label] = _measure(estimator, dataset, split, ks, options)
        except NoListsError:
            figures[label] = None
    return data.frame(pa.Table.from_pylist(_rows(figures), SCHEMA))


def _rows(figures: Mapping[str, list[Figure] | None]) -> list[dict[str, Any]]:
    """Return the rows of the frame, given each model's figures (None for a model without lists)."""
    measured = next((rows for rows in figures.values() if rows is not None), None)
    if measured is None:
        raise ModelError("expected a list with an item by at least one model, got none: change share")
    return [
        {"model": label, **row}
        for label, model in figures.items()
        for row in (_without_lists(measured) if model is None else map(asdict, model))
    ]


def _without_lists(measured: list[Figure]) -> list[dict[str, Any]]:
    """Return the figures of a model that recommends nothing, in the form of another model's."""
    empty = {"value": None, "low": None, "high": None}
    return [
        {**asdict(figure), **empty, **({"value": 0.0} if figure.metric == "coverage" else {})}
        for figure in measured
    ]


def _measure(
    estimator: Estimator, past: Dataset, split: Split, ks: list[int], options: TrainingOptions
) -> list[Figure]:
    """Train a model on the past and return its figures on the test of the split."""
    users = split.warm_users
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
    """Return the past events, and the split of the events with strength."""
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 < share < 1:
        raise ModelError(f"expected a share between 0 and 1, got {share!r:.100}")
    if data.weights is not None:
        data = data.select(data.weights > 0)
    if not len(data):
        raise ModelError("expected events with a weight above 0, got none")
    if data.timestamps is None:
        raise ModelError("expected interactions with times, to split past and future, got none")
    n_users, n_items = data.shape
    sequences, order = to_sequences(data.users, data.items, data.timestamps, n_users, data.positions)
    start = last_share_start(sequences, share)
    since = f"the last {share:g} of the events, which start at {np.datetime64(start, 'us').item()}"
    if start <= data.timestamps.min():
        raise ModelError(f"expected events before {since}, got none: a smaller share leaves some")
    split = split_between(sequences, n_items, start)
    if not len(split.warm_users):
        raise ModelError(
            f"expected users with a history and known items to find in {since}, got none: another "
            "share moves their start"
        )
    trained = np.empty(len(order), dtype=np.bool_)
    trained[order] = split.train
    return data.select(trained), split


def _labelled(models: Models) -> dict[str, Estimator]:
    """Return models by label, including the baseline."""
    pairs: list[tuple[str, str | Estimator]]
    if isinstance(models, Mapping):
        pairs = list(models.items())
    else:
        if not isinstance(models, Iterable | Estimator):
            raise ModelError(f"expected a list of models, by name or made by create, got {models!r:.100}")
        listed = [models] if isinstance(models, str | Estimator) else list(models)
        pairs = [(model.name if isinstance(model, Estimator) else model, model) for model in listed]
    estimators: dict[str, Estimator] = {}
    for label, model in pairs:
        if not isinstance(label, str) or not isinstance(model, str | Estimator):
            raise ModelError(
                f"expected models by name or made by create, got {model!r:.100} as {label!r:.100}"
            )
        if label in estimators:
            raise ModelError(f"expected different models, got {label!r} twice; a mapping gives each a name")
        estimators[label] = model if isinstance(model, Estimator) else create(model)
    if not any(estimator.name == BASELINE for estimator in estimators.values()):
        if BASELINE in estimators:
            raise ModelError(f"expected popularity under the name {BASELINE!r}, got {estimators[BASELINE]!r}")
        estimators[BASELINE] = create(BASELINE)
    return estimators


def _cuts(k: int | Iterable[int], n_items: int) -> list[int]:
    """Return the lengths of the lists to measure, at most the number of items."""
    cuts = list(k) if isinstance(k, Iterable) and not isinstance(k, str | bytes) else [k]
    if not cuts or not all(
        isinstance(cut, Integral) and not isinstance(cut, bool) and cut > 0 for cut in cuts
    ):
        raise ModelError(f"expected k as one or more whole numbers of at least 1, got {k!r:.100}")
    return list(dict.fromkeys(min(int(cut), n_items) for cut in cuts))

"""The station `model_metrics`: every model measured on the last events, which it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.configuration import Configuration
from tasks.dataset import load_histories, load_seen, read
from tasks.errors import InputError

METRICS = ("ndcg", "recall", "recall_min", "precision", "hit_rate", "mrr", "map")
SPLIT = "temporal"
Z95 = 1.959964


@dataclass(frozen=True)
class Holdout:
    """The measured users and what they did after the cut.

    `users` int64: indices in the holdout's dataset; `relevant` csr (n_users, n_items) of its items. What
    could not be measured is counted: users and items without a past, and pairs that were known.
    """

    users: npt.NDArray[np.int64]
    relevant: Any
    cold_users: int
    cold_items: int
    repeats: int


def cut_of(dataset: Path, share: float) -> int:
    """Return the moment, in microseconds, from which about the last `share` of the events happened."""
    stamps = read(dataset, "sequences", ["timestamp"])["timestamp"].cast(pa.timestamp("us")).cast(pa.int64())
    ordered = np.sort(stamps.to_numpy())
    cut = int(ordered[-max(1, round(share * len(ordered)))]) if len(ordered) else 0
    if not len(ordered) or cut == ordered[0]:
        raise InputError(
            f"evaluation: expected events at different moments to hold out the last {share:.0%}, got {len(ordered)} "
            "events up to that moment; set evaluation.enabled = false to train without measuring"
        )
    return cut


def make_holdout(configuration: Configuration, full: Path, past: Path, cut: int) -> Holdout:
    """Return what happened from `cut` on, in the indices of the dataset `past` that was built up to it."""
    from scipy import sparse

    events = read(full, "sequences", ["user_index", "item_index", "timestamp"])
    after = events.filter(pc.greater_equal(events["timestamp"].cast(pa.timestamp("us")).cast(pa.int64()), cut))
    users = _translated(full, past, "user")[after["user_index"].to_numpy()]
    items = _translated(full, past, "item")[after["item_index"].to_numpy()]
    seen = load_seen(past)
    known = (users >= 0) & (items >= 0)
    pairs = sparse.coo_array(
        (np.ones(known.sum(), np.float32), (users[known], items[known])), shape=seen.shape
    ).tocsr()
    pairs.data[:] = 1
    repeats = pairs.multiply(seen)
    wanted = pairs if configuration.top_n.repeats else sparse.csr_array(pairs - repeats)
    wanted.eliminate_zeros()
    has_past = np.diff(load_histories(past).matrix.indptr) > 0
    measured = np.flatnonzero((np.diff(wanted.indptr) > 0) & has_past)
    limit = configuration.evaluation.max_users
    if len(measured) > limit:
        measured = np.sort(np.random.default_rng(configuration.train.seed).choice(measured, limit, replace=False))
    return Holdout(
        users=measured,
        relevant=wanted[measured],
        cold_users=int(len(np.unique(after["user_index"].to_numpy()[users < 0]))),
        cold_items=int(len(np.unique(after["item_index"].to_numpy()[items < 0]))),
        repeats=int(repeats.nnz),
    )


def measure(configuration: Configuration, past: Path, artefact: Path, holdout: Holdout) -> list[dict[str, Any]]:
    """Return rows of model_metrics for one model trained on the dataset `past`.

    The interval is the normal one of a mean over users, 1.96 standard errors each way.
    """
    from models.artefact import load
    from models.metrics import METRICS as FUNCTIONS
    from models.metrics import coverage, judge

    if not len(holdout.users):
        return []
    model = load(artefact)
    seen = None if configuration.top_n.repeats else load_seen(past)[holdout.users]
    allowed = read(past, "items", ["available"])["available"].to_numpy()
    ks = sorted({min(k, len(allowed)) for k in configuration.evaluation.ks})
    histories = load_histories(past).rows(holdout.users)
    top = model.recommend(
        histories, ks[-1], exclude=seen, allowed=allowed, threads=configuration.engine.threads
    )
    judged = judge(top.items, holdout.relevant)
    rows = []
    for k in ks:
        for metric in METRICS:
            values = FUNCTIONS[metric](judged, k)
            error = Z95 * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else None
            rows.append(_row(model.name, metric, k, float(values.mean()), error, len(values)))
        rows.append(_row(model.name, "coverage", k, coverage(top.items, k, allowed), None, len(holdout.users)))
    return rows


def _translated(full: Path, past: Path, kind: str) -> npt.NDArray[np.int64]:
    """Return the index in `past` of each user (item) of `full`, -1 for those that it does not know."""
    old = read(past, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"]
    new = read(full, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"]
    places = pc.fill_null(pc.index_in(new, old.combine_chunks()), -1)
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _row(model: str, metric: str, k: int, value: float, error: float | None, users: int) -> dict[str, Any]:
    return {
        "model": model,
        "split": SPLIT,
        "metric": metric,
        "k": k,
        "value": value,
        "ci_low": None if error is None else value - error,
        "ci_high": None if error is None else value + error,
        "users": users,
    }

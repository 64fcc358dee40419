"""What a night serves without any tuning, on logs of many shapes.

    python -m benchmarks.any_log [--logs news tiny ...] [--data FOLDER] [--scale 1.0] [--tune MINUTES]

Each log has a configuration that only maps its columns. A whole night runs on it, and the model
that it chose is printed beside the best floor (popularity, recent popularity), item kNN, and
implicit's ALS with its defaults, all on the night's own holdout; with ``--tune``, beside the best
that a search of so many minutes finds (benchmarks.tuned). The real data sets are left out where
``--data`` (by default, $NIGHTSHELF_DATA or ../shared/data) does not have them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.tuned import best_by_search
from flows.night.run import run_night
from models.evaluation.metrics import match_lists
from models.ranking.topn import TopN
from tasks.configuration.configuration import Configuration, load
from tasks.dataset.arrays import load_dataset
from tasks.demo.shapes import SHAPES, write_shape
from tasks.evaluation.holdout import Holdout, make_holdout
from tasks.quality.best_model import floors_of
from tasks.quality.comparison import compare
from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder
from tasks.store.runs import RunRecord

START = date(2026, 3, 2)
MAPPED = {
    "movielens-1m": (
        date(2003, 2, 28),
        'path = "{data}/movielens-1m/ratings.parquet"\n[source.columns]\nuser = "user_id"\n'
        'item = "item_id"\ntimestamp = "timestamp"\nvalue = "rating"\n',
    ),
    "movielens-small": (
        date(2016, 10, 16),
        'path = "{data}/movielens-latest-small/ratings.csv"\ntimestamp_format = "epoch_s"\n'
        '[source.columns]\nuser = "userId"\nitem = "movieId"\ntimestamp = "timestamp"\n',
    ),
    "online-retail": (
        date(2011, 12, 9),
        'path = "{data}/online-retail/by-day/*.csv"\nfile_date = "%Y-%m-%d"\n'
        '[source.columns]\nuser = "CustomerID"\nitem = "StockCode"\ntimestamp = "InvoiceDate"\n',
    ),
}
GATE = "[gate]\nmax_quarantined_share = 0.8\n"
"""On its last day, 62 % of the lines of Online Retail have no customer: the only key beyond columns."""


@dataclass(frozen=True)
class Served:
    """What a night served: its model, and the users' NDCG@10 and Recall@20 by model."""

    model: str
    why: str
    values: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
    minutes: float


def main() -> None:
    """Print a table with a line per log."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", nargs="+", default=[*MAPPED, *SHAPES])
    parser.add_argument("--data", type=Path, default=os.environ.get("NIGHTSHELF_DATA", "../shared/data"))
    parser.add_argument("--scale", type=float, default=1.0, help="of generated logs")
    parser.add_argument("--tune", type=float, default=0.0, help="minutes of a search to compare with")
    options = parser.parse_args()
    print("NDCG@10 / Recall@20 of what a night serves; the difference to the best floor is of NDCG@10")
    for name in options.logs:
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare(Path(folder), name, Path(options.data).resolve(), options.scale)
            if prepared is None:
                print(f"{name}: not in {options.data}")
                continue
            for line in lines_of(name, *prepared, options.tune):
                print(line, flush=True)


def prepare(folder: Path, name: str, data: Path, scale: float) -> tuple[Path, date] | None:
    """Write the log or its configuration; return the configuration and the night's date."""
    config = folder / "nightshelf.toml"
    if name in SHAPES:
        return config, write_shape(folder, name, start=START, scale=scale)
    as_of, text = MAPPED[name]
    if not (data / ("movielens-latest-small" if name == "movielens-small" else name)).is_dir():
        return None
    config.write_text(f"[source]\n{text.format(data=data)}{GATE}", encoding="utf-8")
    return config, as_of


def lines_of(name: str, config: Path, as_of: date, tune: float) -> Iterator[str]:
    """Run the night; yield what it served, or why it did not, and what a search finds."""
    configuration = load(config, {"report.enabled": False})
    began = time.perf_counter()
    try:
        record = run_night(configuration, as_of)
    except UserError as error:
        yield f"{name}: refused: {error}"
        return
    served = measured(configuration, record, (time.perf_counter() - began) / 60)
    floors = [model for model in floors_of(configuration.train.models) if model in served.values]
    floor = max(floors, key=lambda model: served.values[model][0].mean())
    compared = compare(configuration, served.values[served.model][0], served.values[floor][0])
    yield (
        f"{name}: {served.model} {_figures(served, served.model)}, {served.minutes:.1f} min; {served.why}\n"
        f"  minus {floor}: {compared.difference:+.4f} [{compared.low or 0:+.4f}, {compared.high or 0:+.4f}]"
    )
    for model in served.values:
        yield f"  {model:20s} {_figures(served, model)}"
    if tune:
        run, holdout, _ = judged_by(configuration, record)
        tuned = best_by_search(config, configuration, run, holdout, tune)
        ndcg, recall = _values(tuned.lists, holdout)
        share = served.values[served.model][0].mean() / max(ndcg.mean(), 1e-9)
        yield (
            f"  {tune:g} min of tuning, {tuned.trials} trials: {tuned.model} {ndcg.mean():.4f} / "
            f"{recall.mean():.4f}; what is served has {share:.3f} of its NDCG; {tuned.settings}"
        )


def _figures(served: Served, model: str) -> str:
    ndcg, recall = served.values[model]
    return f"{ndcg.mean():.4f} / {recall.mean():.4f}"


def measured(configuration: Configuration, record: RunRecord, minutes: float) -> Served:
    """Return the figures of all models of a night, and of implicit's ALS, on the night's holdout."""
    run, holdout, k = judged_by(configuration, record)
    values = {}
    for name in configuration.in_training_order:
        if name not in record.failed_models:
            lists = holdout.lists_of(run.past_model(name), k, configuration.resources)
            values[name] = _values(lists, holdout)
    values["implicit ALS"] = _values(_implicit(run.past, holdout, k), holdout)
    facts = record.station("served_model").facts
    return Served(facts["model"], facts["why"], values, minutes)


def judged_by(configuration: Configuration, record: RunRecord) -> tuple[RunFolder, Holdout, int]:
    """Return a night's folder and holdout, and the length of the lists to measure."""
    run = record.folder(Store(configuration.store.path))
    holdout = make_holdout(configuration, run.dataset, run.past, int(record.station("holdout").facts["cut"]))
    return run, holdout, holdout.cuts([20])[-1]


def _values(
    lists: npt.NDArray[np.int32], holdout: Holdout
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    ten, twenty = min(10, lists.shape[1]), lists.shape[1]
    matches = match_lists(lists, holdout.relevant, sorted({ten, twenty}))
    values: Any = matches.values(["ndcg", "recall"])
    return values["ndcg", ten], values["recall", twenty]


def _implicit(past: Path, holdout: Holdout, k: int) -> npt.NDArray[np.int32]:
    """Return the lists of implicit's ALS with its defaults."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse

    matrix = sparse.csr_matrix(load_dataset(past).matrix)
    with threadpool_limits(1, user_api="blas"):
        model = AlternatingLeastSquares(random_state=7)
        model.fit(matrix, show_progress=False)
        histories = sparse.csr_matrix(holdout.histories.matrix)
        items, scores = model.recommend(
            np.arange(len(holdout)), histories, N=k, recalculate_user=True, filter_already_liked_items=True
        )
    top = TopN.empty(len(holdout), k)
    kept = (scores > -1e30) & holdout.allowed[items]
    top.items[kept] = items[kept]
    return top.items


if __name__ == "__main__":
    main()

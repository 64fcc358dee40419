"""Models under published protocols, on files: ``python -m benchmarks.protocols ncf|vae|time --data FOLDER``.

FOLDER holds MovieLens-1M: ``ncf/`` as He et al. 2017 published it, and ``ratings.parquet`` (or ``.dat``,
``.csv``). Prints, for each model and seed, the figures that the protocol is read by, each with its 95 %
interval over the users, what the split left out, and the seconds of training and ranking.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from models import registry
from models.base import Model
from models.options import TrainingOptions
from models.protocols import Measured, held_out_users, ncf, temporal
from tasks.protocol_files import Ratings, read_ncf, read_ratings

FLOORS = ("random", "popularity", "recent_popularity", "item_knn")
READ = {
    "ncf": (("hit_rate", 10), ("ndcg", 10)),
    "vae": (("recall_min", 20), ("recall_min", 50), ("ndcg", 100)),
    "time": tuple((name, 10) for name in ("ndcg", "map", "mrr", "hit_rate", "coverage", "novelty")),
}


def ratings_of(folder: Path) -> Ratings:
    return read_ratings(next(path for path in sorted(folder.glob("ratings.*"))))


def measure(protocol: str, folder: Path, model: str, settings: dict[str, object], seed: int) -> Measured:
    options = TrainingOptions(seed=seed)

    def factory() -> Model[Any]:
        return registry.create(model, settings)

    if protocol == "ncf":
        files = read_ncf(folder / "ncf")
        return ncf(
            files.train,
            files.positives,
            files.negatives,
            factory,
            sequences=files.sequences,
            options=options,
        )
    if protocol == "vae":
        ratings = ratings_of(folder)
        sequences = ratings.sequences()
        return held_out_users(
            ratings.matrix(), factory, seed, held_out=500, sequences=sequences, options=options
        )
    ratings = ratings_of(folder).at_least(3)
    return temporal(ratings.sequences(), ratings.shape[1], factory, options=options)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("protocol", choices=tuple(READ))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", help="instead of the floors")
    parser.add_argument("--set", default="{}", help="configuration of the model, as JSON")
    parser.add_argument("--seed", type=int, action="append", help="several may be given")
    options = parser.parse_args()
    for model in options.model or FLOORS:
        figures, started = defaultdict(list), time.perf_counter()
        for seed in options.seed or [1]:
            try:
                found = measure(options.protocol, options.data, model, json.loads(options.set), seed)
            except ValueError as error:  # what the model asks for is not in the files
                print(f"{model}: not measured: {error}")
                break
            rows = {(row.metric, row.k): row for row in found.table()}
            for name, k in READ[options.protocol]:
                row = rows[name, k]
                figures[name, k].append(row.value)
                ends = "" if row.low is None else f"[{row.low:.4f}, {row.high:.4f}]"
                print(f"{model:<18} seed {seed}  {name + '@' + str(k):<14} {row.value:.4f} {ends}")
            print(f"{model:<18} seed {seed}  {found.seconds:.1f} s  {found.counts}", flush=True)
        for (name, k), values in figures.items():
            if len(values) > 1:
                mean, spread = statistics.mean(values), statistics.stdev(values)
                print(f"{model:<18} mean of {len(values)}  {name}@{k} {mean:.4f} +- {spread:.4f}")
        print(f"{model:<18} {time.perf_counter() - started:.1f} s with reading and intervals", flush=True)


if __name__ == "__main__":
    main()

"""Rating models beside those of scikit-surprise: processor time and errors, in one run.

    python -m benchmarks.ratings --data FOLDER --surprise PYTHON [--plus-plus-epochs 20]
    python -m benchmarks.ratings --data FOLDER --lists

FOLDER has MovieLens' ratings; PYTHON is one that has scikit-surprise and pandas, as they need another
numpy. Both train on four folds of five of the protocol `ratings` (seed 1) and predict the fifth, on
one thread. CPU seconds are those of the training, with everything loaded, compiled and numbered.

``--lists`` measures the models as recommenders instead: trained on the first 80 % of the ratings by
time, they list ten items for users of the last 20 %, who rated some of them then, high or low.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.abilities import PredictsRatings
from models.dataset import Dataset
from models.evaluation.protocols import measure
from models.evaluation.ratings import Ratings
from models.interactions import Interactions
from models.options import TrainingOptions
from models.registry import create
from models.splitting.split import event_matrix, split_last, train_sequences
from tasks.evaluation.protocol_files import latest_ratings, read_ratings

OURS: list[tuple[str, dict[str, Any]]] = [
    ("global_effects", {}),
    ("funk_svd", {"factors": 16, "epochs": 12, "learning_rate": 0.02}),
    ("funk_svd", {"factors": 100, "epochs": 20}),
    ("funk_svd", {}),
    ("svd_pp", {"factors": 20, "epochs": 20}),
    ("svd_pp", {}),
]
SURPRISE = """
import json, sys, time
import numpy as np, pandas as pd
from surprise import SVD, BaselineOnly, Dataset, Reader, SVDpp
d = np.load(sys.argv[1])
frame = pd.DataFrame({name: d[name] for name in ("users", "items", "values")})
reader = Reader(rating_scale=(d["values"].min(), d["values"].max()))
data = Dataset.load_from_df(frame, reader).build_full_trainset()
hidden = list(zip(d["hidden_users"].tolist(), d["hidden_items"].tolist(), d["hidden_values"].tolist()))
epochs = int(sys.argv[2])
models = [("BaselineOnly", BaselineOnly(verbose=False)), ("SVD", SVD(random_state=1)),
          (f"SVDpp, {epochs} epochs", SVDpp(random_state=1, n_epochs=epochs, cache_ratings=True))]
for name, model in models:
    started = time.process_time()
    model.fit(data)
    seconds = time.process_time() - started
    error = np.array([p.est - p.r_ui for p in model.test(hidden)])
    figures = [seconds, float(np.sqrt(np.mean(error**2))), float(np.mean(np.abs(error)))]
    print(json.dumps([f"surprise {name}", *figures]), flush=True)
"""


def main() -> None:
    """Print a line for each model: CPU seconds of the training, RMSE and MAE of the hidden ratings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lists", action="store_true", help="measure lists, not predictions")
    parser.add_argument("--surprise", help="a Python that has scikit-surprise and pandas")
    parser.add_argument("--plus-plus-epochs", type=int, default=20, help="epochs of Surprise's SVD++")
    arguments = parser.parse_args()
    files = (arguments.data / name for name in ("ratings.parquet", "ratings.csv", "ratings.dat"))
    events = read_ratings(next(file for file in files if file.is_file()))
    ratings = latest_ratings(events)
    if arguments.lists:
        lists(events, ratings)
        return
    hidden = np.zeros(len(ratings.values), dtype=np.bool_)
    hidden[np.random.default_rng(1).permutation(len(hidden))[::5]] = True  # fold 1 of seed 1
    measured(ratings, hidden, "svd_pp", {"epochs": 1})  # loads and compiles
    print(f"{'model':<70} {'CPU s':>7} {'RMSE':>7} {'MAE':>7}")
    for name, settings in OURS:
        _show(f"{name} {settings or ''}", *measured(ratings, hidden, name, settings))
    if arguments.surprise:
        beside(ratings, hidden, arguments.surprise, arguments.plus_plus_epochs)


def measured(
    ratings: Ratings, hidden: npt.NDArray[np.bool_], name: str, settings: dict[str, Any]
) -> tuple[float, float, float]:
    """Return the CPU seconds of the training, RMSE and MAE of a model on the hidden ratings."""
    dataset, model = Dataset(ratings.matrix(~hidden)), create(name, settings)
    if not isinstance(model, PredictsRatings):
        raise TypeError(name)
    started = time.process_time()
    model.fit(dataset, TrainingOptions(seed=1, threads=1))
    seconds = time.process_time() - started
    predictions = model.predict(dataset.histories, ratings.users[hidden], ratings.items[hidden])
    errors = predictions - ratings.values[hidden]
    return seconds, float(np.sqrt(np.mean(errors**2))), float(np.mean(np.abs(errors)))


def lists(events: Interactions, ratings: Ratings) -> None:
    """Print NDCG@10 of whole rankings with its interval, hit rate and coverage of each model."""
    if events.sequences is None:
        raise SystemExit("expected ratings with timestamps, got none")
    split = split_last(events.sequences, events.shape[1], 0.2)
    known = event_matrix(train_sequences(events.sequences, split), events.shape[1])
    known.data[:] = 1
    everything = ratings.matrix(np.ones(len(ratings.values), dtype=np.bool_))
    dataset, users = Dataset(sparse.csr_array(everything.multiply(known))), split.warm_users
    print(f"{'model':<20} {'NDCG@10':>8} {'interval':>18} {'HR@10':>7} {'coverage':>9}")
    for name in ("popularity", "global_effects", "funk_svd", "svd_pp"):
        found = measure(
            partial(create, name),
            dataset,
            dataset.histories.rows(users),
            split.warm[users],
            users=users,
            counts=split.counts,
            ks=(10,),
            options=TrainingOptions(seed=1),
        )
        rows = {row.metric: row for row in found.table()}
        ndcg, interval = rows["ndcg"], f"[{rows['ndcg'].low:.4f}, {rows['ndcg'].high:.4f}]"
        others = f"{rows['hit_rate'].value:7.4f} {rows['coverage'].value:9.3f}"
        print(f"{name:<20} {ndcg.value:8.4f} {interval:>18} {others}", flush=True)


def beside(ratings: Ratings, hidden: npt.NDArray[np.bool_], python: str, epochs: int) -> None:
    """Train Surprise's models on the same ratings, in its own Python."""
    columns = {"users": ratings.users, "items": ratings.items, "values": ratings.values}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.npz"
        np.savez(
            path,
            **{name: column[~hidden] for name, column in columns.items()},
            **{f"hidden_{name}": column[hidden] for name, column in columns.items()},
        )
        command = [python, "-c", SURPRISE, str(path), str(epochs)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            for line in process.stdout or ():
                name, *figures = json.loads(line)
                _show(name, *figures)
    if process.returncode:
        raise SystemExit(f"{python}: exit status {process.returncode}")


def _show(name: str, seconds: float, rmse: float, mae: float) -> None:
    print(f"{name:<70} {seconds:7.2f} {rmse:7.4f} {mae:7.4f}", flush=True)


if __name__ == "__main__":
    main()

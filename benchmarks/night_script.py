"""The plain script that `benchmarks.night` compares a night with: implicit and RecTools, no checks.

    python benchmarks/night_script.py RATINGS OUTPUT THREADS

Needs `pip install implicit==0.7.3 rectools==0.19.0 "pyarrow<21"` and nothing of this project. It reads the
ratings, splits them by time, fits popularity, item kNN and ALS on the earlier part, measures them on
the later one, fits ALS on everything, and writes lists for all users and all items. It prints
its seconds by step.
"""

import sys
import time
from pathlib import Path

import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import MAP, NDCG, Precision, Recall, calc_metrics
from rectools.models import ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel, PopularModel
from threadpoolctl import threadpool_limits

FACTORS, ROUNDS, NEIGHBOURS, N = 128, 12, 100, 20
HELD_OUT = 0.2


def als(threads: int) -> ImplicitALSWrapperModel:
    return ImplicitALSWrapperModel(
        AlternatingLeastSquares(FACTORS, iterations=ROUNDS, num_threads=threads, random_state=7)
    )


def read(path: Path) -> pd.DataFrame:
    """Return RecTools' columns: user_id, item_id, weight, datetime."""
    ratings = pd.read_parquet(path, columns=["user_id", "item_id", "timestamp"])
    return pd.DataFrame(
        {
            Columns.User: ratings["user_id"],
            Columns.Item: ratings["item_id"],
            Columns.Weight: 1.0,
            Columns.Datetime: ratings["timestamp"].dt.tz_localize(None),
        }
    )


def measure(past: pd.DataFrame, later: pd.DataFrame, threads: int) -> None:
    """Fit the three models on the past, and print their metrics on what the same users did later."""
    later = later[later[Columns.User].isin(past[Columns.User].unique())]
    users, dataset = later[Columns.User].unique(), Dataset.construct(past)
    models = {
        "popularity": PopularModel(),
        "item_knn": ImplicitItemKNNWrapperModel(BM25Recommender(NEIGHBOURS, num_threads=threads)),
        "als": als(threads),
    }
    metrics = {f"{kind.__name__}@{k}": kind(k) for kind in (NDCG, MAP, Recall, Precision) for k in (5, 10, N)}
    for name, model in models.items():
        model.fit(dataset)
        lists = model.recommend(users, dataset, k=N, filter_viewed=True)
        values = calc_metrics(metrics, lists, later, past, catalog=past[Columns.Item].unique())
        print(f"{name}: NDCG@10 {values['NDCG@10']:.4f}, Recall@20 {values['Recall@20']:.4f}")


def main(ratings: str, output: str, threads: int) -> None:
    last = [time.perf_counter()]

    def done(step: str) -> None:
        print(f"{step:24s} {time.perf_counter() - last[0]:6.1f} s")
        last[0] = time.perf_counter()

    with threadpool_limits(1, user_api="blas"):
        events = read(Path(ratings))
        cut = events[Columns.Datetime].quantile(1 - HELD_OUT)
        done("read")
        measure(events[events[Columns.Datetime] < cut], events[events[Columns.Datetime] >= cut], threads)
        done("fit and measure")
        dataset, model = Dataset.construct(events), als(threads)
        model.fit(dataset)
        done("fit on everything")
        lists = model.recommend(events[Columns.User].unique(), dataset, k=N, filter_viewed=True)
        lists.to_parquet(Path(output) / "recommendations.parquet")
        similar = model.recommend_to_items(events[Columns.Item].unique(), dataset, k=N)
        similar.to_parquet(Path(output) / "similar_items.parquet")
        done("lists")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

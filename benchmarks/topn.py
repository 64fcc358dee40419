"""Compare the top-N kernel with implicit and the bare matrix product.

    python -m benchmarks.topn [--large | --ties]

All methods take turns in one process, several times. Medians are printed, so a busy machine affects
all methods alike. ``--ties`` compares vectors with tied and nearly tied scores with ordinary ones.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import psutil
from scipy import sparse
from threadpoolctl import threadpool_limits

from models.options import workers
from models.ranking.similarity import similar_vectors
from models.ranking.topn import TopN, top_n_factors

Vectors = npt.NDArray[np.float32]
FACTORS, N, SEEN = 64, 100, 100
BATCH = 8192  # users whose lists are in memory at a time


def world(kind: str, n_users: int, n_items: int) -> tuple[Vectors, Vectors, sparse.csr_array]:
    """Return user vectors, item vectors and seen items.

    ``even``: independent normal vectors. ``popular``: every user likes the popular items (a shared
    direction, with lengths by Zipf's law) and has seen many of them; items in random order.
    ``sorted``: the same, with the most popular items last.
    """
    rng = np.random.default_rng(0)
    users = rng.standard_normal((n_users, FACTORS), dtype=np.float32)
    items = rng.standard_normal((n_items, FACTORS), dtype=np.float32)
    share = np.full(n_items, 1 / n_items)
    if kind != "even":
        share = 1 / np.arange(1, n_items + 1) ** 0.8
        share = np.sort(share) if kind == "sorted" else rng.permutation(share)
        users[:, 0] = np.abs(users[:, 0]) + 2
        items[:, 0] = 4 * (share / share.max()) ** 0.25
        share /= share.sum()
    lengths = np.minimum(rng.lognormal(np.log(SEEN), 0.7, n_users).astype(np.int64) + 1, n_items // 4)
    drawn = np.searchsorted(np.cumsum(share), rng.random(lengths.sum())).clip(max=n_items - 1)
    parts = (np.ones(len(drawn), np.float32), (np.repeat(np.arange(n_users), lengths), drawn))
    return users, items, sparse.coo_array(parts, shape=(n_users, n_items)).tocsr()


def product(users: Vectors, items: Vectors) -> Callable[[], None]:
    """Multiply in blocks of 512 users into one buffer: the floor of any exact method."""
    block = np.empty((512, len(items)), np.float32)

    def run() -> None:
        for start in range(0, len(users), 512):
            part = users[start : start + 512]
            np.matmul(part, items.T, out=block[: len(part)])

    return run


def implicit_recommend(
    users: Vectors, items: Vectors, seen: sparse.csr_array, blas_threads: int | None
) -> Callable[[], Vectors]:
    """Rank with implicit on all cores; BLAS on one thread as it advises, or (None) by default."""
    from implicit.cpu.als import AlternatingLeastSquares

    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(factors=users.shape[1])
    model.user_factors, model.item_factors = users, items
    liked, everyone = sparse.csr_matrix(seen), np.arange(len(users))

    def run() -> Vectors:
        with threadpool_limits(limits=blas_threads, user_api="blas"):
            ids_and_scores = model.recommend(everyone, liked, N=N, filter_already_liked_items=True)
        return np.asarray(ids_and_scores[0])

    return run


def compare(kind: str, n_users: int, n_items: int, repeats: int) -> None:
    """Print the median seconds of each method, and whether the items agree."""
    users, items, seen = world(kind, n_users, n_items)
    results: dict[str, object] = {}
    methods: dict[str, Callable[[], object]] = {
        "nightshelf": lambda: top_n_factors(users, items, N, exclude=seen),
        "implicit": implicit_recommend(users, items, seen, 1),
        "implicit by default": implicit_recommend(users, items, seen, None),
        "product": product(users, items),
    }
    wall: dict[str, list[float]] = {method: [] for method in methods}
    cpu: dict[str, list[float]] = {method: [] for method in methods}
    for repeat in range(repeats + 1):  # the first warms up: compilation, page faults
        for method, run in methods.items():
            started, used = time.perf_counter(), time.process_time()
            results[method] = run()
            if repeat:
                wall[method].append(time.perf_counter() - started)
                cpu[method].append(time.process_time() - used)
    print(f"{kind}: {n_users} users x {n_items} items, {FACTORS} factors, N={N}, {seen.nnz} seen")
    for clock, seconds in (("seconds", wall), ("CPU seconds", cpu)):
        median = {method: statistics.median(seconds[method]) for method in methods}
        print(f"  {clock}, and ratio to ours:", end=" ")
        print(", ".join(f"{method} {s:.2f} ({s / median['nightshelf']:.2f})" for method, s in median.items()))
    ours, theirs = results["nightshelf"], results["implicit"]
    if isinstance(ours, TopN) and isinstance(theirs, np.ndarray):
        print(f"  {agreement(ours, theirs, users, items)}")


def agreement(ours: TopN, theirs: npt.NDArray[np.integer], users: Vectors, items: Vectors) -> str:
    """Return how many ranks hold the same item, and the largest difference of the other scores."""
    user, rank = np.nonzero(ours.items != theirs)
    exact = np.einsum(
        "rd,rd->r", users[user].astype(np.float64), items[theirs[user, rank]].astype(np.float64)
    )
    difference = np.abs(exact - ours.scores[user, rank]).max(initial=0)
    sets = (np.sort(ours.items, axis=1) == np.sort(theirs, axis=1)).all(axis=1).mean()
    return f"same set for {sets:.4%} of users, {len(user)} ranks differ by at most {difference:.1e} in score"


def large(n_users: int, n_items: int) -> None:
    """Print the seconds, and the peak memory beyond the factors, for lists in batches."""
    users, items, seen = world("popular", n_users, n_items)
    top_n_factors(users[:100], items, N)
    before = psutil.Process().memory_info().rss
    started, rows = time.perf_counter(), 0
    resource_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = before
    for start in range(0, n_users, BATCH):
        batch = slice(start, start + BATCH)
        rows += len(top_n_factors(users[batch], items, N, exclude=seen[batch]).items)
        peak = max(peak, psutil.Process().memory_info().rss)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = max(peak, after if after > resource_before else 0)
    print(f"large: {rows} users x {n_items} items in {time.perf_counter() - started:.1f} s,", end=" ")
    print(f"peak extra memory {(peak - before) / 2**20:.0f} MiB")


def tied_worlds(n_users: int, n_items: int) -> dict[str, tuple[Vectors, Vectors]]:
    """Return user and item vectors by the kind of their ties; the first are ordinary."""
    rng = np.random.default_rng(0)
    users = rng.standard_normal((n_users, FACTORS), dtype=np.float32)
    items = rng.standard_normal((n_items, FACTORS), dtype=np.float32)
    lengths = rng.standard_normal((n_items, 1), dtype=np.float32)
    equal = np.repeat(items[:1], n_items, axis=0)
    noise = (1e-7 * rng.standard_normal((n_items, FACTORS))).astype(np.float32)
    return {
        "ordinary": (users, items),
        "rank one": (users, lengths * items[:1]),
        "all equal": (users, equal),
        "equal but for 1e-7": (users, equal * (1 + noise)),
        "zero items": (users, np.zeros_like(items)),
        "zero users": (np.zeros_like(users), items),
        "zeros but one": (users, np.concatenate([items[:1], np.zeros_like(items[1:])])),
        "10 vectors": (users, items[rng.integers(0, 10, n_items)]),
        "each item 100 times": (users, items[rng.integers(0, max(1, n_items // 100), n_items)]),
    }


def ties(n_users: int, n_items: int, repeats: int) -> None:
    """Print the median CPU seconds of lists and of similar items by kind, and the ratio to ordinary."""
    lists, similar = tied_worlds(n_users, n_items), tied_worlds(n_users, 2 * n_items)
    queries = np.arange(min(n_users, 2 * n_items))
    seconds: dict[str, dict[str, list[float]]] = {"lists": {}, "similar items": {}}
    for repeat in range(repeats + 1):
        for kind in lists:
            calls: dict[str, Callable[[], object]] = {
                "lists": partial(top_n_factors, *lists[kind], N),
                "similar items": partial(similar_vectors, similar[kind][1], queries, 20),
            }
            for name, call in calls.items():
                used = time.process_time()
                call()
                if repeat:
                    seconds[name].setdefault(kind, []).append(time.process_time() - used)
    sizes = {"lists": f"{n_users} users x {n_items} items, N={N}"}
    sizes["similar items"] = f"{len(queries)} of {2 * n_items} items, N=20"
    for name, taken in seconds.items():
        print(f"{name}: {sizes[name]}, {FACTORS} factors; CPU seconds, and ratio to ordinary")
        for kind, repeated in taken.items():
            median = statistics.median(repeated)
            print(f"  {kind:20s} {median:6.2f} ({median / statistics.median(taken['ordinary']):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="200,000 users x 50,000 items, and memory")
    parser.add_argument("--ties", action="store_true", help="tied and nearly tied scores")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{workers(0)} cores, load {psutil.getloadavg()[0]:.1f}")
    if arguments.large:
        large(200_000, 50_000)
        return
    if arguments.ties:
        ties(arguments.users, arguments.items, arguments.repeats)
        return
    for kind in ("even", "popular", "sorted"):
        compare(kind, arguments.users, arguments.items, arguments.repeats)


if __name__ == "__main__":
    main()

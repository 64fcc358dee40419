"""Compare what a training is expected to cost with what it does: seconds and memory.

    python -m benchmarks.costs [--models als item_knn ...] [--logs tiny ...] [--threads 2]

Each model is trained on four generated logs of different sizes, each time in a new process with all
defaults but one: Mult-VAE runs few epochs, which its expectation knows. Seconds are on the clock, so
nothing else should run. Memory is the highest of the process less what it had before, with all
libraries loaded. Expected figures are those by which a night decides which models fit its budget.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from models.dataset import Dataset
from tasks.demo.shapes import SHAPES, Shape, shape_events

LOGS = {
    "tiny": SHAPES["tiny"],
    "groceries": SHAPES["groceries"],
    "news": SHAPES["news"],
    "large": Shape(200_000, 50_000, 5_000_000, 180, niches=400, tail=1.1, loyalty=0.9, repeats=0.2),
}
FEW_EPOCHS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "groceries": {},
    "news": {"epochs": 2, "patience": 2},
    "large": {"epochs": 1, "patience": 1},
}
"""Of Mult-VAE: larger logs would take hours."""
MODELS = ["popularity", "recent_popularity", "item_knn", "als", "mult_vae", "blend"]
START_MS = 1_700_000_000_000


def main() -> None:
    """Print a line per log and model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--logs", nargs="+", default=[*LOGS], choices=[*LOGS])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("LOG", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options.threads)))
        return
    print(f"{'log':10} {'model':18} {'expected s':>10} {'seconds':>9} {'ratio':>6}", end=" ")
    print(f"{'CPU s':>9} {'expected MiB':>12} {'MiB':>8} {'ratio':>6}")
    for log in options.logs:
        for model in options.models:
            command = [sys.executable, "-m", "benchmarks.costs", "--threads", str(options.threads)]
            command += ["--one", log, model]
            finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
            if finished.returncode:
                lines = finished.stderr.strip().splitlines()
                print(f"{log:10} {model:18} failed: {lines[-1] if lines else finished.returncode}")
                continue
            figures = json.loads(finished.stdout.splitlines()[-1])
            print(line(log, model, figures), flush=True)


def line(log: str, model: str, figures: dict[str, float]) -> str:
    """Return a line of the table; a ratio is the expected over the real figure."""
    seconds, memory = figures["seconds"], figures["memory"]
    return (
        f"{log:10} {model:18} {figures['expected_seconds']:10.2f} {seconds:9.2f} "
        f"{figures['expected_seconds'] / max(seconds, 1e-3):6.2f} {figures['cpu']:9.2f} "
        f"{figures['expected_memory'] / 2**20:12.0f} {memory / 2**20:8.0f} "
        f"{figures['expected_memory'] / max(memory, 2**20):6.2f}"
    )


def measure(log: str, name: str, threads: int) -> dict[str, float]:
    """Train once; return expected and real figures: seconds, CPU seconds, and bytes."""
    from models import registry
    from models.options import Size, TrainingOptions

    dataset = _dataset(LOGS[log])
    settings: dict[str, Any] = FEW_EPOCHS[log] if name == "mult_vae" else {}
    if name == "blend":
        settings = {"candidates": ["recent_popularity", "item_knn", "als"]}
    config = registry.config(name, settings)
    model = registry.create(name, config)
    products = float(np.square(np.diff(dataset.matrix.indptr), dtype=np.float64).sum())
    size = Size(dataset.n_users, dataset.n_items, dataset.matrix.nnz, products)
    cost = type(model).cost(config, size)
    registry.create(name, config).fit(_dataset(LOGS["tiny"]))  # loads all libraries and kernels
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest memory is that of now
    before, started, cpu = psutil.Process().memory_info().rss, time.perf_counter(), time.process_time()
    model.fit(dataset, TrainingOptions(threads=threads))
    return {
        "expected_seconds": cost.seconds,
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "expected_memory": cost.memory,
        "memory": _highest_memory() - before,
    }


def _highest_memory() -> int:
    """Return the highest resident bytes of this process since that was last reset."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1])


def _dataset(shape: Shape) -> Dataset:
    import nightshelf as ns

    users, items, times = shape_events(shape, seed=7)
    stamps = (times + START_MS).astype("datetime64[ms]")
    return ns.Interactions.of({"user": users, "item": items, "timestamp": stamps}).dataset


if __name__ == "__main__":
    main()

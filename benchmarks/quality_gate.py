"""Test the quality gate against faults and chance.

    python -m benchmarks.quality_gate --config FILE ...

Runs the nights of ``--before`` and ``--as-of``, then repeats the second: honestly with ``--seeds``
other seeds, and with the faults that the gate must catch. Prints which checks refused what, and the
range of each checked figure over the honest re-runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.night.night import Night
from flows.night.release_station import release_expectations
from flows.night.run import run_night
from models.options import TrainingOptions
from tasks.configuration.configuration import Configuration, load
from tasks.configuration.ids import id_types
from tasks.dataset.arrays import load_histories, load_seen
from tasks.dataset.parts import parts_of, read
from tasks.quality.accuracy import Tonight, quality_checks
from tasks.quality.champion import Measured
from tasks.quality.checks import QualityCheck
from tasks.recommendations.recommendations import recommendations
from tasks.release.audit import Audit, audit
from tasks.release.releases import release_before
from tasks.release.writer import TableWriter
from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.runs import last_night
from tasks.training.artefacts import TrainedModel, fit

Items = np.ndarray[Any, np.dtype[np.int32]]
HEAD = 0.05  # share of the items whose scores are boosted
FEW = 30  # items left in a collapsed catalogue


@dataclass(frozen=True)
class Bench:
    """A finished night to repeat, and a scratch folder for the repeats."""

    night: Night
    scratch: Path

    @property
    def configuration(self) -> Configuration:
        """The night's configuration."""
        return self.night.configuration

    @property
    def measured(self) -> Measured:
        """The night's measured models; UserError if it measured none."""
        if self.night.measured is None:
            raise UserError("expected a night that measured its models")
        return self.night.measured

    @property
    def tonight(self) -> Tonight:
        """The night's models and lists, as the gate checked them."""
        night, run = self.night, self.night.folder
        return Tonight(run.dataset, run.models, run.staging, night.serving, night.measured)

    def judge(self, tonight: Tonight) -> list[QualityCheck]:
        """Return the gate's checks of a repeated night."""
        before = release_before(self.night.store, self.night.as_of)
        return quality_checks(self.configuration, self.night.store, tonight, before)

    def trained(self, seed: int, past: Path | None = None, dataset: Path | None = None) -> Tonight:
        """Train and recommend as the night does, with another seed or other data."""
        measured, name = self.measured, self.night.serving.default
        section = self.configuration.train.model_copy(update={"seed": seed})
        configuration = self.configuration.model_copy(update={"train": section})
        folder = self.scratch / f"seed-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        _train(configuration, name, past or measured.past, folder / "past-models" / name)
        trained = _train(configuration, name, dataset or self.night.folder.dataset, folder / "models" / name)
        recommendations(configuration, self.night.folder.dataset, trained.folder, folder / "staging")
        return replace(
            self.tonight,
            models=folder / "models",
            staging=folder / "staging",
            measured=replace(measured, artefacts=folder / "past-models"),
        )

    def listed(self, name: str, items: Items) -> Tonight:
        """Write lists of items, int32 (n_users, n), as the night's table."""
        night, folder = self.night, self.scratch / name
        users = read(night.folder.dataset, "users", ["user_id"])["user_id"].combine_chunks()
        ids = read(night.folder.dataset, "items", ["item_id"])["item_id"].combine_chunks()
        n = items.shape[1]
        with TableWriter(folder, "recommendations", id_types(self.configuration)) as writer:
            writer.write(
                {
                    "user_id": users.take(pa.array(np.repeat(np.arange(len(users)), n))),
                    "rank": np.tile(np.arange(1, n + 1, dtype=np.int32), len(users)),
                    "item_id": ids.take(pa.array(items.ravel())),
                    "score": np.tile(np.arange(n, 0, -1, dtype=np.float32), len(users)),
                    "source": ["fault"] * items.size,
                    "reason_item_id": pa.nulls(items.size, ids.type),
                }
            )
        return replace(self.tonight, staging=folder)


def shuffled_labels(bench: Bench) -> list[QualityCheck]:
    """Give every training pair another item, drawn among those of all pairs."""
    past = _shuffled(bench.measured.past, bench.scratch / "shuffled-past")
    return bench.judge(
        bench.trained(10_001, past, _shuffled(bench.night.folder.dataset, bench.scratch / "shuffled"))
    )


def shuffled_refit(bench: Bench) -> list[QualityCheck]:
    """Shuffle only the data of the final training: the measured models are good."""
    return bench.judge(
        bench.trained(10_002, None, _shuffled(bench.night.folder.dataset, bench.scratch / "shuffled"))
    )


def popularity_boost(bench: Bench, share: float = HEAD) -> list[QualityCheck]:
    """Multiply the scores of the most popular items, a `share` of the catalogue, by ten."""
    popularity = read(bench.night.folder.dataset, "items", ["users"])["users"].to_numpy()
    head = np.argsort(-popularity, kind="stable")[: max(1, round(share * len(popularity)))]
    boost = np.ones(len(popularity), np.float32)
    boost[head] = 10
    return bench.judge(bench.listed("boosted", _lists(bench, boost)))


def coverage_collapse(bench: Bench) -> list[QualityCheck]:
    """Leave only a few items of middling popularity to recommend."""
    popularity = read(bench.night.folder.dataset, "items", ["users"])["users"].to_numpy()
    order = np.argsort(-popularity, kind="stable")
    boost = np.zeros(len(popularity), np.float32)
    boost[order[len(order) // 10 :][: bench.configuration.top_n.n + FEW]] = 1
    return bench.judge(bench.listed("collapsed", _lists(bench, boost)))


QUALITY_FAULTS: dict[str, Callable[[Bench], list[QualityCheck]]] = {
    "shuffled labels": shuffled_labels,
    "tenfold popularity boost": popularity_boost,
    "coverage collapse": coverage_collapse,
}
TABLE_FAULTS = ("one duplicate", "one seen item", "one missing user", "one NaN")


def damaged(bench: Bench, fault: str) -> Audit:
    """Return the audit of the night's release with one fault in its recommendations."""
    night, folder = bench.night, bench.scratch / fault.replace(" ", "-")
    release = night.store.release(night.release_id)
    shutil.copytree(release, folder, dirs_exist_ok=True)
    path = folder / "recommendations.parquet"
    seen = load_seen(night.folder.dataset)
    item = read(night.folder.dataset, "items", ["item_id"])["item_id"][int(seen.indices[0])]
    table = _damaged(pq.read_table(path), fault, item)
    path.unlink()
    pq.write_table(table, path)
    return audit(folder, release_expectations(night))


def _damaged(table: pa.Table, fault: str, seen: pa.Scalar) -> pa.Table:
    """Return recommendations with one fault; `seen` is an item that the first user has seen."""
    if fault == "one missing user":
        return table.filter(pa.compute.not_equal(table["user_id"], table["user_id"][0]))
    if fault == "one NaN":
        return _with_value(table, "score", 0, float("nan"))
    if fault == "one duplicate":
        return _with_value(table, "item_id", 1, table["item_id"][0].as_py())
    return _with_value(table, "item_id", 0, seen.as_py())


def finished_night(configuration: Configuration, before: date, as_of: date, scratch: Path) -> Bench:
    """Run two nights, unless they are in the store; return the second."""
    store = Store(configuration.store.path)
    for day in (before, as_of):
        record = last_night(store, day) if store.runs.is_dir() else None
        if record is None or record.state != "published":
            record = run_night(configuration, day)
    night = Night(configuration, store, as_of, record)
    staging = night.folder.staging
    if not staging.is_dir():  # publishing renamed it into the releases
        staging.mkdir()
        shutil.copy(store.release(night.release_id) / "recommendations.parquet", staging)
    return Bench(night, scratch)


def _train(configuration: Configuration, name: str, dataset: Path, folder: Path) -> TrainedModel:
    """Train a model in this process, as a night's child process does."""
    section, threads = configuration.train, configuration.resources.threads
    options = TrainingOptions(device=section.device, seed=section.seed, threads=threads)
    return fit(name, configuration.settings_of(name), dataset, folder, options)


def _shuffled(dataset: Path, folder: Path) -> Path:
    """Copy a dataset with the items of its entries and events shuffled."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(dataset, folder)
    rng = np.random.default_rng(3)
    for part, keys in (("entries", ["user_index", "item_index"]), ("sequences", ["user_index", "timestamp"])):
        table = read(folder, part)
        items = pa.array(rng.permutation(table["item_index"].to_numpy()), table["item_index"].type)
        table = table.set_column(table.column_names.index("item_index"), "item_index", items)
        if part == "entries":
            pairs = table.group_by(keys, use_threads=False).aggregate(
                [(name, "max") for name in ("weight", "trained", "barred")]
            )
            table = pairs.rename_columns([*keys, "weight", "trained", "barred"]).select(table.column_names)
        for path in parts_of(folder, part):
            path.unlink()
        ordered = [(key, "ascending") for key in keys]
        pq.write_table(table.sort_by(ordered), folder / part / "part-0.parquet")
    return folder


def _lists(bench: Bench, boost: np.ndarray[Any, np.dtype[np.float32]]) -> Items:
    """Return lists by the night's model with scores, shifted to start at 0, times `boost`."""
    from models.artefact import load as load_model
    from models.ranking.topn import top_n

    night = bench.night
    histories = load_histories(night.folder.dataset)
    scores = load_model(night.folder.model(night.serving.default)).scores(histories)
    scores = np.maximum(scores - scores.min(axis=1, keepdims=True), 1e-6) * boost
    n, seen = bench.configuration.top_n.n, load_seen(night.folder.dataset)
    return np.asarray(top_n(scores.astype(np.float32), n, exclude=seen).items)


def _with_value(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    values = table[column].to_pylist()
    values[row] = value
    at = table.column_names.index(column)
    return table.set_column(at, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True, help="a separate store for the two nights")
    parser.add_argument("--before", type=date.fromisoformat, required=True)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    parser.add_argument("--model", default="als")
    parser.add_argument("--set", default="{}", help="more configuration keys, as JSON")
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    overrides = {"store.path": str(arguments.store.resolve()), "train.models": [arguments.model]}
    overrides |= {"train.serve": arguments.model} | json.loads(arguments.set)
    configuration = load(arguments.config, overrides)
    bench = finished_night(configuration, arguments.before, arguments.as_of, arguments.store / "bench")
    caught = {name: fault(bench) for name, fault in QUALITY_FAULTS.items()}
    caught["shuffled labels in the last training alone"] = shuffled_refit(bench)
    caught["boost of the most popular hundredth alone"] = popularity_boost(bench, 0.01)
    for name, checks in caught.items():
        failed = [f"{check.check}: {check.observed}" for check in checks if not check.passed]
        print(f"{name}: {'refused' if failed else 'PASSED'}: {'; '.join(failed)}", flush=True)
    for name in TABLE_FAULTS:
        failures = damaged(bench, name).failures
        print(f"{name}: {'refused' if failures else 'PASSED'}: {'; '.join(map(str, failures))}")
    refused, values = 0, dict[str, list[float]]()
    for seed in range(1, arguments.seeds + 1):
        checks = bench.judge(bench.trained(seed))
        failed = [f"{check.check}: {check.observed}" for check in checks if not check.passed]
        refused += bool(failed)
        print(f"seed {seed}: {'refused: ' + '; '.join(failed) if failed else 'passed'}: {checks[0].observed}")
        for check in checks:
            if check.value is not None:
                values.setdefault(check.check, []).append(check.value)
    print(f"{refused} of {arguments.seeds} honest re-runs refused")
    for check, figures in values.items():
        print(f"{check}: {min(figures):.4f} to {max(figures):.4f}")


if __name__ == "__main__":
    main()

"""Published protocols on files: given negatives (ncf), held-out users (vae), time (time)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.evaluation.evaluation import Evaluation, model_factory, settings_with_changes, with_references
from tasks.evaluation.names import ProtocolName
from tasks.evaluation.protocol_files import read_ncf, read_ratings
from tasks.runtime.errors import InputError
from tasks.runtime.progress import Report, silent
from tasks.runtime.resources import Resources

if TYPE_CHECKING:
    from models.evaluation.measured import Measured
    from models.evaluation.protocols import Factory, Part
    from models.interactions import Interactions
    from models.options import TrainingOptions

    Protocol = Callable[[Factory, int, Part], Measured]
    """Measures a model, by its factory, a seed, and the part of the data."""

PUBLISHED_METRICS: Final[dict[ProtocolName, tuple[tuple[str, int], ...]]] = {
    "ncf": (("hit_rate", 10), ("ndcg", 10)),
    "vae": (("recall_min", 20), ("recall_min", 50), ("ndcg", 100)),
    "time": tuple((name, 10) for name in ("ndcg", "map", "mrr", "hit_rate", "coverage", "novelty")),
}
"""The metrics that papers publish under a protocol."""
HELD_OUT, OF_USERS = 500, 12  # users per group of vae: 500, or a twelfth of all if fewer
LEAST_RATING = 3.0  # for the protocol `time`
RATINGS = ("ratings.parquet", "ratings.csv", "ratings.dat")


def measure_under_protocol(
    name: ProtocolName,
    data: Path,
    models: Sequence[str] = (),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    resources: Resources,
    seeds: int = 1,
    ks: Sequence[int] = (),
    report: Report = silent,
) -> Evaluation:
    """Measure models and the reference models under a protocol.

    `changes` are settings that differ from the models' defaults. The seeds 1, 2, ... `seeds`
    initialise the models and draw the users of vae. A model that needs data the files lack is left
    out, with a warning.
    """
    from models.errors import ModelError
    from models.options import TrainingOptions

    names = with_references(models)
    settings = settings_with_changes(names, {}, changes or {})
    seed_numbers = range(1, seeds + 1)
    evaluation = Evaluation(name, tuple(f"seed {seed}" if seeds > 1 else "" for seed in seed_numbers))
    protocol = protocol_of(name, data, ks, TrainingOptions(threads=resources.threads))
    for position, model in enumerate(names):
        runs: list[Measured] = []
        for seed in seed_numbers:
            report(f"measuring: {model}, seed {seed}", position * seeds + seed - 1, len(names) * seeds)
            try:
                runs.append(protocol(model_factory(model, settings[model]), seed, "test"))
            except ModelError as error:
                evaluation.warnings.append(f"{model} was not measured: {error}")
                break
        if len(runs) == seeds:
            evaluation.measured[model] = runs
    report("measuring: done", len(names) * seeds, len(names) * seeds)
    return evaluation


def protocol_of(name: ProtocolName, data: Path, ks: Sequence[int], options: TrainingOptions) -> Protocol:
    """Read the files of a protocol and return the function that measures a model on them.

    `ks` replace the published list lengths. InputError names the expected files if any is missing.
    """
    if not data.is_dir():
        raise InputError(f"--data: no such folder: {data}; {_expected_files(name)}")
    cuts = sorted(set(ks)) or sorted({k for _, k in PUBLISHED_METRICS[name]})
    if name == "ncf":
        return _ncf(data, cuts, options)
    ratings = _ratings(data, name)
    return _vae(ratings, cuts, options) if name == "vae" else _time(ratings, cuts, options)


def _ncf(data: Path, ks: list[int], options: TrainingOptions) -> Protocol:
    from models.evaluation.protocols import ncf
    from models.evaluation.sampled import hide_one_item

    folder = data / "ncf" if (data / "ncf").is_dir() else data
    try:
        files = read_ncf(folder)
    except InputError as error:
        raise InputError(f"{error}; {_expected_files('ncf')}") from None

    def measured(factory: Factory, seed: int, part: Part) -> Measured:
        train, positives, negatives = files.train, files.positives, files.negatives
        sequences = files.sequences
        if part == "validation":  # not in the files: hide one more item per user
            train, positives, negatives = hide_one_item(train, negatives.shape[1], seed)
            sequences = None  # they would reveal it
        return ncf(
            train,
            positives,
            negatives,
            factory,
            ks=ks,
            sequences=sequences,
            options=_seeded(options, seed),
        )

    return measured


def _vae(ratings: Interactions, ks: list[int], options: TrainingOptions) -> Protocol:
    from models.evaluation.protocols import held_out_users

    matrix, sequences = ratings.seen, ratings.sequences
    held_out = max(1, min(HELD_OUT, ratings.shape[0] // OF_USERS))

    def measured(factory: Factory, seed: int, part: Part) -> Measured:
        return held_out_users(
            matrix,
            factory,
            seed,
            held_out=held_out,
            ks=ks,
            part=part,
            sequences=sequences,
            options=_seeded(options, seed),
        )

    return measured


def _time(ratings: Interactions, ks: list[int], options: TrainingOptions) -> Protocol:
    from models.evaluation.protocols import temporal

    liked = ratings.at_least(LEAST_RATING)
    sequences = liked.sequences
    if sequences is None:
        raise InputError("expected ratings with timestamps, to split them in time, got none")

    def measured(factory: Factory, seed: int, part: Part) -> Measured:
        return temporal(sequences, liked.shape[1], factory, ks=ks, part=part, options=_seeded(options, seed))

    return measured


def _ratings(data: Path, name: ProtocolName) -> Interactions:
    for file in RATINGS:
        if (data / file).is_file():
            return read_ratings(data / file)
    raise InputError(f"expected one of {', '.join(RATINGS)} in {data}, got none; {_expected_files(name)}")


def _seeded(options: TrainingOptions, seed: int) -> TrainingOptions:
    from dataclasses import replace

    return replace(options, seed=seed)


def _expected_files(name: ProtocolName) -> str:
    """Return the files that a protocol reads, for a message."""
    if name == "ncf":
        return (
            "ncf reads X.train.rating (user, item, rating, seconds; tabs), X.test.rating and X.test.negative "
            "of FOLDER/ncf or FOLDER, as He et al. 2017 published them"
        )
    return f"{name} reads user_id, item_id, rating and timestamp of FOLDER/{', '.join(RATINGS)} (MovieLens)"

"""Models under published protocols, on files: given negatives (ncf), held-out users (vae), time (time)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.evaluation.evaluation import Evaluation, factory_of, settings_of, with_floors
from tasks.evaluation.names import ProtocolName
from tasks.evaluation.protocol_files import read_ncf, read_ratings
from tasks.runtime.errors import InputError
from tasks.runtime.progress import Report, silent

if TYPE_CHECKING:
    from models.evaluation.measured import Measured
    from models.evaluation.protocols import Factory, Part
    from models.interactions import Interactions
    from models.options import TrainingOptions

    Protocol = Callable[[Factory, int, Part], Measured]
    """What a model is worth: its factory, the seed, the part of the data that is asked for."""

READ: Final[dict[ProtocolName, tuple[tuple[str, int], ...]]] = {
    "ncf": (("hit_rate", 10), ("ndcg", 10)),
    "vae": (("recall_min", 20), ("recall_min", 50), ("ndcg", 100)),
    "time": tuple((name, 10) for name in ("ndcg", "map", "mrr", "hit_rate", "coverage", "novelty")),
}
"""The figures that papers give under a protocol."""
HELD_OUT, OF_USERS = 500, 12  # users of each group of vae: 500, or a twelfth of fewer than 6,000
LEAST_RATING = 3.0  # of time
RATINGS = ("ratings.parquet", "ratings.csv", "ratings.dat")


def of_protocol(
    name: ProtocolName,
    data: Path,
    models: Sequence[str] = (),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    seeds: int = 1,
    ks: Sequence[int] = (),
    threads: int = 0,
    report: Report = silent,
) -> Evaluation:
    """Measure models (none: the reference models alone) and the reference models under a protocol.

    `changes` of the models' defaults; seeds 1, 2, ... `seeds` start the models, and draw the users of vae.
    A model that asks for what the files lack is left out, with a warning.
    """
    from models.errors import ModelError
    from models.options import TrainingOptions

    wanted = with_floors(models)
    settings = settings_of(wanted, {}, changes or {})
    numbers = range(1, seeds + 1)
    done = Evaluation(name, tuple(f"seed {seed}" if seeds > 1 else "" for seed in numbers))
    protocol = protocol_of(name, data, ks, TrainingOptions(threads=threads))
    for place, model in enumerate(wanted):
        found: list[Measured] = []
        for seed in numbers:
            report(f"measuring: {model}, seed {seed}", place * seeds + seed - 1, len(wanted) * seeds)
            try:
                found.append(protocol(factory_of(model, settings[model]), seed, "test"))
            except ModelError as error:
                done.warnings.append(f"{model} was not measured: {error}")
                break
        if len(found) == seeds:
            done.measured[model] = found
    report("measuring: done", len(wanted) * seeds, len(wanted) * seeds)
    return done


def protocol_of(name: ProtocolName, data: Path, ks: Sequence[int], options: TrainingOptions) -> Protocol:
    """Read the files of a protocol and return what measures a model on them.

    `ks` replace those that papers read. InputError says which files are expected where some are missing.
    """
    if not data.is_dir():
        raise InputError(f"--data: no such folder: {data}; {_expected(name)}")
    cuts = sorted(set(ks)) or sorted({k for _, k in READ[name]})
    if name == "ncf":
        return _ncf(data, cuts, options)
    ratings = _ratings(data, name)
    return _vae(ratings, cuts, options) if name == "vae" else _time(ratings, cuts, options)


def _ncf(data: Path, ks: list[int], options: TrainingOptions) -> Protocol:
    from models.evaluation.protocols import ncf
    from models.evaluation.sampled import hide_one

    folder = data / "ncf" if (data / "ncf").is_dir() else data
    try:
        files = read_ncf(folder)
    except InputError as error:
        raise InputError(f"{error}; {_expected('ncf')}") from None

    def measured(factory: Factory, seed: int, part: Part) -> Measured:
        train, positives, negatives = files.train, files.positives, files.negatives
        sequences = files.sequences
        if part == "validation":  # the files have none: one more item of every user is hidden
            train, positives, negatives = hide_one(train, negatives.shape[1], seed)
            sequences = None  # they would tell which
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
    raise InputError(f"expected one of {', '.join(RATINGS)} in {data}, got none; {_expected(name)}")


def _seeded(options: TrainingOptions, seed: int) -> TrainingOptions:
    from dataclasses import replace

    return replace(options, seed=seed)


def _expected(name: ProtocolName) -> str:
    """Return what a protocol reads, for a message."""
    if name == "ncf":
        return (
            "ncf reads X.train.rating (user, item, rating, seconds; tabs), X.test.rating and X.test.negative "
            "of FOLDER/ncf or FOLDER, as He et al. 2017 published them"
        )
    return f"{name} reads user_id, item_id, rating and timestamp of FOLDER/{', '.join(RATINGS)} (MovieLens)"

"""Published protocols on files: given negatives (ncf), held-out users (vae), time (time).

Two more are for predicted ratings: five-fold cross-validation (ratings), and the last fifth of the
ratings (ratings-time).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.evaluation.evaluation import Evaluation, model_factory, settings_with_changes, with_references
from tasks.evaluation.names import RATING_REFERENCES, ProtocolName
from tasks.evaluation.protocol_files import latest_ratings, read_ncf, read_ratings
from tasks.runtime.errors import InputError, UserError
from tasks.runtime.progress import Report, silent
from tasks.runtime.resources import Resources

if TYPE_CHECKING:
    from models.evaluation.measured import Measured
    from models.evaluation.protocols import Factory, Part
    from models.evaluation.ratings import Ratings
    from models.interactions import Interactions
    from models.options import TrainingOptions

    Protocol = Callable[[Factory, int, Part], Measured]
    """Measures a model, by its factory, the number of the run, and the part of the data."""

PUBLISHED_METRICS: Final[dict[ProtocolName, tuple[tuple[str, int], ...]]] = {
    "ncf": (("hit_rate", 10), ("ndcg", 10)),
    "vae": (("recall_min", 20), ("recall_min", 50), ("ndcg", 100)),
    "time": tuple((name, 10) for name in ("ndcg", "map", "mrr", "hit_rate", "coverage", "novelty")),
    "ratings": (("rmse", 0), ("mae", 0)),
    "ratings-time": (("rmse", 0), ("mae", 0)),
}
"""The metrics that papers publish under a protocol."""
HELD_OUT, OF_USERS = 500, 12  # users per group of vae: 500, or a twelfth of all if fewer
LEAST_RATING = 3.0  # for the protocol `time`
OF_RATINGS: Final[tuple[ProtocolName, ...]] = ("ratings", "ratings-time")
FOLDS: Final = 5
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
    initialise the models and draw the users of vae and the five folds of ratings, each of which is
    a run. A model that needs data the files lack is left out, with a warning. UserError if a model
    does not predict the ratings that a protocol asks for.
    """
    from models.errors import ModelError
    from models.options import TrainingOptions

    names = with_references(models)
    if name in OF_RATINGS:
        names = tuple(dict.fromkeys([*models, *RATING_REFERENCES]))
        require_ratings(name, names)
    settings = settings_with_changes(names, {}, changes or {})
    labels = runs_of(name, seeds)
    evaluation = Evaluation(name, labels)
    protocol = protocol_of(name, data, ks, TrainingOptions(threads=resources.threads))
    for position, model in enumerate(names):
        runs: list[Measured] = []
        for number, label in enumerate(labels, 1):
            done = position * len(labels) + number - 1
            report(f"measuring: {model}, {label or 'seed 1'}", done, len(names) * len(labels))
            try:
                runs.append(protocol(model_factory(model, settings[model]), number, "test"))
            except ModelError as error:
                evaluation.warnings.append(f"{model} was not measured: {error}")
                break
        if len(runs) == len(labels):
            evaluation.measured[model] = runs
    report("measuring: done", len(names) * len(labels), len(names) * len(labels))
    return evaluation


def runs_of(name: ProtocolName, seeds: int) -> tuple[str, ...]:
    """Return the names of a protocol's runs, 1, 2, ...; the name of a single run is empty."""
    numbers = [f"seed {seed}" for seed in range(1, seeds + 1)] if seeds > 1 else [""]
    if name != "ratings":
        return tuple(numbers)
    return tuple(
        f"{seed}, fold {fold}".removeprefix(", ") for seed in numbers for fold in range(1, FOLDS + 1)
    )


def require_ratings(name: ProtocolName, models: Sequence[str]) -> None:
    """Raise UserError if a model cannot be measured under a protocol of ratings."""
    from models import registry
    from models.abilities import PredictsRatings

    if name not in OF_RATINGS:
        return
    for model in models:
        if not issubclass(registry.model_class(model), PredictsRatings):
            able = [
                each
                for each in registry.built_in()
                if issubclass(registry.model_class(each), PredictsRatings)
            ]
            expected = f"expected a model that predicts ratings, such as {', '.join(able)}"
            raise UserError(f"--protocol {name}: {expected}, got {model}")


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
    if name in OF_RATINGS:
        return _of_ratings(name, latest_ratings(ratings), options)
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


def _of_ratings(name: ProtocolName, ratings: Ratings, options: TrainingOptions) -> Protocol:
    from models.evaluation.ratings import cross_validated, latest_hidden

    def measured(factory: Factory, run: int, part: Part) -> Measured:
        seed, fold = divmod(run - 1, FOLDS) if name == "ratings" else (run - 1, 0)
        seeded = _seeded(options, seed + 1)
        if name == "ratings":
            return cross_validated(ratings, factory, seed + 1, fold, part=part, options=seeded)
        return latest_hidden(ratings, factory, part=part, options=seeded)

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

"""Evaluations: models measured beside the reference models, on any split or data.

`measure_models` measures the models that a night trained, on the temporal split. `measure_on_split`
splits the night's dataset in another way and trains in this process.
`tasks/evaluation/protocols.py` does so for published protocols, on files.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.configuration.configuration import Configuration
from tasks.configuration.overrides import overridden
from tasks.dataset.arrays import load_dataset
from tasks.evaluation.item_attributes import add_attribute_diversity, item_attributes
from tasks.evaluation.names import REFERENCES, SPLITS
from tasks.runtime.errors import InputError, UserError
from tasks.runtime.progress import Report, silent

if TYPE_CHECKING:
    from models.dataset import Dataset
    from models.evaluation.measured import Measured
    from models.evaluation.protocols import Factory, Weigh
    from models.options import TrainingOptions
    from models.splitting.split import Split
    from tasks.evaluation.holdout import Holdout

HELD_OUT_SHARE = 0.1  # of users for the test, and again for validation


@dataclass
class Evaluation:
    """The measurements of models: for each model a `Measured` per part, a window of time or a seed.

    `parts` names the parts; the name of a single part is empty. `folder` is the dataset that user
    and item indices refer to, None for files of protocols.
    """

    split: str
    parts: tuple[str, ...]
    measured: dict[str, list[Measured]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    folder: Path | None = None


def with_references(models: Sequence[str]) -> tuple[str, ...]:
    """Return the models, followed by the reference models that are not among them."""
    return tuple(dict.fromkeys([*models, *REFERENCES]))


def settings_with_changes(
    models: Sequence[str],
    configured: Mapping[str, Mapping[str, Any]],
    changes: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Return the settings of each model: the configured ones, with changes applied key by key.

    Raises
    ------
    UserError
        If a change is for a model that is not measured.
    ModelError
        If a model is unknown, or does not accept a setting.
    """
    from models import registry

    for name in changes:
        if name not in models:
            raise UserError(f"--set: expected one of the models {', '.join(models)}, got {name!r}")
    all_settings = {name: overridden(configured.get(name, {}), changes.get(name, {})) for name in models}
    for name, settings in all_settings.items():
        registry.config(name, settings)
    return all_settings


def evaluation_configuration(
    configuration: Configuration,
    models: Sequence[str] = (),
    ks: Sequence[int] = (),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Configuration:
    """Return a configuration that measures these models and the reference models.

    Without `models`, the configured ones are measured. Raises the errors of
    `settings_with_changes`.
    """
    names = with_references(models or configuration.train.models)
    settings = {**configuration.models, **settings_with_changes(names, configuration.models, changes or {})}
    train = configuration.train.model_dump() | {"models": names, "serve": names[0], "serve_by_segment": {}}
    evaluation = configuration.evaluation.model_dump() | {"enabled": True}
    evaluation |= {"ks": tuple(sorted(set(ks)))} if ks else {}
    return configuration.model_copy(
        update={
            "models": settings,
            "train": type(configuration.train).model_validate(train),
            "evaluation": type(configuration.evaluation).model_validate(evaluation),
        }
    )


def measure_models(
    configuration: Configuration, artefacts: Mapping[str, Path], holdout: Holdout
) -> Evaluation:
    """Measure the models of a night on its holdout."""
    from models.evaluation.measured import Background, measure_lists
    from models.options import resource_limits

    if not len(holdout):
        raise InputError(
            f"expected users with a past and something to find, got none: {holdout.cold_users} cold users, "
            f"{holdout.cold_items} cold items, {holdout.repeats} repeated pairs"
        )
    evaluation, training = (
        Evaluation("temporal", ("",), folder=holdout.past),
        load_dataset(holdout.past).matrix,
    )
    ks, resources = holdout.cuts(configuration.evaluation.ks), configuration.resources
    attributes, catalogue = item_attributes(holdout.past), np.asarray(holdout.allowed, dtype=np.bool_)
    with resource_limits(resources.threads, resources.block_bytes):
        background = Background.of(training, catalogue, len(holdout), ks[-1], holdout.seen)
    for name, folder in artefacts.items():
        measured = measure_lists(
            holdout.lists_of(folder, ks[-1], resources),
            holdout.relevant,
            background,
            users=holdout.users,
            history=np.diff(holdout.histories.matrix.indptr).astype(np.int64),
            ks=ks,
            counts=holdout.counts,
            threads=resources.threads,
        )
        evaluation.measured[name] = [add_attribute_diversity(measured, attributes)]
    return evaluation


def measure_on_split(
    configuration: Configuration,
    folder: Path,
    split: str,
    *,
    windows: int = 3,
    report: Report = silent,
) -> Evaluation:
    """Train and measure the configured models on a dataset on disk, with a split of its sequences.

    The weight of a pair is 1 + alpha ln(1 + its training events). A night's weights also depend on
    types and ages of events, which the sequences do not have. Held-out users keep the weights of
    the dataset.
    """
    data, attributes = load_dataset(folder), item_attributes(folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parts = list(_parts(configuration, data, split, windows))
    evaluation = Evaluation(split, tuple(name for name, _ in parts), folder=folder)
    evaluation.warnings += [str(warning.message) for warning in caught]
    for number, name in enumerate(configuration.train.models):
        report(f"measuring: {name}", number, len(configuration.train.models))
        factory = model_factory(name, configuration.settings_of(name))
        measured = (measure(factory) for _, measure in parts)
        evaluation.measured[name] = [add_attribute_diversity(part, attributes) for part in measured]
    report("measuring: done", len(configuration.train.models), len(configuration.train.models))
    return evaluation


def model_factory(name: str, settings: Mapping[str, Any]) -> Factory:
    """Return a function that makes a model with these settings; ModelError if they are wrong."""
    from models import registry

    config = registry.config(name, settings)
    return lambda: registry.create(name, config)


def _parts(
    configuration: Configuration, data: Dataset, split: str, windows: int
) -> Iterator[tuple[str, Callable[[Factory], Measured]]]:
    """Yield the name of each part, and the function that measures a model on it."""
    from models.evaluation.protocols import held_out_users, measure_split
    from models.splitting import split as splits

    sequences, ks, options = data.sequences, _ks(configuration, data), _options(configuration)
    if sequences is None:
        raise InputError("expected a dataset with sequences, got none")
    if split == "held-out-users":
        held_out = max(1, int(HELD_OUT_SHARE * np.count_nonzero(~data.histories.empty)))
        held_out = min(held_out, configuration.evaluation.max_users)
        seed, share = configuration.train.seed, configuration.evaluation.holdout_share
        yield (
            "",
            lambda factory: held_out_users(
                data.matrix,
                factory,
                seed,
                held_out=held_out,
                hidden_share=share,
                ks=ks,
                sequences=sequences,
                options=options,
            ),
        )
        return

    def measured_on(window: Split) -> Callable[[Factory], Measured]:
        return lambda factory: measure_split(
            sequences, data.n_items, window, factory, ks=ks, weigh=_weigh(configuration), options=options
        )

    share = configuration.evaluation.holdout_share
    if split == "rolling":
        cuts = splits.last_share_starts(sequences, share, windows)
        for cut, window in zip(cuts, splits.rolling(sequences, data.n_items, cuts), strict=True):
            yield f"from {np.datetime64(cut, 'us').astype('datetime64[s]')}", measured_on(window)
    elif split == "leave-last-out":
        yield "", measured_on(splits.leave_last_out(sequences, data.n_items))
    elif split == "random":
        yield "", measured_on(splits.split_randomly(sequences, data.n_items, share, configuration.train.seed))
    else:
        raise UserError(f"--split: expected one of {', '.join(SPLITS)}, got {split!r}")


def _ks(configuration: Configuration, data: Dataset) -> list[int]:
    """Return the list lengths to measure, none longer than the catalogue."""
    return sorted({min(k, data.n_items) for k in configuration.evaluation.ks})


def _options(configuration: Configuration) -> TrainingOptions:
    from models.options import TrainingOptions

    return TrainingOptions(
        device=configuration.train.device,
        seed=configuration.train.seed,
        threads=configuration.resources.threads,
    )


def _weigh(configuration: Configuration) -> Weigh:
    alpha = np.float32(configuration.dataset.alpha)
    return lambda events: (1 + alpha * np.log1p(events)).astype(np.float32)

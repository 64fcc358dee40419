"""Models measured beside the reference models: what every evaluation returns, whatever its split or data.

The temporal split measures what a night trained, in `of_night`; the other splits train in this process, on
the arrays of the night's dataset, in `of_arrays`; so do published protocols, on files, in
`tasks/evaluation/protocols.py`.
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
from tasks.dataset.arrays import load_dataset, load_histories, load_seen
from tasks.dataset.parts import read
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

HELD_OUT_SHARE = 0.1  # of the users for the test, and as many more that stay untouched for validation


@dataclass
class Evaluation:
    """What was measured: for each model one `Measured` a part, which is a window of time or a seed.

    `parts` has the names of these, one empty name where there is a single one; `warnings` is for people.
    `folder` is the dataset whose users and items the indices are, None for files of protocols.
    """

    split: str
    parts: tuple[str, ...]
    measured: dict[str, list[Measured]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    folder: Path | None = None


def with_floors(models: Sequence[str]) -> tuple[str, ...]:
    """Return models and the reference models that are not among them."""
    return tuple(dict.fromkeys([*models, *REFERENCES]))


def settings_of(
    models: Sequence[str],
    configured: Mapping[str, Mapping[str, Any]],
    changes: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Return the settings of each model: the configured ones, replaced key by key by the changes.

    Raises
    ------
    UserError
        If a change is for a model that is not among them.
    ModelError
        If a model is not known, or does not take a setting.
    """
    from models import registry

    for name in changes:
        if name not in models:
            raise UserError(f"--set: expected one of the models {', '.join(models)}, got {name!r}")
    both = {name: overridden(configured.get(name, {}), changes.get(name, {})) for name in models}
    for name, settings in both.items():
        registry.config(name, settings)
    return both


def to_measure(
    configuration: Configuration,
    models: Sequence[str] = (),
    ks: Sequence[int] = (),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Configuration:
    """Return a configuration that measures these models (the configured ones if none) and the floors.

    Raises what `settings_of` raises.
    """
    wanted = with_floors(models or configuration.train.models)
    settings = {**configuration.models, **settings_of(wanted, configuration.models, changes or {})}
    train = configuration.train.model_dump() | {"models": wanted, "serve": wanted[0], "serve_by_segment": {}}
    evaluation = configuration.evaluation.model_dump() | {"enabled": True}
    evaluation |= {"ks": tuple(sorted(set(ks)))} if ks else {}
    return configuration.model_copy(
        update={
            "models": settings,
            "train": type(configuration.train).model_validate(train),
            "evaluation": type(configuration.evaluation).model_validate(evaluation),
        }
    )


def of_night(
    configuration: Configuration, past: Path, artefacts: Mapping[str, Path], holdout: Holdout
) -> Evaluation:
    """Return what the models of a night are worth on its holdout, user by user."""
    from models.artefact import load
    from models.evaluation.measured import judged

    if not len(holdout.users):
        raise InputError(
            f"expected users with a past and something to find, got none: {holdout.cold_users} cold users, "
            f"{holdout.cold_items} cold items, {holdout.repeats} repeated pairs"
        )
    done = Evaluation("temporal", ("",), folder=past)
    everybody, data = load_histories(past), load_dataset(past)
    histories, seen = everybody.rows(holdout.users), load_seen(past)[holdout.users]
    allowed = read(past, "items", ["available"])["available"].to_numpy()
    ks = sorted({min(k, len(allowed)) for k in configuration.evaluation.ks})
    for name, folder in artefacts.items():
        top = load(folder).recommend(
            histories,
            ks[-1],
            exclude=None if configuration.top_n.repeats else seen,
            allowed=allowed,
            threads=configuration.engine.threads,
        )
        found = judged(
            top.items,
            holdout.relevant,
            users=holdout.users,
            history=np.diff(histories.matrix.indptr).astype(np.int64),
            popularity=np.bincount(data.matrix.indices, minlength=data.n_items),
            trained_users=int((~data.histories.empty).sum()),
            catalogue=np.asarray(allowed, dtype=np.bool_),
            ks=ks,
            counts=holdout.counts,
            threads=configuration.engine.threads,
        )
        done.measured[name] = [found]
    return done


def of_arrays(
    configuration: Configuration,
    folder: Path,
    split: str,
    *,
    windows: int = 3,
    report: Report = silent,
) -> Evaluation:
    """Train and measure the configured models on a dataset on disk, split in another way than by one moment.

    A pair weighs 1 + alpha ln(1 + its training events); kinds and ages of events, which a night's weights
    know, are not in the sequences. Held-out users keep the weights of the dataset.
    """
    data = load_dataset(folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parts = list(_parts(configuration, data, split, windows))
    done = Evaluation(split, tuple(name for name, _ in parts), folder=folder)
    done.warnings += [str(one.message) for one in caught]
    for number, name in enumerate(configuration.train.models):
        report(f"measuring: {name}", number, len(configuration.train.models))
        factory = factory_of(name, configuration.settings_of(name))
        done.measured[name] = [measure(factory) for _, measure in parts]
    report("measuring: done", len(configuration.train.models), len(configuration.train.models))
    return done


def factory_of(name: str, settings: Mapping[str, Any]) -> Factory:
    """Return what makes a new model with these settings; ModelError at once if they are wrong."""
    from models import registry

    config = registry.config(name, settings)
    return lambda: registry.create(name, config)


def _parts(
    configuration: Configuration, data: Dataset, split: str, windows: int
) -> Iterator[tuple[str, Callable[[Factory], Measured]]]:
    """Yield the name of each part and what measures a model on it."""
    from models.evaluation.protocols import held_out_users, on_split
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

    def measured_on(one: Split) -> Callable[[Factory], Measured]:
        return lambda factory: on_split(
            sequences, data.n_items, one, factory, ks=ks, weigh=_weigh(configuration), options=options
        )

    share = configuration.evaluation.holdout_share
    if split == "rolling":
        cuts = splits.cuts_of_last(sequences, share, windows)
        for cut, one in zip(cuts, splits.rolling(sequences, data.n_items, cuts), strict=True):
            yield f"from {np.datetime64(cut, 'us').astype('datetime64[s]')}", measured_on(one)
    elif split == "leave-last-out":
        yield "", measured_on(splits.leave_last_out(sequences, data.n_items))
    elif split == "random":
        yield "", measured_on(splits.split_randomly(sequences, data.n_items, share, configuration.train.seed))
    else:
        raise UserError(f"--split: expected one of {', '.join(SPLITS)}, got {split!r}")


def _ks(configuration: Configuration, data: Dataset) -> list[int]:
    """Return the lengths of list to measure, none longer than the catalogue."""
    return sorted({min(k, data.n_items) for k in configuration.evaluation.ks})


def _options(configuration: Configuration) -> TrainingOptions:
    from models.options import TrainingOptions

    return TrainingOptions(
        device=configuration.train.device,
        seed=configuration.train.seed,
        threads=configuration.engine.threads,
    )


def _weigh(configuration: Configuration) -> Weigh:
    alpha = np.float32(configuration.dataset.alpha)
    return lambda events: (1 + alpha * np.log1p(events)).astype(np.float32)

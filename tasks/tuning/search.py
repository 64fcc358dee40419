"""The search for a model's settings: trials on windows of the past, kept on disk so that it can go on.

Trials train in this process: data are read and kernels compiled once for all of them, where a child would pay
seconds for each. A trial that takes the process down loses itself alone, as the study is on disk. The
sampler is seeded anew for every trial from the seed and the number of finished ones, so that a search that
was interrupted does the trials that it would have done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tasks.runtime.errors import UserError
from tasks.runtime.progress import Report, silent
from tasks.tuning.study import complete, contains, distributions_of, finished, give_up_interrupted, open_study

if TYPE_CHECKING:
    import optuna

    from models.evaluation.protocols import Factory
    from models.options import Progress

    Window = Callable[[Factory, Callable[[Progress], None]], npt.NDArray[np.float64]]
    """What settings are worth on one window: the metric of every user, NaN where not measured."""

Values = npt.NDArray[np.float64]
Settings = dict[str, Any]
STARTUP: Final = 8  # trials at random before the sampler learns from them


@dataclass(frozen=True)
class Search:
    """What is searched for: a model's settings from the configured ones, until so many trials are finished.

    `minutes` of this call, None for no limit: then a running trial is given up, to be done again.
    """

    model: str
    configured: Settings
    trials: int
    seed: int = 7
    minutes: float | None = None


@dataclass(frozen=True)
class Found:
    """The best trial beside the settings as configured.

    `best_values`, `configured_values` float64 (n_users,): the metric of each user, the mean of their windows;
    `trials`: how many ended how.
    """

    best: Settings
    best_score: float
    best_values: Values
    configured: Settings
    configured_score: float
    configured_values: Values
    trials: dict[str, int]


class _TimeIsUpError(Exception):
    """The time budget ended within a trial."""


def search(wanted: Search, windows: Sequence[Window], folder: Path, report: Report = silent) -> Found:
    """Do the trials that are left of a study in `folder` and return the best so far.

    Raises
    ------
    UserError
        If the model has nothing to search, or no trial was finished.
    """
    check_tunable(wanted.model)
    ends = None if wanted.minutes is None else time.monotonic() + 60 * wanted.minutes
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(folder)
    _measure_configured(study, wanted, windows, folder, report)
    give_up_interrupted(study)
    while len(finished(study)) < wanted.trials and (ends is None or time.monotonic() < ends):
        try:
            _try(study, wanted, windows, folder, ends)
        except _TimeIsUpError:
            break
        report(_said(study, wanted), len(finished(study)), wanted.trials)
    return _found(study, folder)


def check_tunable(model: str) -> None:
    """Raise UserError if a model has nothing to search, ModelError if it is not known."""
    from models import registry

    if not registry.model_class(model).space:
        able = [name for name in registry.known() if registry.model_class(name).space]
        raise UserError(f"model {model} has nothing to tune; expected one of {', '.join(able)}")


def combined(windows: Sequence[Values]) -> Values:
    """Return the mean of each user's windows, NaN for users who are measured in none."""
    together = np.vstack(windows)
    counts = np.count_nonzero(~np.isnan(together), axis=0)
    sums = np.nansum(together, axis=0)
    means: Values = np.full(len(counts), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _score(windows: Sequence[Values]) -> float:
    users = combined(windows)
    if np.isnan(users).all():
        raise UserError("expected users to measure in the validation windows, got none")
    return float(np.nanmean(users))


def _measure_configured(
    study: optuna.Study, wanted: Search, windows: Sequence[Window], folder: Path, report: Report
) -> None:
    """Measure the settings as configured, once a study; the sampler learns from them where it can."""
    from optuna.trial import TrialState, create_trial

    if "configured" in study.user_attrs:
        return
    report(f"tuning {wanted.model}: as configured", 0, wanted.trials)
    factory = _factory(wanted, {})
    done = [window(factory, lambda _: None) for window in windows]
    scores = [_score(done[: number + 1]) for number in range(len(done))]
    np.save(folder / "configured.npy", combined(done))
    ranges = distributions_of(wanted.model)
    own = dict(factory().config)
    params = {name: own[name] for name in ranges}
    if all(contains(kind, params[name]) for name, kind in ranges.items()):
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                params=params,
                distributions=ranges,
                value=scores[-1],
                intermediate_values=dict(enumerate(scores)),
                user_attrs={"settings": {}, "configured": True},
            )
        )
    study.set_user_attr("configured", {"settings": wanted.configured, "score": scores[-1]})


def _try(
    study: optuna.Study, wanted: Search, windows: Sequence[Window], folder: Path, ends: float | None
) -> None:
    """Do one trial: window after window, until the last or until others were better at this point."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    from models.errors import ModelError

    seed = np.random.SeedSequence([wanted.seed, len(finished(study))]).generate_state(1)[0]
    study.sampler = TPESampler(seed=int(seed), n_startup_trials=STARTUP)
    trial = study.ask(distributions_of(wanted.model))
    settings = {name: _rounded(value) for name, value in trial.params.items()}
    trial.set_user_attr("settings", settings)
    done: list[Values] = []
    try:
        for number, window in enumerate(windows):
            done.append(window(_factory(wanted, settings), lambda _: _in_time(ends)))
            _in_time(ends)
            trial.report(_score(done), number)
            if number + 1 < len(windows) and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
    except ModelError as error:
        trial.set_user_attr("refused", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return
    except _TimeIsUpError:
        study.tell(trial, state=TrialState.FAIL)
        raise
    np.save(folder / f"trial-{trial.number}.npy", combined(done))
    study.tell(trial, _score(done))


def _in_time(ends: float | None) -> None:
    if ends is not None and time.monotonic() >= ends:
        raise _TimeIsUpError


def _said(study: optuna.Study, wanted: Search) -> str:
    """Return what the last trial found, for people."""
    last, ranked = finished(study)[-1], complete(study)
    how = last.user_attrs.get("refused") or f"{last.state.name.lower()} at {last.value:.4f}"
    best = f", best {ranked[0].value:.4f}" if ranked else ""
    before = study.user_attrs["configured"]["score"]
    return f"tuning {wanted.model}: trial {how}{best}, as configured {before:.4f}"


def _found(study: optuna.Study, folder: Path) -> Found:
    from optuna.trial import TrialState

    ranked, ended = complete(study), finished(study)
    if not ranked:
        refused = [trial.user_attrs["refused"] for trial in ended if "refused" in trial.user_attrs]
        why = f": {refused[0]}" if refused else ""
        raise UserError(f"no trial was completed{why}; the same command goes on with the study in {folder}")
    best, before = ranked[0], study.user_attrs["configured"]
    return Found(
        best=best.user_attrs["settings"],
        best_score=best.value,
        best_values=np.load(folder / f"trial-{best.number}.npy"),
        configured=before["settings"],
        configured_score=before["score"],
        configured_values=np.load(folder / "configured.npy"),
        trials={
            "complete": len(ranked),
            "pruned": sum(trial.state == TrialState.PRUNED for trial in ended),
            "refused": sum("refused" in trial.user_attrs for trial in ended),
        },
    )


def _factory(wanted: Search, settings: Mapping[str, Any]) -> Factory:
    from tasks.evaluation.evaluation import model_factory

    return model_factory(wanted.model, {**wanted.configured, **settings})


def _rounded(value: Any) -> Any:
    """Return a number to three digits, as a person would write it; it is what is measured, too."""
    return float(f"{value:.3g}") if isinstance(value, float) else value

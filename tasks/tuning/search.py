"""The search for a model's settings: trials on windows of the past, kept on disk.

Trials train in this process: data are read and kernels compiled once, where a child process would
take seconds for each trial. A trial that crashes the process loses only itself, since the study is
on disk. The sampler is seeded for each trial from the seed and the number of finished trials, so
that an interrupted search continues with the trials it would have run anyway.
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
from tasks.tuning.study import (
    close_interrupted,
    complete_trials,
    could_draw,
    distributions_of,
    finished_trials,
    open_study,
)

if TYPE_CHECKING:
    import optuna

    from models.evaluation.protocols import Factory
    from models.options import Progress

    Window = Callable[[Factory, Callable[[Progress], None]], npt.NDArray[np.float64]]
    """Measures settings on one window: the metric of every user, NaN if not measured."""

Values = npt.NDArray[np.float64]
Settings = dict[str, Any]
STARTUP: Final = 8  # random trials before the sampler learns


@dataclass(frozen=True)
class Search:
    """A requested search: a model, its configured settings, and the number of trials to finish.

    `minutes` limits one call, None for no limit. A trial that exceeds it is abandoned and repeated
    later.
    """

    model: str
    configured: Settings
    trials: int
    seed: int = 7
    minutes: float | None = None


@dataclass(frozen=True)
class SearchResult:
    """The best trial and the configured settings, with their scores.

    `best_values`, `configured_values` float64 (n_users,): each user's metric, averaged over
    windows. `trials`: the number of trials by outcome.
    """

    best: Settings
    best_score: float
    best_values: Values
    configured: Settings
    configured_score: float
    configured_values: Values
    trials: dict[str, int]


class _TimeIsUpError(Exception):
    """The time budget ended during a trial."""


def search(request: Search, windows: Sequence[Window], folder: Path, report: Report = silent) -> SearchResult:
    """Run the remaining trials of the study in `folder` and return the best result so far.

    Raises
    ------
    UserError
        If the model has no search space, or no trial was completed.
    """
    check_tunable(request.model)
    deadline = None if request.minutes is None else time.monotonic() + 60 * request.minutes
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(folder)
    _measure_configured(study, request, windows, folder, report)
    close_interrupted(study)
    while len(finished_trials(study)) < request.trials and (deadline is None or time.monotonic() < deadline):
        try:
            _run_trial(study, request, windows, folder, deadline)
        except _TimeIsUpError:
            break
        report(_trial_summary(study, request), len(finished_trials(study)), request.trials)
    return _result(study, folder)


def check_tunable(model: str) -> None:
    """Raise UserError if a model has no search space, ModelError if it is unknown."""
    from models import registry

    if not registry.model_class(model).space:
        tunable = [name for name in registry.known() if registry.model_class(name).space]
        raise UserError(f"model {model} has nothing to tune; expected one of {', '.join(tunable)}")


def mean_by_user(windows: Sequence[Values]) -> Values:
    """Return each user's mean over windows, NaN for users who are measured in none."""
    stacked = np.vstack(windows)
    counts = np.count_nonzero(~np.isnan(stacked), axis=0)
    sums = np.nansum(stacked, axis=0)
    means: Values = np.full(len(counts), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _score(windows: Sequence[Values]) -> float:
    users = mean_by_user(windows)
    if np.isnan(users).all():
        raise UserError("expected users to measure in the validation windows, got none")
    return float(np.nanmean(users))


def _measure_configured(
    study: optuna.Study, request: Search, windows: Sequence[Window], folder: Path, report: Report
) -> None:
    """Measure the configured settings, once per study; the sampler learns from them if it can."""
    from optuna.trial import TrialState, create_trial

    if "configured" in study.user_attrs:
        return
    report(f"tuning {request.model}: as configured", 0, request.trials)
    factory = _factory(request, {})
    values = [window(factory, lambda _: None) for window in windows]
    scores = [_score(values[: number + 1]) for number in range(len(values))]
    np.save(folder / "configured.npy", mean_by_user(values))
    ranges = distributions_of(request.model)
    config = dict(factory().config)
    params = {name: config[name] for name in ranges}
    if all(could_draw(kind, params[name]) for name, kind in ranges.items()):
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
    study.set_user_attr("configured", {"settings": request.configured, "score": scores[-1]})


def _run_trial(
    study: optuna.Study, request: Search, windows: Sequence[Window], folder: Path, deadline: float | None
) -> None:
    """Run one trial, window by window, until it is complete or pruned."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    from models.errors import ModelError

    seed = np.random.SeedSequence([request.seed, len(finished_trials(study))]).generate_state(1)[0]
    study.sampler = TPESampler(seed=int(seed), n_startup_trials=STARTUP)
    trial = study.ask(distributions_of(request.model))
    settings = {name: _rounded(value) for name, value in trial.params.items()}
    trial.set_user_attr("settings", settings)
    values: list[Values] = []
    try:
        for number, window in enumerate(windows):
            values.append(window(_factory(request, settings), lambda _: _require_time(deadline)))
            _require_time(deadline)
            trial.report(_score(values), number)
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
    np.save(folder / f"trial-{trial.number}.npy", mean_by_user(values))
    study.tell(trial, _score(values))


def _require_time(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise _TimeIsUpError


def _trial_summary(study: optuna.Study, request: Search) -> str:
    """Return a message about the last trial."""
    last, ranked = finished_trials(study)[-1], complete_trials(study)
    outcome = last.user_attrs.get("refused") or f"{last.state.name.lower()} at {last.value:.4f}"
    best = f", best {ranked[0].value:.4f}" if ranked else ""
    configured = study.user_attrs["configured"]["score"]
    return f"tuning {request.model}: trial {outcome}{best}, as configured {configured:.4f}"


def _result(study: optuna.Study, folder: Path) -> SearchResult:
    from optuna.trial import TrialState

    ranked, finished = complete_trials(study), finished_trials(study)
    if not ranked:
        refused = [trial.user_attrs["refused"] for trial in finished if "refused" in trial.user_attrs]
        reason = f": {refused[0]}" if refused else ""
        raise UserError(
            f"no trial was completed{reason}; run the same command again to continue the study in {folder}"
        )
    best, configured = ranked[0], study.user_attrs["configured"]
    return SearchResult(
        best=best.user_attrs["settings"],
        best_score=best.value,
        best_values=np.load(folder / f"trial-{best.number}.npy"),
        configured=configured["settings"],
        configured_score=configured["score"],
        configured_values=np.load(folder / "configured.npy"),
        trials={
            "complete": len(ranked),
            "pruned": sum(trial.state == TrialState.PRUNED for trial in finished),
            "refused": sum("refused" in trial.user_attrs for trial in finished),
        },
    )


def _factory(request: Search, settings: Mapping[str, Any]) -> Factory:
    from tasks.evaluation.evaluation import model_factory

    return model_factory(request.model, {**request.configured, **settings})


def _rounded(value: Any) -> Any:
    """Return a number rounded to three digits; the trial measures the rounded number."""
    return float(f"{value:.3g}") if isinstance(value, float) else value

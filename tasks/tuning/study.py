"""A search's trials on disk, as an optuna study, and a model's search space for its sampler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import optuna

UNPRUNED: Final = 4  # complete trials before the median prunes worse ones


def open_study(folder: Path) -> optuna.Study:
    """Open or create the study of a folder; optuna logs only warnings, to our loggers."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "study.journal"))),
        study_name="tuning",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
    )


def close_interrupted(study: optuna.Study) -> None:
    """Mark trials as failed that an earlier process left running."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def finished_trials(study: optuna.Study) -> list[Any]:
    """Return the finished trials: complete, pruned, or refused by the model."""
    from optuna.trial import TrialState

    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if (trial.state in ended or "refused" in trial.user_attrs) and "configured" not in trial.user_attrs
    ]


def complete_trials(study: optuna.Study) -> list[Any]:
    """Return the complete trials, best first, ties in order of trials."""
    from optuna.trial import TrialState

    trials = [trial for trial in finished_trials(study) if trial.state == TrialState.COMPLETE]
    return sorted(trials, key=lambda trial: (-trial.value, trial.number))


def distributions_of(model: str) -> dict[str, Any]:
    """Return a model's search space as optuna distributions."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    from models import registry
    from models.search_space import Choice

    distributions: dict[str, Any] = {}
    for name, kind in registry.model_class(model).space.items():
        if isinstance(kind, Choice):
            distributions[name] = CategoricalDistribution(kind.values)
        elif kind.whole:
            distributions[name] = IntDistribution(int(kind.low), int(kind.high), log=kind.log)
        else:
            distributions[name] = FloatDistribution(kind.low, kind.high, log=kind.log)
    return distributions


def could_draw(kind: Any, value: Any) -> bool:
    """Return whether the sampler could draw a value: not a word such as "learned" from a range."""
    if hasattr(kind, "choices"):
        return value in kind.choices
    return isinstance(value, int | float) and bool(kind.low <= value <= kind.high)

"""A search's trials on disk: a study of optuna, and a model's search space as its sampler has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import optuna

UNPRUNED: Final = 4  # complete trials before the median of a window stops a worse one


def open_study(folder: Path) -> optuna.Study:
    """Return the study of a folder, new or begun; its library logs where ours do, and only warnings."""
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


def give_up_interrupted(study: optuna.Study) -> None:
    """Close the trials that a process left running when it ended."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def finished(study: optuna.Study) -> list[Any]:
    """Return the trials that count: complete, pruned, or refused by the model; not those interrupted."""
    from optuna.trial import TrialState

    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if (trial.state in ended or "refused" in trial.user_attrs) and "configured" not in trial.user_attrs
    ]


def complete(study: optuna.Study) -> list[Any]:
    """Return the complete trials, the best first, of equal ones the earlier."""
    from optuna.trial import TrialState

    found = [trial for trial in finished(study) if trial.state == TrialState.COMPLETE]
    return sorted(found, key=lambda trial: (-trial.value, trial.number))


def distributions_of(model: str) -> dict[str, Any]:
    """Return a model's search space as the sampler's."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    from models import registry
    from models.search_space import Choice

    found: dict[str, Any] = {}
    for name, kind in registry.model_class(model).space.items():
        if isinstance(kind, Choice):
            found[name] = CategoricalDistribution(kind.values)
        elif kind.whole:
            found[name] = IntDistribution(int(kind.low), int(kind.high), log=kind.log)
        else:
            found[name] = FloatDistribution(kind.low, kind.high, log=kind.log)
    return found


def contains(kind: Any, value: Any) -> bool:
    """Tell whether the sampler could have drawn a value."""
    if hasattr(kind, "choices"):
        return value in kind.choices
    return value is not None and bool(kind.low <= value <= kind.high)

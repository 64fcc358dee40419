"""The gate before readers: tonight's models and lists compared with the previous release's.

Champion against challenger. The challenger is the served model as measured tonight: trained without
the last events. The champion is that of the previous release, kept in the store as it was measured
then. Both recommend for the same users of tonight's holdout, from the same histories. Only events
from the later of the two cuts on count, since neither model was trained on these. A night is
refused if its loss surely exceeds `max_loss`: the whole 95 % interval of the mean difference,
paired by user, lies below -`max_loss`.

The comparison detects whether training on tonight's data is worse than last night's by more than
`max_loss`, for returning users. A night whose true loss equals `max_loss` is refused at most 1 time
in 40; the true loss of a healthy night is about 0, so it is refused far less often. The comparison
does not detect a loss within `max_loss`, or within the width of the interval. The table shows the
interval, which widens as the users get fewer; below `min_users` there is no comparison. The
interval covers users, not seeds: a difference between two seeds counts as a true one, and
`max_loss` must leave room for it. The challenger has seen later events than the champion, which
favours it by the value of one night of events. A slow decline within `max_loss` per night passes
every night; `model_metrics` show it over time.

Neither model is the published one, which is trained again, on everything. The check `refit`
therefore compares the published model with the challenger. It has seen the answers, so it must not
be surely worse than the challenger, which has not. This detects, for example, shuffled labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.configuration.configuration import Configuration
from tasks.dataset.parts import read
from tasks.evaluation.holdout import make_holdout
from tasks.evaluation.model_metrics import compared_length
from tasks.quality.best_model import floors_of
from tasks.quality.champion import Champion, Measured, NoChampionError, read_champion
from tasks.quality.checks import QualityCheck, change_text, is_telling, skipped_check
from tasks.quality.comparison import Question, Values, compare
from tasks.recommendations.serving import Serving
from tasks.runtime.wording import counted
from tasks.store.layout import Store

if TYPE_CHECKING:
    from tasks.release.releases import Release

SEEN: Final = (" with the answers seen", " without")
"""What tells the two sides of the check `refit` apart."""


@dataclass(frozen=True)
class Tonight:
    """The folders of a night that the gate checks, and which model serves whom.

    `models` holds the models trained on everything, `staging` the tables. `measured` is None if
    nothing was measured.
    """

    dataset: Path
    models: Path
    staging: Path
    serving: Serving
    measured: Measured | None = None


def quality_checks(
    configuration: Configuration, store: Store, tonight: Tonight, before: Release | None
) -> list[QualityCheck]:
    """Return all checks of a night, against its bounds and the previous release `before`."""
    from tasks.quality.lists import list_checks
    from tasks.quality.variety import variety_checks

    return [
        *accuracy_checks(configuration, store, tonight, before),
        *variety_checks(configuration, tonight.dataset, tonight.staging, tonight.serving),
        *list_checks(configuration, tonight.dataset, tonight.staging, before),
    ]


def accuracy_checks(
    configuration: Configuration, store: Store, tonight: Tonight, before: Release | None
) -> Iterator[QualityCheck]:
    """Yield the checks `floor`, `accuracy` and `refit`; a check that cannot be made passes and says why."""
    settings, measured = configuration.quality, tonight.measured
    name = f"{settings.metric}@{compared_length(configuration)}"
    if measured is None:
        yield skipped_check(f"accuracy {name}", "evaluation.enabled = false: nothing was measured")
        return
    gate = _Gate(configuration, tonight, measured)
    yield gate.floor(f"floor {name}")
    try:
        champion = read_champion(store, configuration, before)
        yield gate.against(f"accuracy {name} against {champion.release_id}", champion)
    except NoChampionError as reason:
        yield skipped_check(f"accuracy {name}", f"nothing to compare with: {reason}")
    yield gate.refit(f"refit {name}")


@dataclass(frozen=True)
class _Gate:
    """The comparisons of a night on its holdout."""

    configuration: Configuration
    tonight: Tonight
    measured: Measured

    def against(self, name: str, champion: Champion) -> QualityCheck:
        """Compare the challenger with the champion; NoChampionError if that cannot be read."""
        from models.errors import ModelError

        question = self._question(max(self.measured.cut, champion.cut))
        champion_values = partial(
            question.of_foreign_models, champion.models, champion.serving, champion.item_ids
        )
        try:
            return self._check(name, question, partial(self._challenger, question), champion_values)
        except ModelError as error:
            raise NoChampionError(f"the models kept of {champion.release_id}: {error}") from error

    def floor(self, name: str) -> QualityCheck:
        """Compare the challenger with the best model that has one ranking for everybody."""
        from models.artefact import MANIFEST

        floors = [
            model
            for model in floors_of(self.configuration.train.models)
            if (self.measured.artefacts / model / MANIFEST).is_file()
        ]
        if not floors or not set(self.tonight.serving.names) - set(floors):
            return skipped_check(name, "a floor serves" if floors else "no floor among [train] models")
        question = self._question(self.measured.cut)
        if len(question.holdout) < self.configuration.quality.min_users:
            return self._few(name, len(question.holdout))
        values = {model: question.measured(self.measured.artefacts / model) for model in floors}
        best = max(floors, key=lambda model: float(values[model].mean()))
        challenger = self._challenger(question)
        compared = compare(self.configuration, challenger, values[best])
        low, high = compared.low or 0.0, compared.high or 0.0
        observed = (
            f"{challenger.mean():.4f} against {values[best].mean():.4f} of {best}: "
            f"{compared.difference:+.4f} [{low:+.4f}, {high:+.4f}]"
        )
        warning = "" if low > 0 else f"what serves is not surely better than {best}: {name} {observed}"
        return QualityCheck(name, observed, "not surely below 0", high >= 0, compared.difference, warning)

    def refit(self, name: str) -> QualityCheck:
        """Compare the published model, which has seen the answers, with the challenger."""
        question, serving = self._question(self.measured.cut), self.tonight.serving
        item_ids = read(self.tonight.dataset, "items", ["item_id"])["item_id"].combine_chunks()
        artefacts = {model: self.tonight.models / model for model in serving.names}
        published = partial(question.of_foreign_models, artefacts, serving, item_ids)
        challenger = partial(self._challenger, question)
        return self._check(name, question, published, challenger, sides=SEEN)

    def _question(self, cut: int) -> Question:
        holdout = make_holdout(self.configuration, self.tonight.dataset, self.measured.past, cut)
        return Question(self.configuration, holdout)

    def _challenger(self, question: Question) -> Values:
        serving = self.tonight.serving
        artefacts = {model: self.measured.artefacts / model for model in serving.names}
        return question.of_measured_models(artefacts, serving)

    def _few(self, name: str, users: int) -> QualityCheck:
        return skipped_check(
            name, f"{counted(users, 'user')}, fewer than {self.configuration.quality.min_users}"
        )

    def _check(
        self,
        name: str,
        question: Question,
        measure: Callable[[], Values],
        measure_reference: Callable[[], Values],
        sides: tuple[str, str] = ("", ""),
    ) -> QualityCheck:
        """Check that a model is not surely worse than the reference by more than `max_loss`.

        `sides` says which is which, if the name of the check does not.
        """
        settings, users = self.configuration.quality, len(question.holdout)
        if users < settings.min_users:
            return self._few(name, users)
        values, reference = measure(), measure_reference()
        compared, base = compare(self.configuration, values, reference), float(reference.mean())
        change, low, high = compared.difference, compared.low or 0.0, compared.high or 0.0
        compared_text = f"{values.mean():.4f}{sides[0]} against {base:.4f}{sides[1]}"
        observed = f"{compared_text}: {change_text(change, low, high, base)}, {users} users"
        bound = f"not surely below -{settings.max_loss:.1%}"
        if not is_telling(change, base):
            bound = f"not surely below -{settings.max_loss * base:.4f}, {settings.max_loss:.1%} of {base:.4f}"
        share, highest = (change / base, high / base) if base else (0.0, 0.0)
        return QualityCheck(name, observed, bound, highest >= -settings.max_loss, share)

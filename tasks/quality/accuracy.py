"""The gate before readers: tonight's models and lists beside those of the release before.

Champion against challenger. The challenger is the served model as it was measured tonight: trained without
the last events. The champion is that of the release before, kept in the store as it was measured then. Both
are asked on tonight's holdout about the same users, with the same histories, and only about events from the
later of the two cuts on, which neither was trained on. Refused is a night whose loss is sure to be larger
than `max_loss`: the whole 95 % interval of the mean difference, paired by user, lies below it.

What this can tell: whether tonight's way of training, on tonight's data, is worse than last night's by more
than `max_loss`, for users who came back. An honest night is refused in at most 1 of 40 even where its true
loss is all of `max_loss`; its true loss is about 0, so in far fewer. What it cannot tell: a loss within
`max_loss`, or within the width of the interval, which the table shows and which grows as the users get fewer
(below `min_users` nothing is judged). The interval is over users, not over seeds: two trainings that differ
by luck differ truly for it, and `max_loss` must leave room for that luck. The challenger has seen later
events than the champion, so figures lean to its side by what a night of news is worth. A slow decline, each
night within `max_loss`, passes every night: `model_metrics` over time show it. And neither model is the
published one, which is trained once more, on everything: `refit` therefore asks that one too. It has seen the
answers, so it may not be surely worse than the challenger that has not; labels that were shuffled on the way
are found so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.configuration.configuration import Configuration
from tasks.dataset.parts import read
from tasks.evaluation.holdout import make_holdout
from tasks.quality.champion import Champion, Measured, NoChampionError, read_champion
from tasks.quality.checks import QualityCheck, not_judged
from tasks.quality.comparison import Question, Values, compare
from tasks.recommendations.serving import Serving
from tasks.store.layout import Store

if TYPE_CHECKING:
    from tasks.release.releases import Release


@dataclass(frozen=True)
class Tonight:
    """What is judged: the folders of a night, and who is served by what.

    `models` holds the models trained on everything, `staging` the tables; `measured` is None where nothing
    was measured.
    """

    dataset: Path
    models: Path
    staging: Path
    serving: Serving
    measured: Measured | None = None


def quality_checks(
    configuration: Configuration, store: Store, tonight: Tonight, before: Release | None
) -> list[QualityCheck]:
    """Return every check of a night against its bounds and against the release `before`."""
    from tasks.quality.lists import list_checks

    return [
        *accuracy_checks(configuration, store, tonight, before),
        *list_checks(configuration, tonight.dataset, tonight.staging, before),
    ]


def accuracy_checks(
    configuration: Configuration, store: Store, tonight: Tonight, before: Release | None
) -> Iterator[QualityCheck]:
    """Yield the checks `accuracy` and `refit`; where one cannot be made it says why, and passes."""
    settings, measured = configuration.quality, tonight.measured
    k = min(settings.k, configuration.top_n.n)
    name = f"{settings.metric}@{k}"
    if measured is None:
        yield not_judged(f"accuracy {name}", "evaluation.enabled = false: nothing was measured")
        return
    asked = _Asked(configuration, tonight, measured, k)
    try:
        champion = read_champion(store, configuration, before)
        yield asked.against(f"accuracy {name} against {champion.release_id}", champion)
    except NoChampionError as reason:
        yield not_judged(f"accuracy {name}", f"nothing to compare with: {reason}")
    yield asked.refit(f"refit {name}")


@dataclass(frozen=True)
class _Asked:
    """A night that is asked on its holdout, with lists of k."""

    configuration: Configuration
    tonight: Tonight
    measured: Measured
    k: int

    def against(self, name: str, champion: Champion) -> QualityCheck:
        """Compare the challenger with the champion; NoChampionError where that cannot be read."""
        from models.errors import ModelError

        question = self._question(max(self.measured.cut, champion.cut))

        def theirs() -> Values:
            lists = question.lists(champion.models, champion.item_ids, champion.serving, self.k)
            return question.judge(self.configuration, lists, self.k)

        try:
            return self._judged(name, question, partial(self._challenger, question), theirs)
        except ModelError as error:
            raise NoChampionError(f"the models kept of {champion.release_id}: {error}") from error

    def refit(self, name: str) -> QualityCheck:
        """Compare the published model, which has seen the answers, with the challenger, which has not."""
        question, serving = self._question(self.measured.cut), self.tonight.serving
        items = read(self.tonight.dataset, "items", ["item_id"])["item_id"].combine_chunks()
        folders = {one: self.tonight.models / one for one in serving.names}

        def published() -> Values:
            lists = question.lists(folders, items, serving, self.k)
            return question.judge(self.configuration, lists, self.k)

        return self._judged(name, question, published, partial(self._challenger, question))

    def _question(self, cut: int) -> Question:
        past = self.measured.past
        holdout = make_holdout(self.configuration, self.tonight.dataset, past, cut)
        return Question.of(past, holdout, repeats=self.configuration.top_n.repeats)

    def _challenger(self, question: Question) -> Values:
        folders = {one: self.measured.artefacts / one for one in self.tonight.serving.names}
        lists = question.lists(folders, question.item_ids, self.tonight.serving, self.k)
        return question.judge(self.configuration, lists, self.k)

    def _judged(
        self, name: str, question: Question, ask: Callable[[], Values], ask_other: Callable[[], Values]
    ) -> QualityCheck:
        """Return whether the one is surely worse than the other by more than may be."""
        settings, users = self.configuration.quality, len(question.holdout.users)
        if users < settings.min_users:
            return not_judged(name, f"{users} users, fewer than {settings.min_users}")
        ours, theirs = ask(), ask_other()
        found, other = compare(self.configuration, ours, theirs), float(theirs.mean())
        parts = (found.difference, found.low or 0.0, found.high or 0.0)
        share, low, high = (part / other if other else 0.0 for part in parts)
        said = f"{ours.mean():.4f} against {other:.4f}: {share:+.1%} [{low:+.1%}, {high:+.1%}], {users} users"
        bound = f"not surely below -{settings.max_loss:.1%}"
        return QualityCheck(name, said, bound, high >= -settings.max_loss, share)

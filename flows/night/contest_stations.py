"""The stations that learn settings: the eve of a night, and its contest of incumbent and challengers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flows.night.night import Night, Result
from tasks.configuration.engines import Engine
from tasks.dataset.build import build_dataset
from tasks.incumbents.document import Incumbents, Settings
from tasks.incumbents.plan import Contest, budget_of, incumbent_of, plan_contest, slots, span_days
from tasks.incumbents.state import carried
from tasks.interactions.events import make_events
from tasks.release.releases import release_before
from tasks.runtime.errors import MODEL_ERRORS, TrainingKilledError, is_transient
from tasks.training.request import Training, write_request

if TYPE_CHECKING:
    from tasks.incumbents.contest import Measured
    from tasks.quality.comparison import Question

LOG = logging.getLogger("nightshelf")


def eve_station(night: Night, engine: Engine) -> Result:
    """Read what the release before had learned; if there is a contest, build the dataset of its date."""
    before = release_before(night.store, night.as_of)
    state, lost = carried(night.configuration, before)
    night.record.warn(*lost)
    facts = {"state": state.model_dump(mode="json"), "contest": None, "why": ""}
    planned = plan_contest(
        night.configuration, before, night.plan_with(state), night.folder.dataset, night.as_of
    )
    if isinstance(planned, Contest):
        budget = budget_of(night.configuration, planned.model, state, night.plan_with(state), night.size)
        if not (budget.take(budget.incumbent) and budget.take(budget.incumbent)):
            planned = f"the plan of [train] minutes leaves no room for challengers of {planned.model}"
    if not isinstance(planned, Contest):
        return Result(None, facts | {"why": planned})
    make_events(night.configuration, night.ledger(), engine, planned.judged)
    summary = build_dataset(night.configuration, engine, night.folder.eve, night.folder.root)
    contest = {"model": planned.model, "judged": planned.judged.isoformat(), "cut": planned.cut}
    return Result(summary.pairs, facts | {"contest": contest})


def incumbents_station(night: Night) -> Result:
    """Judge the incumbent of a model and its challengers by the events since the release before."""
    from tasks.evaluation.holdout import make_holdout
    from tasks.incumbents.contest import contest
    from tasks.incumbents.draws import Ground
    from tasks.incumbents.sentences import change_sentence, judged_rows
    from tasks.quality.comparison import Question

    facts, configuration, run = night.record.station("eve").facts, night.configuration, night.folder
    model, state = facts["contest"]["model"], Incumbents.model_validate(facts["state"])
    incumbent = incumbent_of(configuration, model, state)
    question = Question(
        configuration, make_holdout(configuration, run.dataset, run.eve, facts["contest"]["cut"])
    )
    users = len(question.holdout)
    if users < configuration.quality.min_users:
        why = f"{users} users met something new, too few to judge settings"
        return Result(0, {"state": facts["state"], "model": model, "judged": [], "change": "", "why": why})
    budget = budget_of(configuration, model, state, night.plan_with(state), night.size)
    budget.take(budget.incumbent)
    ground = Ground(
        model,
        incumbent.configured,
        incumbent.settings,
        None,
        span_days(run.eve),
        configuration.train.seed,
        night.as_of,
    )

    def measure(number: int, settings: Settings) -> Measured | None:
        return _measured(night, question, Training(run, model, "eve", number), settings)

    outcome = contest(incumbent, ground, slots(configuration), budget.take, measure)
    after = state.after(model, outcome.incumbent, outcome.change)
    change = change_sentence(outcome.change, state.metric) if outcome.change else ""
    return Result(
        users,
        {
            "state": after.model_dump(mode="json"),
            "model": model,
            "judged": judged_rows(outcome.judged, incumbent.settings),
            "change": change,
            "why": "" if outcome.measured else f"{model} cannot be trained on the eve",
        },
    )


def _measured(night: Night, question: Question, training: Training, settings: Settings) -> Measured | None:
    """Train a contender on the eve and measure it; None if that is not possible.

    A challenger whose training is killed is given up: it may need more memory than there is.
    """
    from tasks.incumbents.contest import Measured

    write_request(training, night.configuration, settings)
    try:
        trained = night.trainer(training, night.report)
        values = question.measured(trained.folder)
    except MODEL_ERRORS as error:
        given_up = training.contender and isinstance(error, TrainingKilledError)
        if is_transient(error) and not given_up:
            raise
        LOG.info("contender %d of %s: %s", training.contender, training.model, error)
        return None
    return Measured(values, trained.report.get("half_life_days"))

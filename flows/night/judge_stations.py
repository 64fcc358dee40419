"""The stations that judge: what readers had, which model serves, whether a night may reach readers."""

from __future__ import annotations

from dataclasses import asdict

from flows.night.night import Night, Result
from tasks.configuration.engines import Engine
from tasks.configuration.ids import id_types
from tasks.release.releases import release_before, release_that_readers_had
from tasks.release.writer import TableWriter


def release_scores_station(night: Night, engine: Engine) -> Result:
    """Judge the lists that readers had by the events since, beside the scores of earlier nights."""
    from tasks.release_scores.scores import release_scores

    ids, before = id_types(night.configuration), release_that_readers_had(night.store, night.as_of)
    scores = release_scores(night.configuration, engine, night.folder.dataset, before, night.as_of)
    with TableWriter(night.folder.staging, "release_scores", ids) as writer:
        writer.write(scores.table)
    night.record.warn(*scores.warnings)
    facts = {"judged": before.release_id if before else None, "sentence": scores.sentence}
    return Result(scores.table.num_rows, facts)


def served_model_station(night: Night) -> Result:
    """Choose the model that serves: the current one, unless another is significantly better."""
    from tasks.quality.best_model import NO_MODEL, best_models
    from tasks.recommendations.serving import EVERYBODY

    failed = night.record.failed_models
    names = [name for name in night.configuration.train.models if name not in failed]
    measured = night.measured
    assert measured is not None  # noqa: S101 - the configuration requires the evaluation
    before = release_before(night.store, night.as_of)
    choices = best_models(night.configuration, night.store, names, night.folder.dataset, measured, before)
    for choice in choices.values():
        if choice.why.startswith(NO_MODEL):
            night.record.warn(choice.why)
    segments = {value: asdict(choice) for value, choice in choices.items()}
    return Result(len(names), {**segments.pop(EVERYBODY), "segments": segments})


def quality_station(night: Night) -> Result:
    """Compare models and lists with the release before; record the checks before any refusal."""
    from tasks.quality.accuracy import Tonight, quality_checks
    from tasks.quality.checks import require_quality, rows_of

    run = night.folder
    tonight = Tonight(run.dataset, run.models, run.staging, night.serving, night.measured)
    before = release_before(night.store, night.as_of)
    checks = quality_checks(night.configuration, night.store, tonight, before)
    night.record.quality, night.record.override = rows_of(checks), {}
    night.record.compared_with = before.release_id if before else None
    night.record.save(night.store)
    night.record.warn(*[check.warning for check in checks if check.warning])
    require_quality(str(night.as_of), night.release_id, checks)
    return Result(len(checks), {})

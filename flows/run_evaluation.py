"""The flow `evaluate`: measure models on the last events, from the UI; publish nothing."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
from pathlib import Path
from typing import Any

from prefect import flow, runtime

from flows.night.run import evaluate_only
from flows.orchestration.artifacts import name_run, show_run
from flows.orchestration.mistakes import failed
from flows.orchestration.parameters import YESTERDAY, AsOf, Models, Overrides, day_of
from flows.orchestration.remote_training import deployment_trainer
from flows.output.progress import log_progress
from tasks.configuration.configuration import load
from tasks.configuration.overrides import overrides_of
from tasks.evaluation.evaluation import evaluation_configuration
from tasks.runtime.errors import EXPECTED_ERRORS
from tasks.store.runs import measured_metrics

LOG = logging.getLogger("nightshelf")


def _run_name() -> str:
    return f"evaluate {runtime.flow_run.parameters.get('as_of')}"


@flow(name="evaluate", flow_run_name=_run_name, persist_result=False)
def evaluate(
    *,
    as_of: AsOf = YESTERDAY,
    models: Models = (),
    overrides: Overrides = (),
    config: str = "nightshelf.toml",
) -> Any:
    """Ingest new logs and measure models and references on the last events; publish nothing.

    Args:
        as_of: The last date whose events count, such as 2026-11-20, or: yesterday in the source's time zone.
        models: Measure these models; if none is chosen, the configured ones.
        overrides: Configuration keys to replace, with their values, such as models.als.factors=64.
        config: Path of the configuration file.
    """
    try:
        configuration = evaluation_configuration(load(Path(config), overrides_of(overrides)), models)
        day = day_of(as_of, configuration, runtime.flow_run.scheduled_start_time)
        name_run(configuration, day, "evaluate")
        with show_run(configuration, day, log_progress(LOG)) as report:
            record = evaluate_only(
                configuration, day, report=report, trainer=deployment_trainer(configuration)
            )
    except EXPECTED_ERRORS as error:
        return failed(str(error))
    return measured_metrics(record)

"""The flow `evaluate`: models measured on the last events, by a button in the UI; nothing is published."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
from pathlib import Path
from typing import Any

from prefect import flow, runtime
from prefect.states import Failed

from flows.night.run import evaluate_only
from flows.orchestration.artifacts import name_run, run_shown
from flows.orchestration.parameters import YESTERDAY, AsOf, Models, Overrides, day_of
from flows.orchestration.remote_training import routed
from flows.output.progress import logged
from tasks.configuration.configuration import load
from tasks.configuration.overrides import overrides_of
from tasks.evaluation.evaluation import to_measure
from tasks.runtime.errors import EXPECTED
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
    """Take in new logs, measure models and the reference models on the last events; publish nothing.

    Args:
        as_of: The last date whose events count, such as 2026-11-20, or: yesterday, as the source has it.
        models: Measure these models; those configured if none is chosen.
        overrides: Keys of the configuration to replace, each with its value, such as models.als.factors=64.
        config: Path of the configuration file.
    """
    try:
        configuration = to_measure(load(Path(config), overrides_of(overrides)), models)
        day = day_of(as_of, configuration)
        name_run(configuration, day, "evaluate")
        with run_shown(configuration, day, logged(LOG)) as report:
            record = evaluate_only(configuration, day, report=report, trainer=routed(configuration))
    except EXPECTED as error:
        return Failed(message=str(error))
    return measured_metrics(record)

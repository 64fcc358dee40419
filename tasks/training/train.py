"""Training in a child process, so that a model that crashes does not take the night with it.

The child is a fresh interpreter, never a fork, in which CUDA deadlocks. The parent passes the path
of a request and receives lines of JSON; arrays never pass between them.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from tasks.runtime.children import listen, running
from tasks.runtime.errors import StoreError, TrainingError, TrainingKilledError
from tasks.runtime.progress import Report, silent
from tasks.store.files import write_json_atomically, writing
from tasks.training.artefacts import TrainedModel
from tasks.training.request import Training, facts_of, read_request, result_file

LOG = logging.getLogger("nightshelf")
CHILD: Final = (sys.executable, "-P", "-m", "tasks.training.child")


class Trainer(Protocol):
    """Trains the requested model, locally or remotely."""

    def __call__(self, training: Training, report: Report) -> TrainedModel:
        """Train by the request in `training.file` and return the model."""


class DeviceFailedError(TrainingError):
    """The GPU failed or is absent; the CPU can train the model instead."""


def train_in_child(
    training: Training,
    report: Report = silent,
    *,
    warnings: Sequence[str] = (),
    command: Sequence[str] = CHILD,
) -> TrainedModel:
    """Train one model in a child process; if CUDA fails, train on the CPU, with a warning.

    A finished training is not repeated. `warnings` are stored with those of the training. `command`
    starts the child.

    Raises
    ------
    TrainingKilledError
        If the child was killed by a signal; its checkpoint stays, and a retry resumes from it.
    TrainingError
        If the model cannot be trained on this data; the message is the model's.
    StoreError
        If the artefact cannot be written.
    """
    read_request(training.file)
    trained = finished(training)
    if trained is not None:
        return trained
    all_warnings = list(warnings)
    try:
        outcome = _run([*command, str(training.file)], training, report)
    except DeviceFailedError as error:
        all_warnings.append(f"{training.model}: trained on cpu: CUDA failed: {error}")
        LOG.warning("%s", all_warnings[-1])
        outcome = _run([*command, str(training.file), "cpu"], training, report)
    keys = ("device", "seconds", "report", "peak_memory")
    facts = {"request": training.digest(), "warnings": all_warnings, **{key: outcome[key] for key in keys}}
    write_json_atomically(result_file(training.file), facts)
    return _model(training, facts)


def finished(training: Training) -> TrainedModel | None:
    """Return the model of exactly this request if its training finished, else None."""
    facts = facts_of(training.file, training.artefact)
    return None if facts is None else _model(training, facts)


def _model(training: Training, facts: dict[str, Any]) -> TrainedModel:
    return TrainedModel(
        training.model,
        training.artefact,
        str(facts["device"]),
        float(facts["seconds"]),
        facts["report"],
        tuple(facts["warnings"]),
    )


def _run(command: Sequence[str], training: Training, report: Report) -> dict[str, Any]:
    """Run one child to its end; return its outcome."""
    log_file = training.file.with_name(f"{training.artefact.name}.log")
    with writing(log_file):
        log = log_file.open("wb")
    with log, running(command, log) as child:
        outcome = listen(child, report, training.model)
    code = child.returncode
    if outcome.get("ended") == "trained" and code == 0:
        return outcome
    raise _error(training.model, code, outcome, log_file)


def _error(model: str, code: int, outcome: dict[str, Any], log_file: Path) -> Exception:
    """Return the error for a child's outcome and exit code."""
    ended, message = outcome.get("ended"), str(outcome.get("message", ""))
    if ended == "device":
        return DeviceFailedError(message)
    if ended == "store":
        return StoreError(message)
    if ended == "refused":
        return TrainingError(f"model {model} cannot be trained: {message}")
    if ended == "memory":
        return TrainingError(f"model {model} cannot be trained: not enough memory: {message}")
    if code < 0:
        guess = " (out of memory?)" if -code == signal.SIGKILL else ""
        return TrainingKilledError(
            f"model {model}: the training was killed by signal {-code}{guess}; its log is {log_file}"
        )
    cause = message or f"exit code {code}"
    return TrainingError(f"model {model}: the training failed by a defect, {cause}; its log is {log_file}")

"""Training in a process of its own, so that a model that dies does not take the night with it.

A fresh interpreter, never a fork: CUDA deadlocks in one. The parent passes the address of a request on disk
and gets lines of JSON; arrays never pass between them.
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
from tasks.training.request import Training, facts_of, read_request, result_of

LOG = logging.getLogger("nightshelf")
CHILD: Final = (sys.executable, "-P", "-m", "tasks.training.child")


class Trainer(Protocol):
    """Trains what was asked for, wherever it does."""

    def __call__(self, training: Training, report: Report) -> TrainedModel:
        """Return the model; what a request says and where is at `training.file`."""


class DeviceFailedError(TrainingError):
    """The GPU failed, or there is none; the CPU can train it."""


def train_in_child(
    training: Training,
    report: Report = silent,
    *,
    warnings: Sequence[str] = (),
    command: Sequence[str] = CHILD,
) -> TrainedModel:
    """Train one model in a child process; where CUDA fails, again on the CPU, with a warning.

    A training that is finished is not done again. `warnings` are kept with those of the training. `command`
    is what runs the child.

    Raises
    ------
    TrainingKilledError
        If the child was killed by a signal; its checkpoint stays, and another try goes on from there.
    TrainingError
        If the model cannot be trained on this data; the message is the model's.
    StoreError
        If the artefact cannot be written.
    """
    read_request(training.file)
    done = finished(training)
    if done is not None:
        return done
    told = list(warnings)
    try:
        ended = _run([*command, str(training.file)], training, report)
    except DeviceFailedError as error:
        told.append(f"{training.model}: trained on cpu: CUDA failed: {error}")
        LOG.warning("%s", told[-1])
        ended = _run([*command, str(training.file), "cpu"], training, report)
    keys = ("device", "seconds", "report", "peak_memory")
    facts = {"request": training.digest(), "warnings": told, **{key: ended[key] for key in keys}}
    write_json_atomically(result_of(training.file), facts)
    return _trained(training, facts)


def finished(training: Training) -> TrainedModel | None:
    """Return the model of this very request if it was trained to its end, else None."""
    facts = facts_of(training.file, training.artefact)
    return None if facts is None else _trained(training, facts)


def _trained(training: Training, facts: dict[str, Any]) -> TrainedModel:
    return TrainedModel(
        training.model,
        training.artefact,
        str(facts["device"]),
        float(facts["seconds"]),
        facts["report"],
        tuple(facts["warnings"]),
    )


def _run(command: Sequence[str], training: Training, report: Report) -> dict[str, Any]:
    """Run one child to its end; return what it told last."""
    said = training.file.with_name(f"{training.model}.log")
    with writing(said):
        log = said.open("wb")
    with log, running(command, log) as child:
        ended = listen(child, report, training.model)
    code = child.returncode
    if ended.get("ended") == "trained" and code == 0:
        return ended
    raise _error(training.model, code, ended, said)


def _error(model: str, code: int, ended: dict[str, Any], said: Path) -> Exception:
    """Return the error for how a child ended."""
    how, message = ended.get("ended"), str(ended.get("message", ""))
    if how == "device":
        return DeviceFailedError(message)
    if how == "store":
        return StoreError(message)
    if how == "refused":
        return TrainingError(f"model {model} cannot be trained: {message}")
    if how == "memory":
        return TrainingError(f"model {model} cannot be trained: not enough memory: {message}")
    if code < 0:
        guess = " (out of memory?)" if -code == signal.SIGKILL else ""
        return TrainingKilledError(
            f"model {model}: the training was killed by signal {-code}{guess}; its log is {said}"
        )
    why = message or f"exit code {code}"
    return TrainingError(f"model {model}: the training ended by a defect, {why}; its log is {said}")

"""Training in a child process, so that a model that crashes does not take the night with it.

The child is a fresh interpreter, never a fork, in which CUDA deadlocks. The parent passes the path
of a request and receives lines of JSON; arrays never pass between them. A night's trainings share a
child as long as it succeeds and stays small, since a child takes up to a second to start.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from tasks.runtime.children import Child, listen, next_message, running
from tasks.runtime.errors import StoreError, TrainingError, TrainingKilledError
from tasks.runtime.progress import Report, silent
from tasks.store.files import write_json_atomically, writing
from tasks.training.artefacts import TrainedModel
from tasks.training.request import Training, facts_of, log_file, read_request, result_file

LOG = logging.getLogger("nightshelf")
CHILD: Final = (sys.executable, "-P", "-m", "tasks.training.child")
KEPT_SHARE: Final = 0.25  # of the memory: a child with more is not kept for the next training
Outcome = dict[str, Any]


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

    def run(*device: str) -> Outcome:
        return _run([*command, str(training.file), *device], training, report)

    return _train(training, run, warnings)


@contextmanager
def one_child() -> Iterator[Trainer]:
    """Yield a trainer that trains as `train_in_child` does, but with one child for many trainings."""
    with ExitStack() as stack:
        yield _ServingChild(stack)


class _ServingChild:
    """A child that trains one request after another; `stack` ends it.

    It is ended if a training fails, or leaves it with more than a quarter of the memory that the
    request allows; the next training starts another.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._child: Child | None = None

    def __call__(self, training: Training, report: Report) -> TrainedModel:
        """Train by the request in `training.file`; see `train_in_child`."""
        return _train(training, partial(self._run, training, report))

    def _run(self, training: Training, report: Report, *device: str) -> Outcome:
        log = log_file(training.file)
        with writing(log):
            log.write_bytes(b"")
        child = self._started(log)
        outcome: Outcome = {}
        kept = False
        assert child.stdin is not None  # noqa: S101 - it is a pipe
        try:
            with suppress(BrokenPipeError):  # it has ended, as its return code says
                child.stdin.write(json.dumps([str(training.file), *device]) + "\n")
                child.stdin.flush()
            outcome = next_message(child, report, training.model)
            trained = outcome.get("ended") == "trained"
            kept = trained and outcome["resident"] <= read_request(training.file).memory * KEPT_SHARE
        finally:
            if not kept:
                self._stack.close()
                self._child = None
        if trained:
            return outcome
        raise _error(training.model, 1 if outcome else child.returncode, outcome, log)

    def _started(self, log: Path) -> Child:
        """Return the child; one that starts prints to `log`, until it is told of another."""
        if self._child is None or self._child.poll() is not None:
            self._stack.close()
            with log.open("ab") as stderr:
                self._child = self._stack.enter_context(running(CHILD, stderr))
        return self._child


def _train(training: Training, run: Callable[..., Outcome], warnings: Sequence[str] = ()) -> TrainedModel:
    """Return the model that `run` trains, on the CPU at last, or that an earlier call trained."""
    read_request(training.file)
    trained = finished(training)
    if trained is not None:
        return trained
    all_warnings = list(warnings)
    try:
        outcome = run()
    except DeviceFailedError as error:
        all_warnings.append(f"{training.model}: trained on cpu: CUDA failed: {error}")
        LOG.warning("%s", all_warnings[-1])
        outcome = run("cpu")
    keys = ("device", "seconds", "report", "peak_memory")
    facts = {"request": training.digest(), "warnings": all_warnings, **{key: outcome[key] for key in keys}}
    write_json_atomically(result_file(training.file), facts)
    return _model(training, facts)


def finished(training: Training) -> TrainedModel | None:
    """Return the model of exactly this request if its training finished, else None."""
    facts = facts_of(training.file, training.artefact)
    return None if facts is None else _model(training, facts)


def learned_settings(training: Training) -> dict[str, Any]:
    """Return what a finished training learned beside its parameters, as settings; none if unfinished."""
    from models import registry

    trained = finished(training)
    if trained is None:
        return {}
    config = registry.config(training.model, read_request(training.file).settings)
    return registry.model_class(training.model).learned_settings(config, trained.report)


def _model(training: Training, facts: dict[str, Any]) -> TrainedModel:
    return TrainedModel(
        training.model,
        training.artefact,
        str(facts["device"]),
        float(facts["seconds"]),
        facts["report"],
        tuple(facts["warnings"]),
    )


def _run(command: Sequence[str], training: Training, report: Report) -> Outcome:
    """Run one child to its end; return its outcome."""
    with writing(log_file(training.file)):
        log = log_file(training.file).open("wb")
    with log, running(command, log) as child:
        outcome = listen(child, report, training.model)
    code = child.returncode
    if outcome.get("ended") == "trained" and code == 0:
        return outcome
    raise _error(training.model, code, outcome, log_file(training.file))


def _error(model: str, code: int, outcome: Outcome, log: Path) -> Exception:
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
            f"model {model}: the training was killed by signal {-code}{guess}; its log is {log}"
        )
    cause = message or f"exit code {code}"
    return TrainingError(f"model {model}: the training failed by a defect, {cause}; its log is {log}")

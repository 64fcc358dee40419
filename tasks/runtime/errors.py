"""Errors that a user can cause, each with a message that says what to do."""

from __future__ import annotations

from typing import Any

from models.errors import ModelError
from sql.errors import EngineError
from tasks.runtime.redaction import redacted


class UserError(Exception):
    """A mistake in configuration, input or use; printed as a message, never as a traceback.

    Secrets are removed from its text at once, because it is printed, logged, recorded and kept by
    Prefect.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*(redacted(arg) if isinstance(arg, str) else arg for arg in args))


class ConfigurationError(UserError):
    """The configuration file is missing, malformed or holds an unknown key or a bad value."""


class InputError(UserError):
    """The interaction logs or a catalogue cannot be read as configured."""


class ValidationFailedError(UserError):
    """An expectation of the validation gate failed; nothing was trained or published."""


class StoreError(UserError):
    """The store cannot be written, is locked by another run, or lacks what was requested."""


class StoreLockedError(StoreError):
    """Another process writes to the store; the message names it. Waiting helps."""


class DamagedError(StoreError):
    """A file of the store differs from what was written; the message says what to do."""


class TransientError(UserError):
    """The cause may pass, so a retry can help; no other error is retried.

    `exhausted` is set once all retries are used up, so that an outer caller does not start over.
    """

    exhausted = False


class SourceUnreachableError(InputError, TransientError):
    """The connection to the server of the logs was refused or lost, or that server is failing."""


class TrainingError(UserError):
    """A model could not be trained or measured; other models can be."""


class TrainingKilledError(TrainingError, TransientError):
    """The training process was killed by a signal; a new process resumes from its checkpoint."""


class TrainingLostError(TrainingError, TransientError):
    """The flow run or worker that trained was lost; a new run resumes from its checkpoint."""


class DateCancelledError(BaseException):
    """The run of one date was cancelled: no failure of the date, so no `except Exception` sees it."""


EXPECTED_ERRORS: tuple[type[Exception], ...] = (UserError, EngineError, ModelError)
"""Errors that the command line prints as a message; any other error is a bug."""

MODEL_ERRORS: tuple[type[Exception], ...] = (TrainingError, ModelError)
"""Errors that concern a single model, not the whole night."""


def is_transient(error: BaseException | None) -> bool:
    """Return whether a retry can help; every retry decides by this."""
    return isinstance(error, TransientError) and not error.exhausted

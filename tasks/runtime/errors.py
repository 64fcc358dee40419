"""The errors a user can cause, each with a message that says what to do."""

from __future__ import annotations

from typing import Any

from models.errors import ModelError
from sql.errors import EngineError
from tasks.runtime.redaction import redacted


class UserError(Exception):
    """A mistake in configuration, input or use; printed as one message, never as a traceback.

    Its words are without secrets from the beginning: they are printed, logged, recorded and kept by Prefect.
    """

    def __init__(self, *words: Any) -> None:
        super().__init__(*(redacted(word) if isinstance(word, str) else word for word in words))


class ConfigurationError(UserError):
    """The configuration file is missing, malformed or holds an unknown key or a bad value."""


class InputError(UserError):
    """The interaction logs or a catalogue cannot be read as configured."""


class ValidationFailedError(UserError):
    """An expectation of the validation gate failed; nothing was trained or published."""


class StoreError(UserError):
    """The store cannot be written, is locked by another run, or lacks what was asked for."""


class StoreLockedError(StoreError):
    """Another process writes to the store; the message says which. Waiting helps."""


class DamagedError(StoreError):
    """A file of the store is not as it was written; the message says which, and what to do."""


class TransientError(UserError):
    """The cause may pass, so a second try can help; no other error is worth one.

    `spent` is set once the tries are used up, so that whoever runs the whole does not begin them again.
    """

    spent = False


class SourceUnreachableError(InputError, TransientError):
    """The connection to where the logs are was refused or lost, or the server there is in trouble."""


class TrainingError(UserError):
    """One model could not be trained or measured; the others can be."""


class TrainingKilledError(TrainingError, TransientError):
    """The process of a training was killed by a signal; another goes on from its checkpoint."""


class TrainingLostError(TrainingError, TransientError):
    """The flow run or the worker that trained was lost; another goes on from its checkpoint."""


EXPECTED: tuple[type[Exception], ...] = (UserError, EngineError, ModelError)
"""What the command line prints as one message; anything else is a defect of the program."""

OF_ONE_MODEL: tuple[type[Exception], ...] = (TrainingError, ModelError)
"""What concerns one model, and not the night."""


def can_pass(error: BaseException | None) -> bool:
    """Tell whether a second try can help: the one thing that retries ask."""
    return isinstance(error, TransientError) and not error.spent

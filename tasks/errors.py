"""The errors a user can cause, each with a message that says what to do."""

from __future__ import annotations

from models.errors import ModelError
from sql.engine import EngineError


class UserError(Exception):
    """A mistake in configuration, input or use; printed as one message, never as a traceback."""


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


EXPECTED: tuple[type[Exception], ...] = (UserError, EngineError, ModelError)
"""What the command line prints as one message; anything else is a defect of the program."""

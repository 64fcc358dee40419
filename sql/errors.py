"""The errors that engines raise."""

from __future__ import annotations


class EngineError(RuntimeError):
    """A query failed; the message is the engine's, without its stack."""


class EngineMissing(EngineError):  # noqa: N818 - named for what is missing
    """Something the engine needs is not installed; the message says what to install."""


class SourceError(EngineError):
    """A source file cannot be read as configured; the message names the file."""

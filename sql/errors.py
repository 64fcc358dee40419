"""What an engine raises."""

from __future__ import annotations


class EngineError(RuntimeError):
    """A query could not run: the engine's own message, without its stack."""


class EngineMissing(EngineError):  # noqa: N818 - it says what is missing
    """What an engine needs is not on this machine; the message says what to install."""

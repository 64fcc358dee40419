"""Log lines that name their run, date and station: text for people, or JSON for collectors."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from tasks.runtime.redaction import clean, redacted

VARIABLE: Final = "NIGHTSHELF_LOG"
FORMATS: Final = ("text", "json")
FIELDS: Final = ("run_id", "as_of", "station")
_FIELDS: ContextVar[dict[str, str] | None] = ContextVar("log_fields", default=None)
_HANDLER_NAME: Final = "nightshelf-json"


@contextmanager
def log_fields(**fields: str) -> Iterator[None]:
    """Add these of run_id, as_of and station to all log lines written inside the block."""
    token = _FIELDS.set({**(_FIELDS.get() or {}), **fields})
    try:
        yield
    finally:
        _FIELDS.reset(token)


def current_fields() -> dict[str, str | None]:
    """Return run_id, as_of and station of the current block; None for each that is not set."""
    fields = _FIELDS.get() or {}
    return {field: fields.get(field) for field in FIELDS}


def in_json() -> bool:
    """Return whether NIGHTSHELF_LOG asks for JSON."""
    return os.environ.get(VARIABLE) == "json"


def write_logs() -> None:
    """Send log lines to stderr in the format that NIGHTSHELF_LOG names.

    It can be called again after a library has set up logging. With JSON, every handler that writes
    to stderr is replaced, even those of libraries, so that each line is a JSON object. With text,
    existing handlers are kept. UserError for an unknown format.
    """
    log_format = os.environ.get(VARIABLE) or "text"
    if log_format not in FORMATS:
        from tasks.runtime.errors import UserError  # late: `--help` needs none of what it imports

        raise UserError(f"unknown {VARIABLE} {log_format!r}; known: {', '.join(FORMATS)}")
    nightshelf, root = logging.getLogger("nightshelf"), logging.getLogger()
    if nightshelf.level == logging.NOTSET:
        nightshelf.setLevel(logging.INFO)
    _redact(nightshelf)
    registered = logging.root.manager.loggerDict.values()
    loggers = [logger for logger in registered if isinstance(logger, logging.Logger)]
    if in_json():
        replaced = [_to_json(logger) for logger in (root, *loggers)]
        if not replaced[0]:
            root.addHandler(_json_handler())
    elif not root.handlers:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for handler in {handler for logger in (root, *loggers) for handler in logger.handlers}:
        _redact(handler)


def _redact(target: logging.Filterer) -> None:
    """Add the filter that removes credentials to a logger or handler, unless it has it."""
    if not any(isinstance(known, _Redacting) for known in target.filters):
        target.addFilter(_Redacting())


def _to_json(logger: logging.Logger) -> bool:
    """Replace a logger's stderr handlers; return whether it has the JSON handler now."""
    for handler in list(logger.handlers):
        to_stderr = getattr(handler, "stream", None) in (sys.stderr, sys.__stderr__)
        if to_stderr and handler.name != _HANDLER_NAME:
            logger.removeHandler(handler)
            if not _has_json_handler(logger):
                logger.addHandler(_json_handler())
    return _has_json_handler(logger)


def _has_json_handler(logger: logging.Logger) -> bool:
    return any(handler.name == _HANDLER_NAME for handler in logger.handlers)


def _json_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.name = _HANDLER_NAME
    handler.setFormatter(_JsonLines())
    return handler


class _JsonLines(logging.Formatter):
    """Formats a log record as a JSON object, in ASCII and without credentials."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname, "logger": record.name}
        facts: dict[str, Any] = {**line, "message": record.getMessage(), **current_fields()}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(redacted(facts))


class _Redacting(logging.Filter):
    """Removes credentials from log records, both our own and those of libraries."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        safe = redacted(message)
        if safe != message:
            record.msg, record.args = safe, ()
        if record.exc_info and record.exc_info[1] is not None:
            clean(record.exc_info[1])
        return True

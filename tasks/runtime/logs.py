"""Log lines that say of which run, date and station they are: text for people, or JSON for collectors."""

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
_WHERE: ContextVar[dict[str, str] | None] = ContextVar("where", default=None)
_NAME: Final = "nightshelf-json"  # of our handlers


@contextmanager
def named(**fields: str) -> Iterator[None]:
    """Let the log lines of what is done inside carry these of run_id, as_of, station."""
    token = _WHERE.set({**(_WHERE.get() or {}), **fields})
    try:
        yield
    finally:
        _WHERE.reset(token)


def where() -> dict[str, str | None]:
    """Return run_id, as_of and station of what is being done, None for what is not known."""
    found = _WHERE.get() or {}
    return {field: found.get(field) for field in FIELDS}


def in_json() -> bool:
    """Tell whether NIGHTSHELF_LOG asks for JSON."""
    return os.environ.get(VARIABLE) == "json"


def write_logs() -> None:
    """Send log lines to stderr as NIGHTSHELF_LOG says; may be called again, after others set up logging.

    In JSON, every handler that writes to stderr is replaced, those of libraries too, so that each line there
    is one object. As text, what another program set up is left alone. UserError for an unknown value.
    """
    wanted = os.environ.get(VARIABLE) or "text"
    if wanted not in FORMATS:
        from tasks.runtime.errors import UserError  # late: `--help` needs none of what it imports

        raise UserError(f"unknown {VARIABLE} {wanted!r}; known: {', '.join(FORMATS)}")
    own, root = logging.getLogger("nightshelf"), logging.getLogger()
    if own.level == logging.NOTSET:
        own.setLevel(logging.INFO)
    if not any(isinstance(one, _Redacting) for one in own.filters):
        own.addFilter(_Redacting())
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    if in_json():
        replaced = [_to_json(logger) for logger in (root, *loggers)]
        if not replaced[0]:
            root.addHandler(_json_handler())
    elif not root.handlers:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for handler in {handler for logger in (root, *loggers) for handler in logger.handlers}:
        if not any(isinstance(one, _Redacting) for one in handler.filters):
            handler.addFilter(_Redacting())


def _to_json(logger: logging.Logger) -> bool:
    """Replace a logger's handlers that write to stderr; tell whether it has ours."""
    for handler in list(logger.handlers):
        to_stderr = getattr(handler, "stream", None) in (sys.stderr, sys.__stderr__)
        if to_stderr and handler.name != _NAME:
            logger.removeHandler(handler)
            if not any(one.name == _NAME for one in logger.handlers):
                logger.addHandler(_json_handler())
    return any(one.name == _NAME for one in logger.handlers)


def _json_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.name = _NAME
    handler.setFormatter(_JsonLines())
    return handler


class _JsonLines(logging.Formatter):
    """Makes one JSON object of a log line, in ASCII, without credentials."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname, "logger": record.name}
        facts: dict[str, Any] = {**line, "message": record.getMessage(), **where()}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(redacted(facts))


class _Redacting(logging.Filter):
    """Takes credentials out of lines, wherever they go: our own, and those of libraries."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        shown = redacted(said)
        if shown != said:
            record.msg, record.args = shown, ()
        if record.exc_info and record.exc_info[1] is not None:
            clean(record.exc_info[1])
        return True

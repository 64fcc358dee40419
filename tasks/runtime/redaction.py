"""Removal of secrets from everything that is shown or kept, by position and by value.

By position: credentials in URLs, and values under names such as `password`. By value: the values of
environment variables and configuration keys with such names, wherever else they appear.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

HIDDEN: Final = "***"
SHORTEST: Final = 6  # characters of a secret removed by value; shorter ones may be ordinary words
_USERINFO: Final = re.compile(r"(?<=://)(?:[^/\s@:]*:(?!\d+(?:/|$))\S*|[^/\s]*)@")
_PASSWORD: Final = re.compile(r"://[^/\s@:]*:(?!\d+(?:/|$))(\S*)@")
_SECRET_PARAMETER: Final = re.compile(
    r"(?i)([?&;][^=&\s]*(?:token|secret|signature|password|sig|key)=)([^&\s#]+)"
)
_SECRET_NAME: Final = re.compile(
    r"(?i)password|passwd|passphrase|secret|token(?!s)|credential|webhook|auth[._-]?string"
    r"|(?:api|access|account|private|session|encryption)[._-]?key|connection[._-]?(?:url|string)"
)
_SEGMENT: Final = 8  # least characters of a webhook's path segment that counts as a secret
_CONFIGURED: set[str] = set()


def redacted(value: Any) -> Any:
    """Return a copy of a value without secrets, found by position and by value.

    Paths become text; numbers that are not finite become None.
    """
    return _redacted(value, _pattern(frozenset(_CONFIGURED), tuple(os.environ.items())))


def _redacted(value: Any, known: re.Pattern[str] | None) -> Any:
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN if item and _is_secret(str(key), item) else _redacted(item, known)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(item, known) for item in value]
    if isinstance(value, Path):
        return _redacted(str(value), known)
    if isinstance(value, str):
        text = _SECRET_PARAMETER.sub(rf"\1{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", value))
        return known.sub(HIDDEN, text) if known else text
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def note_secrets(content: Any, name: str = "") -> None:
    """Remember a configuration's secrets: values of keys like `password`, credentials in URLs."""
    if isinstance(content, Mapping):
        for key, item in content.items():
            note_secrets(item, str(key))
    elif isinstance(content, list | tuple):
        for item in content:
            note_secrets(item, name)
    elif isinstance(content, str):
        _CONFIGURED.update(_secrets_in(name, content))


def clean(error: BaseException) -> None:
    """Remove secrets from the text of an exception and of its causes, in place.

    Others print or keep these texts: Prefect's states and logs, and a process that dies with a
    traceback.
    """
    pending: list[BaseException | None] = [error]
    cleaned: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in cleaned:
            continue
        cleaned.add(id(current))
        current.args = tuple(redacted(arg) if isinstance(arg, str) else arg for arg in current.args)
        for name, value in [*vars(current).items()]:
            if isinstance(value, str):
                setattr(current, name, redacted(value))
        pending += [current.__cause__, current.__context__]


@contextmanager
def clean_errors() -> Iterator[None]:
    """Let exceptions through with the secrets removed from their text."""
    try:
        yield
    except BaseException as error:
        clean(error)
        raise


def is_secret_name(name: str) -> bool:
    """Return whether the name of a key or variable marks its value as secret."""
    return bool(_SECRET_NAME.search(name))


def _is_secret(key: str, item: Any) -> bool:
    """Return whether to hide the value of a key: a text or a number, not a structure."""
    return is_secret_name(key) and not isinstance(item, Mapping | list | tuple | bool)


@lru_cache(maxsize=8)
def _pattern(configured: frozenset[str], environment: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """Return a pattern that matches all known secrets, longest first; None if there are none."""
    known = {secret for name, value in environment for secret in _secrets_in(name, value)} | configured
    longest = sorted(known, key=lambda secret: (-len(secret), secret))
    return re.compile("|".join(map(re.escape, longest))) if longest else None


def _secrets_in(name: str, value: str) -> set[str]:
    """Return the secret parts of a value: all of it if its name is secret, and URL credentials."""
    secrets = {match[1] for match in _PASSWORD.finditer(value)}
    secrets |= {match[2] for match in _SECRET_PARAMETER.finditer(value)}
    if is_secret_name(name):
        secrets.add(value)
        user, colon, password = value.partition(":")
        if colon and "/" not in user and not password.startswith("//"):  # user:password
            secrets.add(password)
        if "://" in value and "webhook" in name.lower():
            secrets |= {part for part in value.split("/")[3:] if len(part) >= _SEGMENT}
    spellings = {text for secret in secrets for text in (secret, unquote(secret))}
    return {text for text in spellings if len(text) >= SHORTEST}

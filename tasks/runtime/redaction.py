"""Taking secrets out of what is shown or kept: by where they stand, and by what they are.

By where: credentials in addresses, and values under names such as `password`. By what: the values of
environment variables with such names, and of such keys of the configuration, wherever else they turn up.
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
SHORTEST: Final = 6  # characters of a secret that is looked for in any text; shorter ones are words, too
_USERINFO: Final = re.compile(r"(?<=://)(?:[^/\s@:]*:(?!\d+(?:/|$))\S*|[^/\s]*)@")
_PASSWORD: Final = re.compile(r"://[^/\s@:]*:(?!\d+(?:/|$))(\S*)@")
_SECRET_PARAMETER: Final = re.compile(
    r"(?i)([?&;][^=&\s]*(?:token|secret|signature|password|sig|key)=)([^&\s#]+)"
)
_SECRET_NAME: Final = re.compile(
    r"(?i)password|passwd|passphrase|secret|token(?!s)|credential|webhook|auth[._-]?string"
    r"|(?:api|access|account|private|session|encryption)[._-]?key|connection[._-]?(?:url|string)"
)
_SEGMENT: Final = 8  # characters of a part of a webhook's path that is one of its secrets
_CONFIGURED: set[str] = set()


def redacted(value: Any) -> Any:
    """Return a copy without secrets: credentials in addresses, values under names such as `password`.

    And without those of the environment and the configuration, whatever they stand in.
    """
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN if item and _is_secret(str(key), item) else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    if isinstance(value, Path):
        return redacted(str(value))
    if isinstance(value, str):
        return _without_known(_SECRET_PARAMETER.sub(rf"\1{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", value)))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def note_secrets(content: Any, name: str = "") -> None:
    """Remember the secrets of a configuration: values of keys such as `password`, parts of addresses."""
    if isinstance(content, Mapping):
        for key, item in content.items():
            note_secrets(item, str(key))
    elif isinstance(content, list | tuple):
        for item in content:
            note_secrets(item, name)
    elif isinstance(content, str):
        _CONFIGURED.update(_secrets_in(name, content))


def clean(error: BaseException) -> None:
    """Take secrets out of the words of an exception, and of those that led to it, in place.

    For what others print or keep: Prefect's states and logs, and the last words of a process.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.args = tuple(redacted(arg) if isinstance(arg, str) else arg for arg in one.args)
        for name, value in [*vars(one).items()]:
            if isinstance(value, str):
                setattr(one, name, redacted(value))
        waiting += [one.__cause__, one.__context__]


@contextmanager
def clean_errors() -> Iterator[None]:
    """Let exceptions go through without the secrets in their words."""
    try:
        yield
    except BaseException as error:
        clean(error)
        raise


def is_secret_name(name: str) -> bool:
    """Tell whether a name, of a key or a variable, says that its value is secret."""
    return bool(_SECRET_NAME.search(name))


def _is_secret(key: str, item: Any) -> bool:
    """Tell whether what stands under a key is to be hidden: a text or a number, not a structure."""
    return is_secret_name(key) and not isinstance(item, Mapping | list | tuple | bool)


def _without_known(text: str) -> str:
    known = _pattern(frozenset(_CONFIGURED), tuple(os.environ.items()))
    return known.sub(HIDDEN, text) if known else text


@lru_cache(maxsize=8)
def _pattern(configured: frozenset[str], environment: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """Return what finds all known secrets, the longest first; None where there are none."""
    known = {secret for name, value in environment for secret in _secrets_in(name, value)} | configured
    longest = sorted(known, key=lambda secret: (-len(secret), secret))
    return re.compile("|".join(map(re.escape, longest))) if longest else None


def _secrets_in(name: str, value: str) -> set[str]:
    """Return what of a value is secret: by its name all of it, by its form the credentials of an address."""
    found = {match[1] for match in _PASSWORD.finditer(value)}
    found |= {match[2] for match in _SECRET_PARAMETER.finditer(value)}
    if is_secret_name(name):
        found.add(value)
        user, colon, password = value.partition(":")
        if colon and "/" not in user and not password.startswith("//"):  # user:password
            found.add(password)
        if "://" in value and "webhook" in name.lower():
            found |= {part for part in value.split("/")[3:] if len(part) >= _SEGMENT}
    return {one for secret in found for one in (secret, unquote(secret)) if len(one) >= SHORTEST}

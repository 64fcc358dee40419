"""Overrides of a configuration: lines `key=value` for keys at any depth."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tasks.runtime.errors import ConfigurationError, UserError
from tasks.runtime.redaction import HIDDEN, is_secret_name

_PART: Final = r"""(?:"[^"]*"|'[^']*'|[^\s."'=]+)"""
_KEY: Final = re.compile(rf"\s*({_PART}(?:\.{_PART})*)\s*")
"""A key as in TOML: parts separated by dots; a part that contains a dot is quoted."""
_EXAMPLE: Final = "such as models.als.factors"


def overrides_of(lines: Iterable[str]) -> dict[str, Any]:
    """Return the keys and values of lines `key=value`; a value that is not TOML is text.

    Raises
    ------
    UserError
        If a line does not start with a key and `=`.
    """
    overrides: dict[str, Any] = {}
    for line in lines:
        key = _KEY.match(line)
        if key is None or line[key.end() : key.end() + 1] != "=":
            raise UserError(f"overrides: expected key=value, such as engine.name=spark, got {line!r:.200}")
        overrides[key.group(1)] = _value_of(line[key.end() + 1 :].strip())
    return overrides


def line_of(key: str, text: str) -> str:
    """Return a line that `overrides_of` reads as this key and text, even if it looks like TOML."""
    return f"{key}={json.dumps(text, ensure_ascii=False)}"


def parts_of(key: str) -> tuple[str, ...]:
    """Return the parts of a key: models.als.factors has three; a quoted "a.b" is a single part.

    Raises
    ------
    ConfigurationError
        If a part is empty, or a quote is not closed.
    """
    if not _KEY.fullmatch(key):
        raise ConfigurationError(f"expected a key {_EXAMPLE}, a part with a dot in quotes; got {key!r:.200}")
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, key))


def overridden(content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the content with the keys of `overrides` replaced in order.

    Missing tables on the way to a key are created. In an array of tables, such as [[source]], a part
    of a key is the name of a table.

    Raises
    ------
    ConfigurationError
        If a key is invalid, or passes through a value that is not a table, or an array of tables
        that has none of this name.
    """
    result = dict(content)
    for key, value in overrides.items():
        table, (*path, last) = result, parts_of(key)
        parts = iter(enumerate(path, 1))
        for depth, part in parts:
            inner = table.get(part, {})
            if isinstance(inner, list) and inner and all(isinstance(entry, Mapping) for entry in inner):
                table[part] = inner = list(inner)
                _, name = next(parts, (0, None))
                number = _number_of(inner, name, key, path[:depth])
                inner[number] = table = dict(inner[number])
                continue
            if not isinstance(inner, Mapping):
                raise ConfigurationError(_no_table(key, path[:depth], inner))
            table[part] = dict(inner)
            table = table[part]
        table[last] = value
    return result


def _number_of(tables: list[Any], name: str | None, key: str, path: list[str]) -> int:
    """Return the number of the table of this name in an array of tables."""
    names = [table.get("name") for table in tables]
    if name not in names or name is None:
        where, known = ".".join(path), ", ".join(str(known) for known in names if known is not None)
        got = f"; got {name!r:.200}" if name is not None else ""
        raise ConfigurationError(
            f"override {key!r:.200}: expected the name of a table after {where}, such as "
            f"{where}.NAME.key{got}; known: {known or 'none'}"
        )
    return names.index(name)


def _value_of(text: str) -> Any:
    try:
        (value,) = tomllib.loads(f"value = {text}").values()
    except (ValueError, RecursionError):  # also for a number too long or lists nested too deep
        return text
    return value


def _no_table(key: str, path: list[str], value: Any) -> str:
    text = HIDDEN if any(map(is_secret_name, path)) else f"{value!r:.200}"
    return f"override {key!r:.200}: expected a table at {'.'.join(path)}, got {text}"

"""A configuration file before validation: its TOML, variables and paths. Quick to import."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from tasks.runtime.errors import ConfigurationError

LARGEST: Final = 2**20
"""Largest size in bytes, in case a log or an endless device is given by mistake."""
DEFAULT_STORE: Final = "nightshelf-store"
"""The store's folder beside the configuration, unless [store] names another."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a configuration file.

    Raises
    ------
    ConfigurationError
        If it is missing, unreadable, larger than LARGEST, or not TOML.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except ValueError as error:  # an impossible file name
        raise ConfigurationError(f"{str(path)!r}: cannot read the configuration: {error}") from None
    if len(text) > LARGEST:
        raise ConfigurationError(f"{path}: expected a configuration of at most {LARGEST} bytes, got more")
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also for numbers too long or nesting too deep
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None


def absolute_path(path: str, folder: Path, where: str) -> str:
    """Return a configured path as one from `folder`; URLs and empty texts stay as they are.

    ConfigurationError, starting with `where`, for a text that cannot be a path.
    """
    if not path or "://" in path:
        return path
    if "\0" in path:
        raise ConfigurationError(f"{where}: expected a path without NUL, got {path!r:.200}")
    try:
        return str(folder / Path(path).expanduser())
    except RuntimeError:  # ~name of an unknown user
        raise ConfigurationError(f"{where}: expected the home of a known user, got {path!r:.200}") from None


_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")


def from_environment(content: Any, *, is_path: bool = False) -> Any:
    """Return the content with ${NAME} and ${NAME:-default} replaced; an empty variable is unset.

    If `is_path`, as for every key `path`, a relative path from the environment is relative to the
    working directory, where the variable was set. Any other text is used unchanged.

    Raises
    ------
    ConfigurationError
        If a variable is not set and has no default.
    """
    if isinstance(content, dict):
        return {key: from_environment(value, is_path=key == "path") for key, value in content.items()}
    if isinstance(content, list):
        return [from_environment(item, is_path=is_path) for item in content]
    if not isinstance(content, str):
        return content

    def replacement(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        value = os.environ.get(name)
        if value is None and default is None:
            raise ConfigurationError(f"${{{name}}} is not set in the environment, and has no default")
        if not value:
            return default or ""
        starts_path = match.start() == 0 and "://" not in value
        return str(Path(value).absolute()) if is_path and starts_path else value

    return _REFERENCE.sub(replacement, content)


def from_folder(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the content of a file, with relative paths resolved against the file's folder."""
    folder = path.resolve().parent

    def resolved(value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [resolved(part, where) for part in value]
        return absolute_path(value, folder, where) if isinstance(value, str) else value

    content = from_environment(content)

    def located(table: Any, where: str) -> Any:
        if isinstance(table, list):  # [[source]]
            return [located(inner, f"{where} {number}") for number, inner in enumerate(table, 1)]
        if not isinstance(table, dict) or "path" not in table:
            return table
        return table | {"path": resolved(table["path"], f"{path}: {where}.path")}

    for section in ("source", "items", "users", "store"):
        if section in content:
            content[section] = located(content[section], section)
    content.setdefault("store", {})
    if isinstance(content["store"], dict):
        content["store"].setdefault("path", str(folder / DEFAULT_STORE))
    return content


def store_path(config: Path) -> Path:
    """Return [store] path of a configuration file, as `load` does.

    The rest of the file is ignored, so that readers neither load the models nor fail on a mistake
    in another section.

    Raises
    ------
    ConfigurationError
        If the file is missing or is not TOML, or the path is not text.
    """
    content = read_toml(config)
    section = content.get("store", {})
    if not isinstance(section, dict):
        raise ConfigurationError(f"{config}: store: expected a section [store], got {section!r}")
    path = section.get("path", DEFAULT_STORE)
    if not isinstance(path, str):
        raise ConfigurationError(f"{config}: store.path: expected a folder, got {path!r}")
    path = from_environment(path, is_path=True)
    return Path(absolute_path(path, config.resolve().parent, f"{config}: store.path"))

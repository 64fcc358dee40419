"""A configuration file as it is written: TOML, read whole, and the paths in it. Quick to import."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from tasks.runtime.errors import ConfigurationError

LARGEST: Final = 2**20
"""Bytes: no configuration comes near, and a device or a log given by mistake never ends."""
DEFAULT_STORE: Final = "nightshelf-store"
"""The store's folder beside the configuration, if it names none."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a configuration file.

    Raises
    ------
    ConfigurationError
        If it is missing, cannot be read, is larger than LARGEST, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except ValueError as error:  # a name that no file can have
        raise ConfigurationError(f"{str(path)!r}: cannot read the configuration: {error}") from None
    if len(text) > LARGEST:
        raise ConfigurationError(f"{path}: expected a configuration of at most {LARGEST} bytes, got more")
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also of numbers too long, and of nesting too deep
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None


def anchored(path: str, folder: Path, where: str) -> str:
    """Return a path of a configuration as one from `folder`; addresses (s3://...) and nothing are kept.

    ConfigurationError, which begins with `where`, for what no file system takes as a path.
    """
    if not path or "://" in path:
        return path
    if "\0" in path:
        raise ConfigurationError(f"{where}: expected a path without NUL, got {path!r:.200}")
    try:
        return str(folder / Path(path).expanduser())
    except RuntimeError:  # ~name of nobody
        raise ConfigurationError(f"{where}: there is no such home as in {path!r:.200}") from None


_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")


def from_environment(content: Any, *, is_path: bool = False) -> Any:
    """Return the content with ${NAME} and ${NAME:-default} replaced; an empty variable counts as not set.

    Where `is_path`, as below every key `path`, a relative path that comes from the environment is relative to
    the working directory, where it was set; anything else is taken as it is.

    Raises
    ------
    ConfigurationError
        If a name is not in the environment and has no default.
    """
    if isinstance(content, dict):
        return {key: from_environment(one, is_path=key == "path") for key, one in content.items()}
    if isinstance(content, list):
        return [from_environment(one, is_path=is_path) for one in content]
    if not isinstance(content, str):
        return content

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name)
        if found is None and default is None:
            raise ConfigurationError(f"${{{name}}} is not set in the environment, and has no default")
        if not found:
            return default or ""
        begins = match.start() == 0 and "://" not in found
        return str(Path(found).absolute()) if is_path and begins else found

    return _REFERENCE.sub(value, content)


def store_path(config: Path) -> Path:
    """Return [store] path of a configuration file, as `tasks.configuration.configuration.load` gives it.

    Nothing else in the file is looked at, so that readers neither load the models nor stop at a mistake in
    another section.

    Raises
    ------
    ConfigurationError
        If the file is missing or no TOML, or the path is no text.
    """
    content = read_toml(config)
    section = content.get("store", {})
    if not isinstance(section, dict):
        raise ConfigurationError(f"{config}: store: expected a section [store], got {section!r}")
    path = section.get("path", DEFAULT_STORE)
    if not isinstance(path, str):
        raise ConfigurationError(f"{config}: store.path: expected a folder, got {path!r}")
    path = from_environment(path, is_path=True)
    return Path(anchored(path, config.resolve().parent, f"{config}: store.path"))

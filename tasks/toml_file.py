"""A configuration file as it is written: TOML, read whole, and the paths in it. Quick to import."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from tasks.errors import ConfigurationError

LARGEST: Final = (
    2**20
)  # bytes; no configuration comes near, and a device or a log given by mistake never ends


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

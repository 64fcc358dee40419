"""The store's address, read from the configuration file alone: what readers need, and quick to find."""

from __future__ import annotations

from pathlib import Path

from tasks.environment import from_environment
from tasks.errors import ConfigurationError
from tasks.toml_file import anchored, read_toml

DEFAULT_FOLDER = "nightshelf-store"


def store_path(config: Path) -> Path:
    """Return [store] path of a configuration file, as `tasks.configuration.load` gives it.

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
    path = section.get("path", DEFAULT_FOLDER)
    if not isinstance(path, str):
        raise ConfigurationError(f"{config}: store.path: expected a folder, got {path!r}")
    path = from_environment(path, is_path=True)
    return Path(anchored(path, config.resolve().parent, f"{config}: store.path"))

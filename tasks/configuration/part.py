"""The sections that say where the logs and the store are, read without those of the models."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, ValidationError

from tasks.configuration.file import from_folder, read_toml
from tasks.configuration.sections import StoreSection
from tasks.configuration.sources import WithSources
from tasks.runtime.errors import ConfigurationError


class SourcesAndStore(WithSources):
    """The sources and [store] of a configuration."""

    model_config = ConfigDict(extra="ignore")

    store: StoreSection


def sources_and_store(path: Path) -> SourcesAndStore:
    """Return the sources and [store] of a configuration file; the rest of the file is ignored.

    Raises
    ------
    ConfigurationError
        If the file is missing or is not TOML, or a value in these sections is invalid.
    """
    content = from_folder(read_toml(path), path)
    try:
        return SourcesAndStore.model_validate(content)
    except ValidationError:
        raise ConfigurationError(
            f"{path}: [source] or [store] is invalid; `nightshelf doctor` says why"
        ) from None

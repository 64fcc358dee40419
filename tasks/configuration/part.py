"""The sections that say where the logs and the store are, read without those of the models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sql.source import Source
from tasks.configuration.file import from_folder, read_toml
from tasks.configuration.sections import StoreSection
from tasks.runtime.errors import ConfigurationError


@dataclass(frozen=True)
class SourceAndStore:
    """[source] and [store] of a configuration."""

    source: Source
    store: StoreSection


def source_and_store(path: Path) -> SourceAndStore:
    """Return [source] and [store] of a configuration file; the rest of the file is ignored.

    Raises
    ------
    ConfigurationError
        If the file is missing or is not TOML, or a value in these sections is invalid.
    """
    content = from_folder(read_toml(path), path)
    try:
        source = Source.model_validate(content.get("source"))
        return SourceAndStore(source, StoreSection.model_validate(content["store"]))
    except ValidationError:
        raise ConfigurationError(
            f"{path}: [source] or [store] is invalid; `nightshelf doctor` says why"
        ) from None

"""[source] and [store] alone: as the whole configuration has them, whatever the rest is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.configuration.configuration import load
from tasks.configuration.part import sources_and_store
from tasks.runtime.errors import ConfigurationError

TEXT = """
[source]
path = "logs"
columns = {user = "u", item = "i", timestamp = "t"}
"""


def test_the_sections_are_those_of_the_whole_configuration(tmp_path: Path) -> None:
    config = tmp_path / "nightshelf.toml"
    config.write_text(TEXT + "[store]\nkeep_releases = 5\n", encoding="utf-8")
    part, whole = sources_and_store(config), load(config)
    assert (part.sources, part.store) == (whole.sources, whole.store)


def test_several_sources_are_read(tmp_path: Path) -> None:
    config = tmp_path / "nightshelf.toml"
    config.write_text(TEXT.replace("[source]", '[[source]]\nname = "clicks"'), encoding="utf-8")
    (source,) = sources_and_store(config).sources
    assert (source.name, source.path) == ("clicks", str(tmp_path / "logs"))


def test_other_sections_are_ignored_and_mistakes_in_these_are_not(tmp_path: Path) -> None:
    config = tmp_path / "nightshelf.toml"
    config.write_text(TEXT + "[models.no_such_model]\nx = 1\n", encoding="utf-8")
    assert sources_and_store(config).sources[0].columns.user == "u"
    config.write_text("[store]\npath = 3\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is invalid; `nightshelf doctor` says why"):
        sources_and_store(config)

"""docs/configuration.md matches the configuration."""

from __future__ import annotations

import pytest
from worlds.paths import ROOT

from models import registry
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.configuration.reference import reference

PAGE = ROOT / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), (
        "run `python -m tasks.configuration.reference > docs/configuration.md`"
    )


@pytest.mark.parametrize("name", [name for name in Configuration.model_fields if name != "models"])
def test_every_key_has_a_description(name: str) -> None:
    section = Source if name == "sources" else Configuration.model_fields[name].annotation
    assert all(
        field.description or hasattr(field.annotation, "model_fields")
        for field in section.model_fields.values()
    )


@pytest.mark.parametrize("name", registry.known())
def test_every_key_of_a_model_has_a_description(name: str) -> None:
    assert all(field.description for field in type(registry.config(name, {})).model_fields.values())

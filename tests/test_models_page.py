"""docs/models.md has every built-in model, with the costs that a night expects."""

from __future__ import annotations

import re

import pytest
from worlds.paths import ROOT

from models import registry
from models.options import Size

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
SIZES = (Size(1_000, 500, 20_000), Size(6_040, 3_706, 1_000_209), Size(300_000, 42_000, 3_000_000))


def cost_cell(name: str, size: Size) -> str:
    """Return what docs/models.md says of the expected cost of a model with all defaults."""
    model = registry.model_class(name)
    config = model.Config()
    cost = model.cost(config, size)
    if cost.refusal and (rest := config.without({"ease"})):  # as a night would train it
        cost = model.cost(registry.config(name, rest), size)
    if cost.refusal:
        return "too large"
    seconds = f"{cost.seconds:,.1f}" if cost.seconds < 10 else f"{cost.seconds:,.0f}"
    return f"{seconds} s, {cost.memory / 2**20:,.0f}"


@pytest.mark.parametrize("name", registry.built_in())
def test_docs_say_what_a_model_is_for_and_what_it_costs(name: str) -> None:
    what, costs = PAGE.split("\n## What each costs\n")
    assert len(re.findall(rf"\n\| `{name}` \| .+ \|", what)) == 1
    assert f"| `{name}` | {' | '.join(cost_cell(name, size) for size in SIZES)} |\n" in costs

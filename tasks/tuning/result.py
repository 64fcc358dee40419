"""What a search found, as a section of the configuration beside the doubt that there is about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.store.files import writing
from tasks.tuning.search import Found


@dataclass(frozen=True)
class Verdict:
    """The best settings less those configured, paired by user: the mean, its 95 % interval, and the users."""

    difference: float
    low: float | None
    high: float | None
    users: int

    @property
    def better(self) -> bool:
        """Whether the interval leaves no room for a difference of 0 or less."""
        return self.low is not None and self.low > 0


def settings_table(model: str, found: Found) -> list[tuple[str, Any, Any]]:
    """Return each setting that was searched or configured: its name, its value as configured, its best."""
    from models import registry

    before = registry.config(model, found.configured).model_dump()
    names = dict.fromkeys([*found.configured, *found.best])
    return [(name, before[name], {**before, **found.best}[name]) for name in names]


def verdict_of(found: Found, seed: int = 0, threads: int = 0) -> Verdict:
    """Return how the best settings compare with the configured ones on the validation windows."""
    from models.evaluation.bootstrap import Bootstrap

    key = "metric"
    compared = Bootstrap(seed=seed, threads=threads).compare(
        {key: found.best_values}, {key: found.configured_values}
    )[key]
    return Verdict(compared.difference, compared.low, compared.high, compared.users)


def snippet_of(model: str, metric: str, found: Found, verdict: Verdict, command: str) -> str:
    """Return the section of a model with the best settings, in TOML, and in comments what they are worth."""
    tried = ", ".join(f"{number} {how}" for how, number in found.trials.items())
    low, high = ("none" if end is None else f"{end:+.4f}" for end in (verdict.low, verdict.high))
    lines = [
        f"# {command}",
        f"# {metric} on validation: {found.best_score:.4f}, as configured {found.configured_score:.4f};",
        f"# difference {verdict.difference:+.4f} [{low}, {high}], paired over {verdict.users} users;",
        f"# trials: {tried}. The best of several trials looks better than it is: confirm it with",
        "# `nightshelf evaluate` on what comes later.",
    ]
    if not verdict.better:
        lines.append("# NOT shown to be better: the interval reaches 0. It may be noise: keep what you have.")
    lines.append(f"[models.{model}]")
    lines += [f"{key} = {_toml(value)}" for key, value in {**found.configured, **found.best}.items()]
    return "\n".join(lines) + "\n"


def write_snippet(path: Path, snippet: str) -> None:
    """Write the snippet; StoreError if the disk refuses."""
    with writing(path):
        path.write_text(snippet, encoding="utf-8")


def _toml(value: Any) -> str:
    """Return a value as TOML has it."""
    return json.dumps(value) if isinstance(value, str | bool | int | list) else repr(float(value))

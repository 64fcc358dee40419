"""A search's result as a configuration section, with its uncertainty."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.store.files import writing
from tasks.tuning.search import SearchResult


@dataclass(frozen=True)
class Verdict:
    """The best settings minus the configured ones, paired by user: mean, 95 % interval, users."""

    difference: float
    low: float | None
    high: float | None
    users: int

    @property
    def better(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low is not None and self.low > 0


def compared_settings(model: str, result: SearchResult) -> list[tuple[str, Any, Any]]:
    """Return each searched or configured setting: name, configured value, best value."""
    from models import registry

    configured = registry.config(model, result.configured).model_dump()
    names = dict.fromkeys([*result.configured, *result.best])
    return [(name, configured[name], {**configured, **result.best}[name]) for name in names]


def verdict_of(result: SearchResult, threads: int) -> Verdict:
    """Compare the best settings with the configured ones on the validation windows."""
    from models.evaluation.bootstrap import Bootstrap

    key = "metric"
    compared = Bootstrap(threads=threads).compare({key: result.best_values}, {key: result.configured_values})[
        key
    ]
    return Verdict(compared.difference, compared.low, compared.high, compared.users)


def snippet_of(model: str, metric: str, result: SearchResult, verdict: Verdict, command: str) -> str:
    """Return a model's section in TOML with the best settings, and comments on their quality."""
    trials = ", ".join(f"{number} {outcome}" for outcome, number in result.trials.items())
    low, high = ("none" if end is None else f"{end:+.4f}" for end in (verdict.low, verdict.high))
    lines = [
        f"# {command}",
        f"# {metric} on validation: {result.best_score:.4f}, as configured {result.configured_score:.4f};",
        f"# difference {verdict.difference:+.4f} [{low}, {high}], paired over {verdict.users} users;",
        f"# trials: {trials}. The best of several trials looks better than it is: confirm it with",
        "# `nightshelf evaluate` on later events.",
    ]
    if not verdict.better:
        lines.append("# NOT shown to be better: the interval reaches 0. It may be noise: keep your settings.")
    lines.append(f"[models.{model}]")
    lines += [f"{key} = {_toml(value)}" for key, value in {**result.configured, **result.best}.items()]
    return "\n".join(lines) + "\n"


def write_snippet(path: Path, snippet: str) -> None:
    """Write the snippet; StoreError if the disk refuses."""
    with writing(path):
        path.write_text(snippet, encoding="utf-8")


def _toml(value: Any) -> str:
    """Return a value in TOML."""
    return json.dumps(value) if isinstance(value, str | bool | int | list) else repr(float(value))

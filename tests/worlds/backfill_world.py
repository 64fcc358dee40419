"""Dates of a backfill, and one that fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from flows.command_line import app
from flows.night.retries import directly
from tasks.configuration.configuration import Configuration
from worlds.night_world import FIRST, SECOND, Night

BEFORE = FIRST - timedelta(days=1)  # no logs yet: a run for it is refused
FOURTH = FIRST + timedelta(days=3)


def small(night: Night) -> Configuration:
    """Return a configuration that keeps two releases and trains nothing but popularity.

    After a night of ALS its lists are poor: the quality gate would rightly refuse them.
    """
    popularity: dict[str, Any] = {"train__models": ["popularity"], "train__serve": "popularity"}
    popularity |= {"quality__enabled": False}
    return night.configured(store__keep_releases=2, evaluation__enabled=False, **popularity)


def failing_for(as_of: date, failure: Exception) -> Callable[..., Any]:
    """Return what runs a date, except that one date fails once its release is nearly there."""

    def around(name: str, work: Callable[[], Any]) -> Any:
        if name != f"backfill {as_of}":
            return work()

        def step(name: str, station: Callable[[], Any]) -> Any:
            if name == "release":
                raise failure
            return directly(name, station)

        order, _, report, trainer = work.args
        return work.func(order, step, report, trainer)

    return around


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def by_date(night: Night) -> dict[str, str]:
    return {name[:10]: name for name in night.published()}


def called(night: Night, *words: str, code: int = 0) -> Any:
    dates = ["--start", str(BEFORE), "--end", str(SECOND), "--config", str(night.config)]
    result = CliRunner().invoke(app, ["backfill", *dates, *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result

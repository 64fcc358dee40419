"""A bot among the users of a shop, and its effect on the lists of all other users by model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.dataset_world import AS_OF, Built, Shop

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.evaluation.holdout import cut_of
from tasks.recommendations.recommendations import recommendations

MODELS: dict[str, dict[str, Any]] = {
    "als": {"factors": 32, "iterations": 8},
    "item_knn": {"shrink": 10.0},
    "popularity": {},
    "recent_popularity": {},
    "mult_vae": {"hidden": 64, "latent": 16, "epochs": 8},
}
BOT = "zz-bot"
FIRST = datetime(2026, 2, 11, tzinfo=UTC)
DAYS = 28
Lists = dict[str, list[str]]


def people(users: int, items: int, events: int) -> pa.Table:
    """Return the events of users of eight tastes, each with favourites, over four weeks."""
    rng = np.random.default_rng(5)
    who = rng.integers(users, size=events)
    favourite = rng.random(events) < 0.8
    rank = np.minimum(rng.geometric(12 / items, events) - 1, items // 8 - 1)
    what = np.where(favourite, who % 8 + 8 * rank, rng.integers(items, size=events))
    return logged([f"u{user:05d}" for user in who], what, rng.random(events) * DAYS)


def bot(items: int, events: int, days: float = DAYS) -> pa.Table:
    """Return the events of a bot that crawls all items, pushes one, and invents new items."""
    rng = np.random.default_rng(6)
    kind = rng.random(events)
    what = np.where(kind < 0.5, rng.integers(items, size=events), items - 1)
    what = np.where(kind > 0.8, items + rng.integers(5000, size=events), what)
    return logged([BOT] * events, what, DAYS - rng.random(events) * days)


def logged(users: list[str], items: Any, days: Any) -> pa.Table:
    """Return a log; `days` are how long after FIRST."""
    times = np.datetime64(FIRST.replace(tzinfo=None), "us") + (days * 86_400e6).astype("timedelta64[us]")
    count = len(users)
    return pa.table(
        {
            "user": users,
            "item": [f"i{item:05d}" for item in items],
            "time": pa.array(times, pa.timestamp("us")),
            "session": [f"s{number}" for number in range(count)],
        }
    )


class Market:
    """The same shop with and without a bot, each built and trained once."""

    def __init__(self, folder: Path, engine: Any, cap: int, tables: dict[str, list[pa.Table]]) -> None:
        self.folder, self.engine, self.cap, self.tables = folder, engine, cap, tables
        self.built = cache(self._built)
        self.lists = cache(self._lists)

    def _built(self, name: str) -> Built:
        shop = Shop(self.folder / name, self.engine)
        pq.write_table(pa.concat_tables(self.tables[name]), shop.folder / "logs" / "a.parquet")
        columns = {"user": "user", "item": "item", "timestamp": "time", "session": "session"}
        shop.sections = {
            "source": {"columns": columns, "attributes": {}},
            "dataset": {"max_user_events": self.cap},
            "models": MODELS,
            "engine": {"threads": 1},
            "top_n": {"n": 10},
            "train": {"models": list(MODELS)},
        }
        return shop.build()

    def _lists(self, name: str, model: str) -> Lists:
        """Return the first ten of each user but the bot."""
        built = self.built(name)
        artefact, staging = built.train(model, f"{model}"), built.folder.parent / f"lists-{model}"
        recommendations(built.configuration, built.folder, artefact, staging)
        sql = (
            "SELECT user_id, list(item_id ORDER BY rank) FROM read_parquet(?) WHERE user_id <> ? GROUP BY ALL"
        )
        with duckdb.connect() as con:
            return dict(con.execute(sql, [str(staging / "recommendations.parquet"), BOT]).fetchall())

    def overlap(self, model: str, name: str = "bot") -> float:
        """Return the mean share of the first ten that a user has with and without the bot."""
        alone, beside = self.lists("people", model), self.lists(name, model)
        assert alone.keys() == beside.keys()
        return float(np.mean([len({*alone[user]} & {*beside[user]}) / 10 for user in alone]))


SIZES = [
    pytest.param((300, 200, 9_000, 50_000, 10_000), id="50000"),
    pytest.param((3_000, 2_000, 150_000, 1_000_000, 100_000), id="1000000", marks=pytest.mark.torture),
]
"""Users, items, events, events of the bot, and the cap: by default 100,000."""


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Market]]:
    folder = tmp_path_factory.mktemp("markets")
    engine = DuckDBEngine(folder / "engine", 2**31, 1)

    @cache
    def market(users: int, items: int, events: int, of_bot: int, cap: int) -> Market:
        everybody = people(users, items, events)
        tables = {
            "people": [everybody],
            "bot": [everybody, bot(items, of_bot)],
            "sudden": [everybody, bot(items, of_bot, 1.0)],
            "at-cap": [everybody, bot(items, cap)],
        }
        return Market(folder / f"{of_bot}", engine, cap, tables)

    yield market
    engine.close()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", SIZES)
def test_a_bot_beyond_the_cap_changes_no_other_users_list(
    size: tuple[int, ...], model: str, markets: Callable[..., Market]
) -> None:
    market = markets(*size)
    assert dict(market.built("bot").rows("users", "user_id", "bot"))[BOT]
    overlap = market.overlap(model)
    print(f"{model}: {size[3]} events of a bot: overlap {overlap:.4f}")
    assert overlap == 1.0


@pytest.mark.parametrize("size", SIZES)
def test_items_only_a_bot_has_seen_are_not_recommended_and_popular_items_stay(
    size: tuple[int, ...], markets: Callable[..., Market]
) -> None:
    market = markets(*size)
    built, alone = market.built("bot"), market.built("people")
    known = {*alone.rows("items", "item_id")}
    invented = [row for row in built.rows("items", "item_id", "available", "trained") if row[0] not in known]
    assert len(invented) > 1000
    assert not any(available or trained for _, available, trained in invented)
    columns = ("window_days", "rank", "item_id", "score", "users")
    assert built.popular(*columns) == alone.popular(*columns)


@pytest.mark.parametrize("size", SIZES)
def test_a_bot_does_not_change_the_holdout(size: tuple[int, ...], markets: Callable[..., Market]) -> None:
    """Otherwise a bot on the last day would move the cut to that day and be measured itself."""
    market = markets(*size)
    expected = cut_of(market.built("people").folder, 0.2)
    assert cut_of(market.built("bot").folder, 0.2) == expected
    assert cut_of(market.built("sudden").folder, 0.2) == expected
    late = datetime(AS_OF.year, AS_OF.month, AS_OF.day, tzinfo=UTC) - timedelta(days=1)
    assert expected < late.timestamp() * 1e6


@pytest.mark.parametrize(("model", "least"), [("als", 0.7), ("item_knn", 0.9), ("popularity", 0.99)])
@pytest.mark.parametrize("size", SIZES)
def test_a_bot_just_below_the_cap_counts_as_a_single_user(
    size: tuple[int, ...], model: str, least: float, markets: Callable[..., Market]
) -> None:
    """The bot is trained on like any user; no bound of .99 applies, and this shows its effect."""
    market = markets(*size)
    assert not dict(market.built("at-cap").rows("users", "user_id", "bot"))[BOT]
    overlap = market.overlap(model, "at-cap")
    print(f"{model}: {size[4]} events of a bot at the cap: overlap {overlap:.4f}")
    assert overlap >= least

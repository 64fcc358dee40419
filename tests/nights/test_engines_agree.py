"""DuckDB and Spark run the same SQL files and return the same rows in the same order."""

from __future__ import annotations

import itertools
from datetime import date

import numpy as np
import pytest
from worlds.dataset_world import PARTS, Built, Shop, parquet_rows, plain
from worlds.paths import ROOT

from tasks.configuration.configuration import load
from tasks.dataset.arrays import load_dataset
from tasks.demo.logs import write_demo_logs
from tasks.interactions.ledger import Ledger

pytestmark = pytest.mark.spark
DEMO = ROOT / "deployments" / "demo.toml"
PAIRS = ("user_id", "item_id", "events", "strength", "last_timestamp")
TAKEN = ("file_id", "line", "user_id", "item_id", "timestamp", "event_date", "event_type", "value", "weight")


@pytest.fixture
def shops(tmp_path, duckdb_engine, spark_engine):
    """Return two empty shops, one for each engine."""
    return [Shop(tmp_path / engine.name, engine) for engine in (duckdb_engine, spark_engine)]


def require_equal(shops: list[Shop], as_of: date) -> Built:
    """Build both shops and compare all their contents; return the first."""
    first, second = (shop.build(as_of) for shop in shops)
    for part in PARTS:
        assert first.rows(part) == second.rows(part), part
    assert sorted(first.rows("pairs", *PAIRS)) == sorted(second.rows("pairs", *PAIRS))
    assert plain(first.popular_table) == plain(second.popular_table)
    assert first.popular_table.schema == second.popular_table.schema
    assert first.summary == second.summary
    ledgers = [Ledger.read(shop.store) for shop in shops]
    accepted = [sorted(parquet_rows(ledger.parts(), *TAKEN)) for ledger in ledgers]
    assert accepted[0] == accepted[1]
    assert ledgers[0].counts() == ledgers[1].counts()
    arrays = [load_dataset(built.folder) for built in (first, second)]
    assert (arrays[0].matrix != arrays[1].matrix).nnz == 0
    assert np.array_equal(arrays[0].sequences.timestamps, arrays[1].sequences.timestamps)
    return first


def test_engines_agree_on_the_demo(shops):
    sections = load(DEMO).model_dump(mode="json", exclude={"store"}, exclude_unset=True)
    for shop in shops:
        logs = shop.folder / "logs"
        write_demo_logs(
            logs, start=date(2026, 3, 1), days=3, users=80, items=60, events_per_day=300, dirty_share=0.05
        )
        paths = {"source": "events-*.csv", "items": "items.csv", "users": "users.csv"}
        moved = {name: sections[name] | {"path": str(logs / path)} for name, path in paths.items()}
        shop.sections = sections | moved
        shop.sections["source"].setdefault("attributes", {})
    built = require_equal(shops, date(2026, 3, 3))
    assert built.summary.users > 40
    assert built.summary.trained_pairs > 100


# characters of one to four bytes; UTF-16, Java's order, would swap the last two
NAMES = ("ab", "b", "a b", "Ä", "a\u0301", "ß", "z", "日本", "\uff5e", "\U0001f600")
USERS = (2**53, 2**53 + 1, -(2**63), 2**63 - 1, -1, 0, 7)
TIMES = ("2026-03-28 23:59:59.999999", "2026-03-29 00:30:00", "2026-03-29 03:00:00", "2026-03-29 23:59:59")


def edge_cases(n: int) -> list[tuple]:
    """Return `n` rows that cycle through ids, equal times, types, nulls and weights."""
    weights = ("", "0.1", "3", "2.5e7", "0", "0.333333333333", "77.7", "1")
    values = ("", "5", "3.999", "4", "-0.0")
    colours = ("red", "", "blue", "Blue", "日本")
    ring = zip(
        itertools.cycle(USERS),
        itertools.cycle(NAMES + NAMES[::3]),
        itertools.cycle(TIMES),
        itertools.cycle(values),
        itertools.cycle((*weights, *weights[1:], *weights[2:])),
        itertools.cycle(colours + colours[:1]),
        itertools.cycle(("2", "", "-1")),
        strict=False,
    )
    return [
        (user, item, time, {"value": value, "weight": weight, "colour": colour, "position": position})
        for user, item, time, value, weight, colour, position in itertools.islice(ring, n)
    ]


def test_engines_agree_on_edge_cases(shops):
    for shop in shops:
        shop.log(*edge_cases(220), (0, "b", TIMES[1], {"weight": "1e300"}), name="2026-03-29.csv")
        shop.log(
            ("7", "late", "2026-03-30 00:00:00"), (1, "b", "2026-03-29 23:59:59.999999"), name="late.csv"
        )
        path = shop.file(
            "users.csv", "id,land", "7.0,DE", "-1,FR|DE", "7,FR", "9007199254740993,日本", "x,DE"
        )
        shop.sections = {
            "items": {"title": "colour", "attributes": {"kind": "colour"}},
            "users": {"path": path, "id": "id", "separator": "|", "attributes": {"land": "land"}},
            "popular": {
                "segments": ["land", "kind"],
                "fallback_segment": "land",
                "windows": ["5h", 1, "36h", 7, 0],
                "fallback_window": "36h",
            },
            "source": {"user_id_type": "int64", "time_zone": "Europe/London"},
            "dataset": {
                "positive": "value >= 4 or value is null",
                "half_life_days": 1 / 3,
                "alpha": 0.1,
                "min_user_items": 2,
                "min_item_users": 2,
                "max_user_events": 60,
                "history_days": 2,
            },
            "top_n": {"blocked_items": ["z"]},
        }
    built = require_equal(shops, date(2026, 3, 29))
    assert built.rows("users", "user_id") == sorted({*USERS, 1})
    assert built.rows("items", "item_id") == sorted(NAMES)  # by code point, as UTF-8 bytes sort
    assert len(set(built.rows("entries", "weight"))) > 10
    assert {True, False} == set(built.rows("items", "available"))


@pytest.mark.torture
def test_engines_agree_without_catalogues_segments_or_weights(shops):
    for shop in shops:
        shop.log(("u", "i", "2026-03-10 12:00:00"), ("v", "j", "2026-03-10 12:00:00", {"value": 1}))
        shop.sections = {"dataset": {"positive": "value > 0"}}
    built = require_equal(shops, date(2026, 3, 10))
    assert built.rows("user_attributes") == []
    assert built.popular("item_id", window_days=1) == ["j"]

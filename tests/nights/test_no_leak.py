"""Nothing after a run's date is in its tables; nothing after the cut affects training."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow.parquet as pq
from worlds.dataset_world import Shop

from models import registry
from sql.engines.duckdb_engine import DuckDBEngine
from tasks.evaluation.holdout import make_holdout
from tasks.evaluation.model_metrics import measure
from tasks.recommendations.recommendations import recommendations
from tasks.recommendations.similar_items import similar_items

SECTIONS = {
    "items": {"title": "colour", "attributes": {"kind": "colour"}},
    "users": {"attributes": {"land": "colour"}},
    "dataset": {"max_user_events": 25, "half_life_days": 3},
    "popular": {"segments": ["land", "kind"], "fallback_segment": "land"},
    "top_n": {"n": 5},
    "engine": {"threads": 1},
    "models": {
        "als": {"factors": 8, "iterations": 3},
        "mult_vae": {"hidden": 8, "latent": 4, "epochs": 3},
    },
    "evaluation": {"ks": [5]},
}


def test_nothing_after_the_date_changes_a_byte_of_its_tables(tmp_path):
    """The next day's logs are already ingested, with new users, items, titles and segments."""
    today, contents = date(2026, 3, 10), []
    rng = np.random.default_rng(2)
    log = [
        (
            f"u{rng.integers(20):02}",
            f"i{rng.integers(15):02}",
            f"2026-03-{rng.integers(1, 11):02} 10:00:00",
            {"colour": rng.integers(3)},
        )
        for _ in range(200)
    ]
    engine = DuckDBEngine(tmp_path / "engine", 2**29, 1)
    for late in (False, True):
        world = Shop(tmp_path / str(late), engine, **SECTIONS)
        world.log(*log)
        if late:
            at = "2026-03-11 00:00:00"
            ids = [("new", "new"), ("u01", "new"), ("new", "i01"), ("u02", "i02"), ("bot", "i03")] * 30
            world.log(
                *[(user, item, at, {"colour": "late", "weight": 9}) for user, item in ids], name="b.csv"
            )
            assert world.ingest(date(2026, 3, 11)).counts.accepted == len(log) + len(ids)
        built = world.build(today)
        assert "new" not in built.rows("users", "user_id") + built.rows("items", "item_id")
        staging = world.folder / "staging"
        for name in registry.known():
            model = built.train(name, name)
            recommendations(built.configuration, built.folder, model, staging / name)
            similar_items(built.configuration, built.folder, model, staging / name)
        pq.write_table(built.popular_table, staging / "popular_items.parquet")
        files = sorted([*staging.rglob("*.parquet"), *built.folder.glob("[!p]*/*.parquet")])
        contents.append({str(path.relative_to(world.folder)): path.read_bytes() for path in files})
    engine.close()
    assert len(contents[0]) == 8 + 2 * len(registry.known())
    assert contents[0] == contents[1]


def test_users_and_items_that_are_new_after_the_cut_change_no_metric(tmp_path):
    """After the cut, known users meet new items and new users meet known ones; neither counts."""
    rng, figures = np.random.default_rng(6), []
    log = [
        (f"u{rng.integers(20):02}", f"i{rng.integers(40):02}", f"2026-03-{rng.integers(1, 11):02} 10:00:00")
        for _ in range(240)
    ]
    cut = 1_773_100_800_000_000  # 2026-03-10 00:00:00 UTC: a tenth of the log is later
    engine = DuckDBEngine(tmp_path / "engine", 2**29, 1)
    for late in (False, True):
        world = Shop(tmp_path / str(late), engine, **SECTIONS)
        world.log(*log)
        if late:
            new = [("a", "i01"), ("zz", "i02"), ("u01", "a"), ("u02", "zz"), ("u10x", "i05x")] * 5
            world.log(*[(user, item, "2026-03-10 00:00:00") for user, item in new], name="b.csv")
        whole, past = world.build(), world.build(until=cut, name="past")
        assert len(whole.rows("items", "item_id")) - len(past.rows("items", "item_id")) == 3 * late
        holdout = make_holdout(whole.configuration, whole.folder, past.folder, cut)
        assert len(holdout.users) > 5
        assert (holdout.cold_users, holdout.cold_items) == (3 * late, 3 * late)
        models = {name: past.train(name, name) for name in registry.known()}
        figures.append({name: measure(past.configuration, one, holdout) for name, one in models.items()})
    engine.close()
    assert all(figures[0].values())
    assert figures[0] == figures[1]

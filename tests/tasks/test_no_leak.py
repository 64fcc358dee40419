"""Nothing after the date of a run is in any of its tables, nor changes them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow.parquet as pq
from dataset_world import Shop

from sql.duckdb_engine import DuckDBEngine
from tasks.recommendations import recommendations
from tasks.similar_items import similar_items

SECTIONS = {
    "items": {"title": "colour", "attributes": {"kind": "colour"}},
    "users": {"attributes": {"land": "colour"}},
    "dataset": {"max_user_events": 25, "half_life_days": 3},
    "popular": {"segments": ["land", "kind"], "fallback_segment": "land"},
    "top_n": {"n": 5},
    "engine": {"threads": 1},
    "models": {"als": {"factors": 8, "iterations": 3}},
}


def test_nothing_after_the_date_changes_a_byte_of_its_tables(tmp_path):
    """Logs of the next day are taken in already, with users, items, titles and segments of their own."""
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
        own = Shop(tmp_path / str(late), engine, **SECTIONS)
        own.log(*log)
        if late:
            at = "2026-03-11 00:00:00"
            ids = [("new", "new"), ("u01", "new"), ("new", "i01"), ("u02", "i02"), ("bot", "i03")] * 30
            own.log(*[(user, item, at, {"colour": "late", "weight": 9}) for user, item in ids], name="b.csv")
            assert own.ingest(date(2026, 3, 11)).counts.accepted == len(log) + len(ids)
        built = own.build(today)
        assert "new" not in built.rows("users", "user_id") + built.rows("items", "item_id")
        staging, model = own.folder / "staging", built.train("als")
        recommendations(built.configuration, built.folder, model, staging)
        similar_items(built.configuration, built.folder, model, staging)
        pq.write_table(built.popular_table, staging / "popular_items.parquet")
        files = sorted([*staging.glob("*.parquet"), *built.folder.glob("[!p]*/*.parquet")])
        contents.append({str(path.relative_to(own.folder)): path.read_bytes() for path in files})
    engine.close()
    assert len(contents[0]) == 10
    assert contents[0] == contents[1]

"""The figures that the gate checks, on both engines."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest
from worlds.gate_world import AS_OF, SCHEMA, configuration, history

from tasks.validation.profile import make_profile


@pytest.mark.spark
def test_spark_makes_the_same_profile(spark_engine, duckdb_engine):
    rows = history()
    rows[0] |= {"value": 0.5, "weight": -1.0, "event_type": None, "country": "É"}
    rows[1] |= {"event_type": "zz", "value": None, "timestamp": datetime.fromisoformat("2026-03-10")}
    events = pa.Table.from_pylist(rows, schema=SCHEMA)
    utc = events.set_column(2, "timestamp", events["timestamp"].cast(pa.timestamp("us", "UTC")))
    settings = configuration(max_null_share={"country": 0.5, "value": 0}, min_value=1, max_value=4.5)
    duckdb_engine.table("events", events)
    spark_engine.table("events", utc)
    profile = make_profile(settings, duckdb_engine, AS_OF)
    assert make_profile(settings, spark_engine, AS_OF) == profile
    assert profile.figures["value_low"] == profile.figures["late"] == profile.figures["nulls_value"] == 1
    assert profile.event_types == {"": 1, "view": 38, "zz": 1}

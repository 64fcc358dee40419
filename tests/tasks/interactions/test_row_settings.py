"""What of [source] decides stored rows, so that a change of it needs the raw logs again."""

from __future__ import annotations

import pytest

from sql.source import Source
from tasks.interactions.row_settings import change_between, row_settings, same_days, source_then

COLUMNS = {"user": "u", "item": "i", "timestamp": "t", "event_type": "k"}
BASE = {"path": "logs", "columns": COLUMNS, "event_weights": {"view": 1, "buy": 5}, "attributes": {"a": "x"}}


def settings(**changed):
    return row_settings(Source.model_validate(BASE | changed))


@pytest.mark.parametrize(
    ("changed", "unknown", "keys"),
    [
        ({"event_weights": {"buy": 4, "view": 0}}, 9, ()),
        ({"path": "elsewhere", "max_expansion": 9}, 9, ()),
        ({"event_weights": {"view": 1}}, 9, ()),
        ({"event_weights": {"view": 1, "buy": 5, "cart": 2}}, 0, ()),
        ({"event_weights": {"view": 1, "buy": 5, "cart": 2}}, 1, ("event_weights",)),
        ({"event_weights": {}}, 0, ()),
        ({"event_weights": {}}, 1, ("event_weights",)),
        ({"attributes": {"a": "x", "b": "y"}}, 9, ()),
        ({"attributes": {}}, 9, ()),
        ({"attributes": {"a": "y"}}, 9, ("attributes.a",)),
        ({"time_zone": "Asia/Tokyo", "user_id_type": "int64"}, 0, ("time_zone", "user_id_type")),
        ({"columns": COLUMNS | {"value": "v"}}, 0, ("columns.value",)),
        ({"exclude": [{"name": "bots", "where": "user_id = 'bot'"}]}, 0, ("exclude",)),
        ({"min_date": "2020-01-01", "file_date": "%Y-%m-%d"}, 0, ("file_date", "min_date")),
    ],
)
def test_only_a_change_of_stored_rows_is_a_change(changed, unknown, keys):
    assert change_between(settings(), settings(**changed), unknown).keys == keys


def test_settings_hold_no_predicate_and_read_the_same_columns_again():
    rule = {"name": "me", "where": "user_id = 'somebody'"}
    then = settings(exclude=[rule], time_zone="Asia/Tokyo", null_values=["-"])
    assert "somebody" not in str(then)
    source = source_then(then, Source.model_validate(BASE))
    assert (source.time_zone, source.null_values, source.attributes) == ("Asia/Tokyo", ("-",), {"a": "x"})
    assert (source.exclude, source.event_weights) == ((), {})
    assert not same_days(then, settings())
    assert source_then({"columns": {"user": "u"}}, source) is None

"""Columns recognised by their names and by what they hold."""

from __future__ import annotations

import pytest

from tasks.proposal.guesses.fields import guess_fields, id_type, marks
from tasks.proposal.guesses.names import likeness

TIMES = [f"2026-11-30T10:0{n}:00Z" for n in range(6)]
IDS = [f"a{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("user_id", "item_id", "timestamp"),
        ("userId", "movieId", "ts"),
        ("visitorid", "itemid", "event_time"),
        ("customer", "sku", "created_at"),
        ("uid", "asin", "date"),
        ("CUSTOMER_ID", "Product ID", "InvoiceDate"),
        ("anonymousId", "content_id", "originalTimestamp"),
        ("user.id", "properties.product_id", "context.time"),
        ("shopUserId", "clickedArticleId", "clickTime"),
        ("member", "article", "when"),
    ],
)
def test_usual_names_are_recognised(user: str, item: str, time: str) -> None:
    columns = {"row": IDS, item: IDS, "colour": IDS, user: IDS, time: TIMES}
    assert guess_fields(columns).columns == {"user": user, "item": item, "timestamp": time}


@pytest.mark.parametrize(("user", "item"), [("Kunden-Nr.", "Artikel-Nr."), ("Kd.-Nr.", "Art.-Nr.")])
def test_points_of_abbreviations_are_no_paths(user: str, item: str) -> None:
    assert guess_fields({item: IDS, user: IDS, "Datum": TIMES}).columns["user"] == user
    assert guess_fields({item: IDS, user: IDS, "Datum": TIMES}).columns["item"] == item


@pytest.mark.parametrize("day", ["day", "event_date", "dt"])
@pytest.mark.parametrize("time", ["event_ts", "clickTime", "updated_at"])
def test_the_day_of_a_partition_is_not_the_time(day: str, time: str) -> None:
    columns = {"user": IDS, "item": IDS, time: TIMES, day: [text[:10] for text in TIMES]}
    assert guess_fields(columns).columns["timestamp"] == time
    del columns[time]
    assert guess_fields(columns).columns["timestamp"] == day


def test_a_column_that_is_mostly_empty_is_not_the_user() -> None:
    columns = {"user_id": [None] * 5 + ["x"], "anonymousId": IDS, "item": IDS, "time": TIMES}
    assert guess_fields(columns).columns["user"] == "anonymousId"


def test_a_user_who_is_often_unknown_gives_way_to_one_whom_every_row_has() -> None:
    half = [text if number % 2 else "" for number, text in enumerate(IDS)]
    columns = {"anonymousId": IDS, "userId": half, "item": IDS, "time": TIMES}
    fields = guess_fields(columns)
    assert fields.columns["user"] == "anonymousId"
    assert fields.remarks == [
        "user: userId is empty in 50% of the rows, which would be quarantined, so anonymousId is proposed."
    ]
    alone = guess_fields({name: columns[name] for name in ("userId", "item", "time")})
    assert (alone.columns["user"], alone.remarks) == ("userId", [])
    often = [*IDS[:5], ""]
    assert guess_fields(columns | {"userId": often}).columns["user"] == "userId"
    session = {"session_id": IDS, "userId": half, "item": IDS, "time": TIMES}
    assert guess_fields(session).columns["user"] == "userId"


def test_a_column_named_as_a_time_that_holds_none_is_not_the_time() -> None:
    columns = {"user": IDS, "item": IDS, "time": ["5", "6", "7", "8", "9", "10"], "logged": TIMES}
    assert guess_fields(columns).columns["timestamp"] == "logged"


def test_ids_that_look_like_epochs_are_no_times() -> None:
    ids = [str(1_500_000_000 + n) for n in range(6)]
    columns = {"user_id": IDS, "item_id": ids, "rating": ["1"] * 6}
    assert guess_fields(columns).missing == ["timestamp"]
    assert guess_fields({**columns, "logged": TIMES}).columns["timestamp"] == "logged"


def test_columns_without_names_are_taken_by_content_and_position() -> None:
    kinds = ["pv", "buy", "cart", "fav", "pv", "pv"]
    columns = {"column_1": IDS, "column_2": TIMES, "column_3": IDS, "column_4": kinds}
    fields = guess_fields(columns, named=False)
    expected = {"user": "column_1", "item": "column_3", "timestamp": "column_2", "event_type": "column_4"}
    assert fields.columns == expected
    assert len(fields.notes) == 2
    assert guess_fields({"column_1": IDS}, named=False).missing == ["user", "item", "timestamp"]


def test_a_date_and_a_time_of_day_are_joined() -> None:
    columns = {"user": IDS, "item": IDS, "date": ["30.11.2026"] * 6, "time": ["10:15"] * 6}
    fields = guess_fields(columns)
    assert fields.columns["timestamp"] == ["date", "time"]
    assert fields.time is not None
    assert fields.time.formats == ("%d.%m.%Y %H:%M",)


def test_a_kind_of_event_that_varies_is_preferred() -> None:
    kinds = ["view", "cart"] * 3
    columns = {"user": IDS, "item": IDS, "time": TIMES, "event": ["track"] * 6, "action": kinds}
    assert guess_fields(columns).columns["event_type"] == "action"


def test_only_the_list_of_the_items_is_looked_into() -> None:
    columns = {
        "items[].item_id": IDS,
        "items[].rating": ["1"] * 6,
        "promotions[].event_type": ["a", "b"] * 3,
        "friends[].user_id": IDS,
        "friends[].time": TIMES,
        "uid": IDS,
        "logged": TIMES,
    }
    assert guess_fields(columns).columns == {
        "user": "uid",
        "item": "items[].item_id",
        "timestamp": "logged",
        "value": "items[].rating",
    }


def test_what_was_not_recognised_lists_the_columns() -> None:
    fields = guess_fields({"who": IDS, "what": IDS, "much": ["1.5"] * 6})
    assert fields.missing == ["user", "item", "timestamp"]
    assert set(fields.candidates["user"]) == {"who", "what", "much"}


def test_names_are_told_from_those_that_only_look_like_them() -> None:
    assert likeness("user_agent", "user") == likeness("user_count", "user") == 0
    assert likeness("user_id", "user") > likeness("email", "user") > 0
    assert likeness("properties.product_id", "item") < likeness("product_id", "item")


@pytest.mark.parametrize(
    ("texts", "kind", "whole"),
    [
        (["17850.0", "13047.0"], "int64", True),
        (["1", "2"], "string", True),
        (["007", "8"], "string", False),
        (["1.5"], "string", False),
        (["u1"], "string", False),
        ([None], "string", False),
    ],
)
def test_ids_are_whole_numbers_only_where_text_would_change_them(
    texts: list[str | None], kind: str, whole: bool
) -> None:
    assert id_type(texts) == (kind, whole)


@pytest.mark.parametrize(
    ("texts", "delimiter", "expected"),
    [
        (["4.5"], ",", {}),
        (["4,5", "3,250"], ";", {"decimal": ","}),
        (["1.234,56", "4,5"], ";", {"decimal": ",", "thousands": "."}),
        (["1,234.5", "12,000"], ",", {"decimal": ".", "thousands": ","}),
        (["4,5", "4.5"], ";", {}),
    ],
)
def test_marks_of_values(texts: list[str], delimiter: str, expected: dict[str, str]) -> None:
    assert marks(texts, delimiter) == expected

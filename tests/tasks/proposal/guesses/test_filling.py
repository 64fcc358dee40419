"""Gaps of order exports, which the line above fills."""

from __future__ import annotations

from tasks.proposal.guesses.fields import guess_fields

TIMES = [f"2026-11-30T10:0{n}:00Z" for n in range(2)]
IDS = [f"a{n}" for n in range(4)]


def test_gaps_are_filled_only_within_an_order() -> None:
    columns = {
        "Name": ["#1", "#1", "#2", "#2"],
        "Email": ["a", None, "b", None],
        "sku": IDS[:4],
        "Created at": [TIMES[0], None, TIMES[1], None],
    }
    fields = guess_fields(columns)
    assert (fields.fill_down, fields.fill_down_within) == (["Email", "Created at"], "Name")
    fields = guess_fields(columns | {"Name": ["#1", "#2", "#3", "#4"]})  # a guest's order has no address
    assert (fields.fill_down, fields.fill_down_within) == ([], None)

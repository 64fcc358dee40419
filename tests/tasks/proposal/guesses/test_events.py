"""Weights suggested for kinds of events."""

from __future__ import annotations

import pytest

from tasks.proposal.guesses.events import event_weights, weight_of


@pytest.mark.parametrize(
    ("kind", "weight"),
    [
        ("view", 1),
        ("Product Viewed", 1),
        ("page_view", 1),
        ("anything", 1),
        ("add_to_cart", 3),
        ("addToCart", 3),
        ("Product Added", 3),
        ("purchase", 5),
        ("Order Completed", 5),
        ("transaction", 5),
        ("remove_from_cart", 0),
        ("Order Refunded", 0),
    ],
)
def test_a_kind_has_the_weight_that_its_words_suggest(kind: str, weight: float) -> None:
    assert weight_of(kind) == weight


def test_kinds_are_listed_by_how_often_they_occur() -> None:
    assert list(event_weights(["cart", "view", None, "view", "", "buy"])) == ["view", "buy", "cart"]

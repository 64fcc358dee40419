"""The kinds of events of a sample, with suggested weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tasks.proposal.guesses.names import tokens

WEIGHTS: Final = (
    (0.0, {"remove", "removed", "refund", "refunded", "return", "returned", "cancel", "canceled", "cancelled",
           "dislike", "unlike", "impression", "impressions", "unfavorite", "uninstall"}),
    (5.0, {"purchase", "purchased", "buy", "bought", "order", "ordered", "transaction", "sale", "conversion",
           "booking", "booked", "rent", "subscribe", "completed", "kauf", "gekauft", "bestellung", "achat"}),
    (3.0, {"cart", "basket", "addtocart", "wishlist", "favorite", "favourite", "fav", "save", "saved",
           "bookmark", "like", "liked", "download", "checkout", "share", "shared", "add", "added",
           "warenkorb", "panier"}),
)  # fmt: skip
"""Words of an event's name and the weight that they suggest; the first that fits counts."""


def event_weights(texts: Sequence[str | None]) -> dict[str, float]:
    """Return the kinds of events, the most frequent first, each with a weight."""
    kinds = Counter(text for text in texts if text)
    return {kind: weight_of(kind) for kind, _ in sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))}


def weight_of(kind: str) -> float:
    """Return the suggested weight of a kind: a view counts 1, a cart 3, a purchase 5, a return 0."""
    words = {*tokens(kind)}
    words |= {word.removesuffix("s") for word in words}
    return next((weight for weight, known in WEIGHTS if words & known), 1.0)

"""Columns that only the first line of an order fills, as exports of orders write them."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.proposal.guesses.names import ORDERS, normal
from tasks.proposal.rows import Columns


def filled_down(columns: Columns, item: str, mapped: Sequence[str]) -> tuple[list[str], str | None]:
    """Return which of the `mapped` columns to fill from above, and within which order; none and None."""
    rows = [number for number, text in enumerate(columns[item]) if text]
    gaps = {column: [number for number in rows if not columns[column][number]] for column in mapped}
    within = _order_column(columns, rows, [number for numbers in gaps.values() for number in numbers])
    if within is None:
        return [], None
    filled = [
        column
        for column, numbers in gaps.items()
        if numbers and _from_above(columns, column, within, numbers)
    ]
    return filled, within if filled else None


def _order_column(columns: Columns, rows: Sequence[int], gaps: Sequence[int]) -> str | None:
    """Return the column that is never empty, and on lines with gaps the same as on the line above."""
    if not gaps:
        return None
    for name in sorted(
        columns, key=lambda name: ORDERS.index(normal(name)) if normal(name) in ORDERS else 99
    ):
        texts = columns[name]
        if normal(name) not in ORDERS or len(set(texts)) < 2:
            continue
        same = sum(number > 0 and texts[number] == texts[number - 1] for number in gaps)
        if all(texts[number] for number in rows) and same >= 0.5 * len(gaps):
            return name
    return None


def _from_above(columns: Columns, column: str, within: str, gaps: Sequence[int]) -> bool:
    """Return whether most gaps come after a value in the same order; else they are simply unknown."""
    texts, orders = columns[column], columns[within]
    filled, known = 0, set(gaps)
    last: tuple[str | None, bool] = (None, False)
    for number, order in enumerate(orders):
        has_value = bool(texts[number]) or (last[0] == order and last[1])
        filled += number in known and has_value
        last = (order, has_value)
    return filled >= 0.5 * len(gaps)

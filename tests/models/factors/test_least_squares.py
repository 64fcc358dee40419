"""Blocks of rows: all of them, in their order, on any number of threads."""

from __future__ import annotations

import pytest

from models.factors.least_squares import blocks


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 32, 33, 5_000])
def test_blocks_are_the_same_for_any_number_of_threads(count: int, threads: int) -> None:
    """Sums over blocks then have the same bytes."""
    expected = [(start, min(start + 32, count)) for start in range(0, count, 32)]
    assert list(blocks(count, threads, lambda start, stop: (start, stop), 32)) == expected

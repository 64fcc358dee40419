"""Parts of layers: fixed by the size alone, worked on by several threads, combined in order."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.neural.parts import LEAST_ROWS, MOST, Parts

CPU = torch.device("cpu")


@given(rows=st.integers(0, 100_000), least=st.integers(1, 1000))
def test_the_parts_cover_all_rows_in_order(rows: int, least: int) -> None:
    parts = Parts().map(lambda part: part, rows, least)
    assert [number for part in parts for number in range(part.start, part.stop)] == list(range(rows))
    assert len(parts) <= MOST
    assert min(part.stop - part.start for part in parts) >= min(least, rows)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_order_on_any_number_of_threads(threads: int) -> None:
    with Parts.on(threads, CPU) as parts:
        assert parts.map(lambda part: part.start, 4 * LEAST_ROWS) == [0, 512, 1024, 1536]


def test_parts_are_worked_on_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=30)  # broken unless two parts wait at once
    with Parts.on(2, CPU) as parts:
        assert len(parts.map(lambda _: meeting.wait(), 2 * LEAST_ROWS)) == 2


def test_an_error_in_a_part_is_raised() -> None:
    def fail(part: slice) -> None:
        raise ValueError(f"part {part.start}")

    with Parts.on(2, CPU) as parts, pytest.raises(ValueError, match="part 0"):
        parts.map(fail, 2 * LEAST_ROWS)

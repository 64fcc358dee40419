"""The expected cost of ALS, beside CPU seconds measured once on one core."""

from __future__ import annotations

import pytest

from models.factors import als_cost
from models.factors.als_cost import training_cost
from models.options import Size

MOVIELENS = Size(6_040, 3_706, 1_000_209)
MUSIC = Size(9_000, 40_581, 300_387)
LARGE = Size(500_000, 100_000, 5_567_418)
FEW_DAYS = Size(7_760, 1_392, 47_585)


@pytest.mark.parametrize(
    ("size", "factors", "iterations", "measured"),
    [
        (MOVIELENS, 16, 12, 0.77),
        (MOVIELENS, 128, 12, 2.01),
        (MOVIELENS, 512, 4, 3.30),
        (MOVIELENS, 1024, 3, 7.47),
        (MUSIC, 16, 12, 1.49),
        (MUSIC, 128, 12, 3.13),
        (MUSIC, 512, 3, 5.80),
        (LARGE, 128, 6, 29.5),
        (LARGE, 512, 1, 21.7),
        (FEW_DAYS, 128, 12, 0.46),
        (FEW_DAYS, 512, 3, 0.88),
    ],
)
def test_the_estimate_is_near_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, size: Size, factors: int, iterations: int, measured: float
) -> None:
    for name, value in (("CORES", 1), ("SLOWER", 1.0), ("REST", 0.0)):
        monkeypatch.setattr(als_cost, name, value)
    assert 1 / 1.5 < training_cost(factors, iterations, size).seconds / measured < 1.5


def test_preparation_is_done_once_and_memory_holds_two_copies_of_the_vectors() -> None:
    one, two = (training_cost(64, rounds, MOVIELENS) for rounds in (10, 20))
    assert two.seconds < 2 * one.seconds  # the preparation is done once
    assert one.memory == two.memory == 4 * 64 * 2 * (6_040 + 3_706) + 40 * 1_000_209

"""How changes are told: in per cent of a base only where that is telling."""

from __future__ import annotations

import pytest

from tasks.quality.checks import LEAST_BASE, change_text, is_telling


@pytest.mark.parametrize(
    ("change", "base", "text"),
    [
        (0.01, 0.2, "+5.0% [+2.5%, +7.5%]"),
        (-0.2, 0.2, "-100.0% [-102.5%, -97.5%]"),  # nothing is left
        (0.1028, 0.0042, "+0.1028 [+0.0978, +0.1078]"),  # 24 times the base
        (0.0003, 0.0005, "+0.0003 [-0.0047, +0.0053]"),  # of next to nothing
        (0.01, 0.0, "+0.0100 [+0.0050, +0.0150]"),
    ],
)
def test_a_change_is_told_in_per_cent_only_of_a_base_that_is_not_tiny_beside_it(
    change: float, base: float, text: str
) -> None:
    assert change_text(change, change - 0.005, change + 0.005, base) == text
    assert is_telling(change, base) == ("%" in text)


def test_no_change_of_more_than_a_hundred_per_cent_is_ever_told() -> None:
    bases = [LEAST_BASE * factor for factor in (0.5, 1, 2, 50, 900)]
    for base in bases:
        for change in bases:
            assert ("%" in change_text(change, 0, 0, base)) == (change <= base and base >= LEAST_BASE)

"""What a training of ALS is expected to cost: a sum of what was measured part by part."""

from __future__ import annotations

from typing import Final

from models.factors.least_squares import STEPS
from models.options import Cost, Size

CORES: Final = 2  # that share everything but the preparation and the principal axes
STEP_FLOPS: Final = 25e9  # a second and core, in steps over rows
STEP_OVERHEAD: Final = 600  # operations per pair that do not grow with the factors
PRODUCT_FLOPS: Final = 60e9  # a second and core, in large products
CACHE, READ_SPEED = 32e6, 5e9  # bytes of vectors that stay near the core; bytes a second beyond them
ROW, ROW_FACTOR = 1.3e-6, 5e-9  # seconds for a row, and for each of its factors
ROUND, AXES = 2e-3, 5e-10  # seconds for a round, and for its axes, times factors cubed
PREPARED_PAIR, PREPARED_ROW = 2e-7, 4e-6  # seconds
REST, SLOWER = 0.02, 1.2  # seconds of a training; a usual machine beside the one of these figures


def training_cost(factors: int, iterations: int, size: Size) -> Cost:
    """Return the seconds on two cores, and the bytes.

    A pass over a pair's two vectors takes 4 d operations for each, and there is one more than
    steps. In a round, the vectors of both sides are rotated twice (2 d^2 operations each) and
    squared once (d^2).
    """
    users, items, pairs = max(size.users, 1), max(size.items, 1), size.pairs
    rows = users + items
    shared = pairs * (8 * (1 + STEPS) * factors + STEP_OVERHEAD) / STEP_FLOPS
    shared += 5.0 * rows * factors**2 / PRODUCT_FLOPS + rows * (ROW + ROW_FACTOR * factors)
    for count in (users, items):
        if 4 * factors * count > CACHE:
            shared += 4 * factors * pairs / READ_SPEED
    seconds = iterations * (shared / CORES + ROUND + AXES * factors**3)
    seconds += PREPARED_PAIR * pairs + PREPARED_ROW * rows
    return Cost(SLOWER * seconds + REST, 4.0 * factors * 2 * rows + 40.0 * pairs)

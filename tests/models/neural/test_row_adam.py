"""Adam row by row does what Adam does, at the rows that have a gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.neural.parts import Parts
from models.neural.row_adam import LONGEST, RowAdam

RATES = (0.1, 0.03, 0.01)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def both(
    shape: tuple[int, ...], touched: list[list[int]], weight_decay: float = 0.0
) -> tuple[RowAdam, torch.Tensor]:
    """Update the rows of each list in turn; return our optimizer and the weight of torch's own."""
    ours = RowAdam(torch.nn.Parameter(drawn(*shape)), weight_decay)
    theirs = torch.nn.Parameter(drawn(*shape))
    reference = torch.optim.Adam([theirs], weight_decay=weight_decay)
    for number, rows in enumerate(touched):
        ours.learning_rate = reference.param_groups[0]["lr"] = RATES[number % len(RATES)]
        gradient = drawn(len(rows), *shape[1:], seed=number + 1)
        chosen = torch.tensor(rows, dtype=torch.int64)
        ours.prepare(chosen)
        np.testing.assert_allclose(ours.weight[chosen], theirs.detach()[chosen], atol=1e-5)
        ours.update(chosen, gradient)
        ours.complete()
        theirs.grad = torch.zeros(shape).index_copy(0, chosen, gradient)
        reference.step()
    ours.flush(Parts())
    return ours, theirs.detach()


@settings(max_examples=40, deadline=None)
@given(
    touched=st.lists(st.lists(st.integers(0, 4), unique=True), min_size=1, max_size=20),
    shape=st.sampled_from([(5, 3), (5,)]),
    weight_decay=st.sampled_from([0.0, 0.0, 0.1]),
)
def test_rows_are_those_of_adam_whenever_they_are_used(
    touched: list[list[int]], shape: tuple[int, ...], weight_decay: float
) -> None:
    ours, theirs = both(shape, touched, weight_decay)
    np.testing.assert_allclose(ours.weight, theirs, atol=1e-5)


def test_a_row_without_a_gradient_moves_on_by_hand() -> None:
    row = RowAdam(torch.nn.Parameter(torch.zeros(1, 1)), 0.0)
    row.learning_rate = 0.1
    row.update(torch.tensor([0]), torch.tensor([[3.0]]))
    row.complete()
    assert float(row.weight) == pytest.approx(-0.1)  # the first step has the length of the rate
    row.complete()
    row.flush(Parts())
    # m = .1 * 3 * .9, v = .001 * 9 * .999; divided by 1 - .9^2 and 1 - .999^2
    mean, square = 0.27 / (1 - 0.9**2), 0.008991 / (1 - 0.999**2)
    assert float(row.weight) == pytest.approx(-0.1 - 0.1 * mean / square**0.5, rel=1e-5)
    assert [float(row.mean), float(row.square)] == pytest.approx([0.27, 0.008991], rel=1e-5)


def test_a_row_that_missed_very_many_updates_is_still_that_of_adam() -> None:
    ours, theirs = both((2, 2), [[0, 1], *[[1]] * (2 * LONGEST), [0]])
    np.testing.assert_allclose(ours.weight, theirs, atol=2e-5)


def test_only_touched_rows_are_moved_before_the_flush() -> None:
    ours = RowAdam(torch.nn.Parameter(drawn(4, 2)), 0.0)
    for rows in ([0, 1, 2, 3], [1], [1]):
        ours.learning_rate = 0.1
        ours.prepare(torch.tensor(rows))
        ours.update(torch.tensor(rows), torch.ones(len(rows), 2))
        ours.complete()
    assert ours.last.tolist() == [1, 3, 1, 1]
    ours.flush(Parts())
    assert ours.last.tolist() == [3, 3, 3, 3]


def test_a_slice_of_rows_is_updated_like_their_numbers() -> None:
    weights = []
    for rows in (slice(1, 3), torch.tensor([1, 2])):
        ours = RowAdam(torch.nn.Parameter(drawn(4, 2)), 0.0)
        ours.learning_rate = 0.1
        ours.update(rows, drawn(2, 2, seed=1))
        ours.complete()
        weights.append(ours.weight)
    assert torch.equal(*weights)

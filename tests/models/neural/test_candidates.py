"""Sampled softmax: chances by hand, an unbiased sum, and an update that touches only candidates."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models.neural.adam import Adam
from models.neural.candidates import Candidates, chance_of_none
from models.neural.item_layers import OutputLayer
from models.neural.layers import Bags
from models.neural.parts import Parts

CPU = torch.device("cpu")


def bags(dense: npt.ArrayLike) -> Bags:
    return Bags.of(sparse.csr_array(np.asarray(dense, dtype=np.float32)), CPU)


@given(users=st.integers(0, 60), data=st.data())
def test_the_chance_of_none_is_hypergeometric(users: int, data: st.DataObject) -> None:
    count, drawn = data.draw(st.integers(0, users)), data.draw(st.integers(0, users))
    expected = comb(users - count, drawn) / comb(users, drawn)
    assert chance_of_none(np.array([count]), users, drawn)[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_candidates_are_the_items_of_the_batch_and_others() -> None:
    batch = bags(np.eye(3, 1000))
    counts = np.full(1000, 5)
    chosen = Candidates.draw(batch, counts, 50, 100, np.random.default_rng(0))
    assert set(chosen.items.tolist()) >= {0, 1, 2}
    assert (chosen.items.diff() > 0).all()
    assert 100 <= len(chosen.items) <= 103
    # of the 49 others, 5 have it and two are in the batch; a tenth of all items is drawn
    missed = 44 * 43 / (49 * 48) * 0.9
    np.testing.assert_allclose(chosen.log_chances, np.log(1 - missed), rtol=1e-5)
    numbered = chosen.numbered(batch)
    assert chosen.items[numbered.items].tolist() == batch.items.tolist()


def test_with_all_items_drawn_nothing_is_corrected() -> None:
    chosen = Candidates.draw(bags(np.eye(3, 7)), np.ones(7, np.int64), 9, 10_000, np.random.default_rng(0))
    assert chosen.items.tolist() == list(range(7))
    assert chosen.log_chances.tolist() == [0.0] * 7


def test_the_estimated_sum_of_the_softmax_is_unbiased() -> None:
    # 5 users, batches of 2, 8 items of which 3 are drawn: all pairs with user 0, many draws
    items = np.random.default_rng(1).random((5, 8)) < 0.4
    items[0, 1:3], items[0, 3:] = True, False
    counts, scores = items.sum(axis=0), np.random.default_rng(2).normal(size=8)
    draw, sums = np.random.default_rng(3), []
    for first, other in combinations(range(5), 2):
        if first != 0:
            continue
        for _ in range(3000):
            batch = bags(items[[first, other]])
            chosen = Candidates.draw(batch, counts, 5, 3, draw)
            own = items[0][chosen.items.numpy()]
            chances = np.where(own, 1.0, np.exp(chosen.log_chances.numpy()))
            sums.append((np.exp(scores[chosen.items.numpy()]) / chances).sum())
    error = np.std(sums) / len(sums) ** 0.5
    assert abs(np.mean(sums) - np.exp(scores).sum()) < 4 * error
    assert error < 0.01 * np.exp(scores).sum()


def learned(candidates: Candidates | None) -> tuple[OutputLayer, torch.Tensor, float]:
    generator = torch.Generator().manual_seed(0)
    weight, bias = (
        torch.nn.Parameter(torch.randn(*shape, generator=generator)) for shape in ((50, 4), (50,))
    )
    optimizer = Adam([weight, bias], 0.0, [0, 1])
    layer = OutputLayer(optimizer.rows[0], optimizer.rows[1], Parts())
    code = torch.randn(6, 4, generator=generator).requires_grad_()
    batch = bags(np.random.default_rng(0).integers(0, 3, (6, 50)) * (np.arange(50) % 3 == 0))
    optimizer.begin(0.1)
    loss = layer.negative_log_likelihood(code, batch, candidates)
    loss.backward()
    optimizer.step()
    assert code.grad is not None
    return layer, code.grad, float(loss.detach())


def test_with_all_items_as_candidates_the_update_is_that_of_the_whole_softmax() -> None:
    every = Candidates(torch.arange(50), torch.zeros(50))
    (whole, gradient, loss), (sampled, other_gradient, other_loss) = learned(None), learned(every)
    assert other_loss == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(other_gradient, gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sampled.weight.weight, whole.weight.weight, rtol=1e-5, atol=1e-6)


def test_the_loss_of_candidates_by_hand_and_only_their_rows_change() -> None:
    # items 0, 3, ..., 48 may have entries; 1 and 2 are drawn, each with a chance of a quarter
    items = torch.tensor([*range(0, 50, 3), 1, 2]).sort().values
    chances = torch.where(items % 3 == 0, 0.5, 0.25)
    layer, _, loss = learned(Candidates(items, chances.log()))
    whole, _, _ = learned(None)
    assert ((layer.weight.last == 1).nonzero()[:, 0] == items).all()
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(50, 4, generator=generator), torch.randn(50, generator=generator)
    code = torch.randn(6, 4, generator=generator)
    counts = np.random.default_rng(0).integers(0, 3, (6, 50)) * (np.arange(50) % 3 == 0)
    logits = (code @ weight.T + bias).double().numpy()
    chance = np.full(50, np.inf)
    chance[items] = chances
    chance = np.where(counts > 0, 1.0, chance)
    log_sums = np.log((np.exp(logits) / chance).sum(axis=1))
    expected = -(counts * (logits - log_sums[:, None])).sum() / 6
    assert loss == pytest.approx(expected, rel=1e-5)
    untouched = np.setdiff1d(np.arange(50), items)
    np.testing.assert_array_equal(layer.weight.weight[untouched], weight[untouched])
    assert (layer.weight.weight[items] != weight[items]).any(dim=1).all()
    assert (whole.weight.weight[untouched] != weight[untouched]).all()

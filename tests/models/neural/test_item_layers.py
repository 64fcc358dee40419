"""The large layers: their gradients and updates are those of the whole layer in torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import sparse
from scipy.special import log_softmax

from models.neural import parts as parts_module
from models.neural.adam import Adam
from models.neural.item_layers import InputLayer, OutputLayer
from models.neural.layers import Bags
from models.neural.parts import Parts

CPU = torch.device("cpu")
ITEMS, USERS, WIDTH = 700, 40, 8


def matrix(dense: npt.ArrayLike) -> sparse.csr_array:
    return sparse.csr_array(np.asarray(dense, dtype=np.float32))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bags(seed: int, density: float = 0.02) -> Bags:
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 4, (USERS, ITEMS)) * (draw.random((USERS, ITEMS)) < density)
    return Bags.of(matrix(counts), CPU)


def output(weight: torch.Tensor, bias: torch.Tensor, parts: Parts) -> tuple[OutputLayer, Adam]:
    optimizer = Adam([torch.nn.Parameter(weight), torch.nn.Parameter(bias)], 0.0, [0, 1])
    return OutputLayer(optimizer.rows[0], optimizer.rows[1], parts), optimizer


def test_the_likelihood_is_multinomial() -> None:
    counts = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    logits = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]], dtype=np.float32)
    layer, _ = output(torch.from_numpy(logits.T.copy()), torch.zeros(3), Parts())
    loss = float(layer.negative_log_likelihood(torch.eye(2), Bags.of(matrix(counts), CPU)))
    assert loss == pytest.approx(-(counts * log_softmax(logits, axis=1)).sum() / 2, rel=1e-6)
    # user 0: 3 ln(e + e^2 + 1) - 1; user 1: 2 ln(e^.5 + e^-1 + e^3) - 2
    first, second = 3 * np.log(np.e + np.e**2 + 1) - 1, 2 * np.log(np.e**0.5 + np.e**-1 + np.e**3) - 2
    assert loss == pytest.approx((first + second) / 2, rel=1e-6)


def test_the_output_layer_learns_as_torch_does() -> None:
    layer, optimizer = output(drawn(ITEMS, WIDTH), drawn(ITEMS, seed=1), Parts())
    weight, bias = (torch.nn.Parameter(part) for part in (drawn(ITEMS, WIDTH), drawn(ITEMS, seed=1)))
    reference = torch.optim.Adam([weight, bias], lr=0.1)
    for update in range(4):
        batch, code = bags(update), drawn(USERS, WIDTH, seed=update + 2)
        ours, theirs = code.clone().requires_grad_(), code.clone().requires_grad_()
        optimizer.begin(0.1)
        (2 * layer.negative_log_likelihood(ours, batch)).backward()
        optimizer.step()
        reference.zero_grad()
        chosen = torch.log_softmax(theirs @ weight.T + bias, 1)[batch.rows, batch.items]
        (-2 * (chosen * batch.values).sum() / USERS).backward()
        reference.step()
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.weight.weight, weight.detach(), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(layer.bias.weight, bias.detach(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("densities", [[0.0005] * 6, [0.02] * 6, [0.5] * 6, [0.02, 0.0005] * 3])
def test_the_input_layer_learns_as_torch_does(densities: list[float]) -> None:
    parameter, weight = (torch.nn.Parameter(drawn(ITEMS, WIDTH)) for _ in range(2))
    optimizer = Adam([parameter], 0.0, [0])
    layer, reference = InputLayer(optimizer.rows[0], Parts()), torch.optim.Adam([weight], lr=0.1)
    for update, density in enumerate(densities):
        batch, upstream = bags(update, density), drawn(USERS, WIDTH, seed=update)
        dense = torch.zeros(USERS, ITEMS).index_put((batch.rows, batch.items), batch.values)
        optimizer.begin(0.1)
        product = layer.product(batch, parameter)
        np.testing.assert_allclose(product.detach(), (dense @ weight).detach(), rtol=1e-3, atol=1e-3)
        product.backward(upstream)
        optimizer.step()
        reference.zero_grad()
        (dense @ weight).backward(upstream)
        reference.step()
    optimizer.flush()
    np.testing.assert_allclose(parameter.detach(), weight.detach(), rtol=1e-3, atol=1e-3)


def test_the_bytes_are_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "LEAST_ROWS", 50)  # many parts
    results = []
    for threads in (1, 2, 3):
        with Parts.on(threads, CPU) as parts:
            layer, optimizer = output(drawn(ITEMS, WIDTH), drawn(ITEMS, seed=1), parts)
            code = drawn(USERS, WIDTH, seed=2).requires_grad_()
            optimizer.begin(0.1)
            loss = layer.negative_log_likelihood(code, bags(0))
            loss.backward()
            optimizer.step()
            results.append([loss.detach(), code.grad, layer.weight.weight, layer.bias.weight])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))

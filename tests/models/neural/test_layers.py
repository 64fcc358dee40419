"""Batches of sparse rows: products, normalisation, dropout, and entries by item."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models.neural import layers
from models.neural.layers import Bags, bag_product

CPU = torch.device("cpu")


def matrix(dense: npt.ArrayLike) -> sparse.csr_array:
    return sparse.csr_array(np.asarray(dense, dtype=np.float32))


@st.composite
def rows(draw: st.DrawFn) -> sparse.csr_array:
    n_rows, n_columns = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.floats(0, 1))
    return matrix(rng.random((n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < density))


@settings(max_examples=40)
@given(rows())
def test_the_sparse_input_layer_equals_the_dense_one(given_rows: sparse.csr_array) -> None:
    bags = Bags.of(given_rows, CPU)
    upstream = torch.randn(len(bags), 3, generator=torch.Generator().manual_seed(0))
    results = []
    for dense_from in (0.0, 2.0):
        weight = torch.linspace(-1, 1, given_rows.shape[1] * 3).reshape(-1, 3).requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layers, "DENSE_FROM", dense_from)
            product = bag_product(bags, weight)
        product.backward(upstream)  # type: ignore[no-untyped-call]
        results.append((product.detach().numpy(), weight.grad.numpy()))  # type: ignore[union-attr]
    for dense, bag in zip(*results, strict=True):
        np.testing.assert_allclose(bag, dense, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(results[0][0], given_rows @ weight.detach().numpy(), rtol=1e-5, atol=1e-6)


@settings(max_examples=40)
@given(rows())
def test_rows_are_normalised_to_length_one_and_empty_rows_stay_empty(given_rows: sparse.csr_array) -> None:
    bags = Bags.of(given_rows, CPU).normalised()
    squares = np.bincount(bags.rows.numpy(), bags.values.square().numpy(), minlength=len(bags))
    np.testing.assert_allclose(squares, np.diff(given_rows.indptr) > 0, rtol=1e-5)


def test_dropout_keeps_the_expectation() -> None:
    bags = Bags.of(matrix(np.ones((200, 500))), CPU)
    kept = bags.with_dropout(0.75, torch.Generator().manual_seed(1))
    assert set(kept.values.tolist()) == {4.0}
    assert float(kept.values.sum()) == pytest.approx(len(bags.values), rel=0.02)
    assert kept.offsets.tolist() == [0, *np.bincount(kept.rows, minlength=200).cumsum()]
    assert torch.equal(bags.with_dropout(0.0, torch.Generator()).values, bags.values)


@settings(max_examples=40)
@given(rows())
def test_entries_by_item_are_those_of_the_transpose(given_rows: sparse.csr_array) -> None:
    items, entries = Bags.of(given_rows, CPU).by_item
    transposed = given_rows.T.tocsr()
    assert items.tolist() == np.flatnonzero(np.diff(transposed.indptr)).tolist()
    assert entries.items.tolist() == transposed.indices.tolist()
    assert entries.values.tolist() == transposed.data.tolist()
    half = entries.part(slice(0, len(items) // 2))
    assert half.values.tolist() == transposed.data[: half.offsets[-1]].tolist()

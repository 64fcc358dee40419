"""Mult-VAE: its loss by hand, sparse input, learning, and saved state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models import artefact, registry
from models.base import Factorised, HasSimilarItems
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.neural import layers
from models.neural.layers import Bags, bag_product
from models.neural.losses import annealed_beta, divergence
from models.neural.mult_vae import MultVAE
from models.neural.mult_vae_config import MultVAEConfig
from models.neural.mult_vae_network import Network, Reconstruction
from models.neural.validation import ValidationSet, validation_users
from models.options import Progress, TrainingOptions

CPU = torch.device("cpu")
ONE_THREAD = TrainingOptions("cpu", seed=7, threads=1)
SMALL = MultVAEConfig(hidden=16, latent=4, batch_size=32, epochs=60, learning_rate=0.02)


def matrix(dense: npt.ArrayLike) -> sparse.csr_array:
    return sparse.csr_array(np.asarray(dense, dtype=np.float32))


def checkerboard(users: int = 60, items: int = 12, seed: int = 0) -> sparse.csr_array:
    """Even users have all even items but one, odd users all odd items but one."""
    dense = (np.arange(users)[:, None] + np.arange(items)) % 2 == 0
    missed = np.random.default_rng(seed).integers(0, items // 2, users) * 2 + np.arange(users) % 2
    dense[np.arange(users), missed] = False
    return matrix(dense)


@st.composite
def rows(draw: st.DrawFn) -> sparse.csr_array:
    n_rows, n_columns = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.floats(0, 1))
    return matrix(rng.random((n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < density))


def test_the_divergence_equals_the_closed_form() -> None:
    mean, log_variance = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[0.0, 0.0], [np.log(4.0), -1.0]])
    # per dimension (v + m^2 - 1 - ln v) / 2: user 0: 0 and 1/2; user 1: (7 - ln 4) / 2 and (1/e +
    # 1) / 2
    by_hand = (0.5 + (7 - np.log(4)) / 2 + (1 / np.e + 1) / 2) / 2
    actual = divergence(torch.from_numpy(mean), torch.from_numpy(log_variance))
    assert float(actual) == pytest.approx(by_hand)
    code = torch.distributions.Normal(torch.from_numpy(mean), torch.from_numpy(log_variance).div(2).exp())
    reference = torch.distributions.kl_divergence(code, torch.distributions.Normal(0.0, 1.0))
    assert float(reference.sum(1).mean()) == pytest.approx(by_hand)


def test_the_weight_of_the_divergence_rises_to_beta() -> None:
    weights = [annealed_beta(0.2, update, 4) for update in range(7)]
    assert weights == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.2])
    assert annealed_beta(0.2, 0, 0) == 0.2


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


def test_a_fifth_of_a_validation_users_items_is_hidden() -> None:
    full = matrix([[1] * 10, [1] * 9 + [0], [1] * 5 + [0] * 5])
    validation = ValidationSet.split(full, np.random.default_rng(0))
    assert np.diff(validation.hidden.indptr).tolist() == [2, 1, 1]
    np.testing.assert_array_equal((validation.seen + validation.hidden).toarray(), full.toarray())


def test_the_gain_of_hidden_items_by_hand() -> None:
    validation = ValidationSet(matrix([[1, 0, 0, 0], [0, 0, 1, 0]]), matrix([[0, 1, 0, 1], [1, 0, 0, 0]]))
    logits = torch.tensor([[9.0, 1.0, 3.0, 2.0], [0.0, 1.0, 9.0, 2.0]])
    # user 0 ranks 2, 3, 1: hits at ranks 2 and 3 of ideal 1 and 2; user 1 ranks 3, 1, 0: a hit at
    # rank 3
    expected = (1 / np.log2(3) + 1 / 2) / (1 + 1 / np.log2(3)) + 1 / 2
    assert validation.gain(logits, slice(0, 2)) == pytest.approx(expected, rel=1e-6)


def test_with_few_users_all_are_trained_on() -> None:
    draw = np.random.default_rng(0)
    assert len(validation_users(matrix(np.ones((499, 6))), 0.1, draw)) == 0
    assert len(validation_users(matrix(np.ones((500, 6))), 0.1, draw)) == 50
    assert (
        len(validation_users(matrix(np.ones((500, 4))), 0.1, draw)) == 0
    )  # no user has enough items to hide


def test_little_data_is_trained_in_small_batches() -> None:
    updates = {}
    for users in (20, 320, 640):
        model = MultVAE(SMALL.model_copy(update={"epochs": 1, "validation_share": 0.0}))
        updates[users] = model.fit(Dataset(checkerboard(users)), ONE_THREAD).report["update"]
    assert updates == {20: 2, 320: 16, 640: 20}  # batches of 16, 20 and, as configured, 32


@pytest.mark.parametrize("config", [SMALL, MultVAEConfig()], ids=["small", "default"])
def test_mult_vae_learns_a_checkerboard(config: MultVAEConfig) -> None:
    data = checkerboard()
    model = MultVAE(config).fit(Dataset(data), ONE_THREAD)
    best = model.recommend(Histories(data), 1, exclude=data).items[:, 0]
    missed = ((np.arange(60)[:, None] + np.arange(12)) % 2 == 0) & (data.toarray() == 0)
    np.testing.assert_array_equal(best, missed.argmax(axis=1))
    similar = model.similar_items(np.arange(12), 3)
    assert ((similar.items - np.arange(12)[:, None]) % 2 == 0).all()
    assert model.report["validation_users"] == 0
    assert model.report["users"] == 60


def test_a_new_user_needs_only_a_history() -> None:
    model = MultVAE(SMALL).fit(Dataset(checkerboard()), ONE_THREAD)
    new = matrix([[1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0], [0] * 12, [0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]])
    top = model.recommend(Histories(new), 2, exclude=new)
    assert set(top.items[0]) == {8, 10}
    assert top.items[1].tolist() == [-1, -1]
    assert set(top.items[2]) <= {7, 9, 11}


def test_scores_are_the_product_of_the_vectors_and_rank_like_the_softmax() -> None:
    data = checkerboard()
    model = MultVAE(SMALL).fit(Dataset(data), ONE_THREAD)
    assert isinstance(model, Factorised)
    assert isinstance(model, HasSimilarItems)
    network = model._network
    with torch.inference_mode():
        logits = network.logits(network.decode(network.encode(Bags.of(data, CPU).normalised())[0])).numpy()
    scores = model.scores(Histories(data))
    np.testing.assert_allclose(scores, logits, rtol=1e-4, atol=1e-5)
    products = model.vectors(Histories(data)) @ model.item_vectors().T
    np.testing.assert_allclose(scores, products, rtol=1e-4, atol=1e-5)


def test_the_vector_of_a_user_does_not_depend_on_other_users() -> None:
    data = checkerboard()
    model = MultVAE(SMALL).fit(Dataset(data), ONE_THREAD)
    together = model.vectors(Histories(data))
    alone = model.vectors(Histories(data[17:18]))
    np.testing.assert_array_equal(together[17:18], alone)


def weighted() -> sparse.csr_array:
    data = checkerboard()
    data.data = 1.0 + np.random.default_rng(1).integers(0, 5, data.nnz).astype(np.float32)
    return data


def test_weights_only_count_if_binarise_is_off() -> None:
    plain, weights = checkerboard(), weighted()
    config = SMALL.model_copy(update={"epochs": 2})
    binary = [MultVAE(config).fit(Dataset(data), ONE_THREAD).item_vectors() for data in (plain, weights)]
    np.testing.assert_array_equal(*binary)
    config = config.model_copy(update={"binarise": False})
    assert (MultVAE(config).fit(Dataset(weights), ONE_THREAD).item_vectors() != binary[0]).any()


def arrays(options: TrainingOptions, **config: Any) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Train on 600 users, with 60 of them for validation."""
    settings_ = SMALL.model_copy(
        update={"epochs": 4, "batch_size": 100, "checkpoint_seconds": 0.0, "validation_share": 0.1} | config
    )
    model = MultVAE(settings_).fit(Dataset(checkerboard(600)), options)
    return model._arrays(), model.report


def test_a_killed_and_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    class Killed(Exception):
        """Stands for the end of the process."""

    def kill(step: Progress) -> None:
        if step.epoch == 2:
            raise Killed

    expected, whole = arrays(ONE_THREAD)
    with pytest.raises(Killed):
        arrays(TrainingOptions("cpu", 7, 1, tmp_path, kill))
    resumed, report = arrays(TrainingOptions("cpu", 7, 1, tmp_path))
    assert (report["resumed"], report["validation_users"], report["users"]) == (2, 60, 540)
    assert report["losses"] == whole["losses"]
    for name, array in expected.items():
        np.testing.assert_array_equal(resumed[name], array)
    suffixes = {file.suffix for file in tmp_path.rglob("*") if file.is_file()}
    assert suffixes == {".safetensors", ".json"}


def test_the_seed_determines_the_weights() -> None:
    first, same = arrays(ONE_THREAD)[0], arrays(ONE_THREAD)[0]
    different = arrays(TrainingOptions("cpu", 8, 1))[0]
    assert all((first[name] == same[name]).all() for name in first)
    assert all((first[name] != different[name]).any() for name in first)


def test_the_loss_in_mixed_precision_is_almost_equal() -> None:
    data = checkerboard()
    draw = torch.Generator().manual_seed(0)
    network = Network(12, 64, 16, draw)
    objective = Reconstruction(network, SMALL, data, None, CPU)
    batch = next(objective.batches(np.random.default_rng(0)))
    exact = objective.loss(batch, 100, torch.Generator().manual_seed(1)).detach()
    with torch.autocast("cpu", torch.bfloat16):  # as CUDA does with mixed_precision
        rounded = objective.loss(batch, 100, torch.Generator().manual_seed(1)).detach()
    assert rounded.dtype == torch.float32
    assert float(rounded) == pytest.approx(float(exact), rel=1e-2)
    assert float(rounded) != float(exact)


def test_a_step_size_that_makes_the_loss_infinite_is_an_error() -> None:
    config = SMALL.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ModelError, match=r"finite loss of mult_vae, got .* at epoch 1, step 2"):
        MultVAE(config).fit(Dataset(checkerboard()), ONE_THREAD)


def test_the_weights_are_the_same_on_any_number_of_threads() -> None:
    draw = np.random.default_rng(3)
    data = matrix(draw.random((600, 1000)) < 0.02)  # several parts of users and items
    config = MultVAEConfig(hidden=32, latent=4, epochs=3, validation_share=0.1)
    first, *others = (
        MultVAE(config).fit(Dataset(data), TrainingOptions("cpu", threads=threads)) for threads in (1, 2, 3)
    )
    assert first.report["validation_users"] == 60
    for other in others:
        assert other.report["scores"] == first.report["scores"]
        for name, array in first._arrays().items():
            np.testing.assert_array_equal(other._arrays()[name], array)


def test_a_loaded_model_recommends_the_same(tmp_path: Path) -> None:
    data = checkerboard()
    model = MultVAE(SMALL.model_copy(update={"epochs": 3})).fit(Dataset(data), ONE_THREAD)
    loaded = artefact.load(artefact.save(model, tmp_path / "mult_vae"))
    before, after = model.recommend(Histories(data), 4), loaded.recommend(Histories(data), 4)
    np.testing.assert_array_equal(before.items, after.items)
    np.testing.assert_array_equal(before.scores, after.scores)


def test_an_array_of_another_shape_is_refused() -> None:
    model = MultVAE(SMALL.model_copy(update={"epochs": 1})).fit(Dataset(checkerboard()), ONE_THREAD)
    content = model._arrays() | {"code": np.zeros((3, 3), dtype=np.float32)}
    with pytest.raises(ModelError, match=r"expected code of shape \(8, 16\), got \(3, 3\)"):
        model._restore(content)


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"unknown key 'factors' in models\.mult_vae; known: anneal_"):
        registry.config("mult_vae", {"factors": 64})

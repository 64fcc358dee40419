"""Mult-VAE: its loss by hand, sparse input, learning, and saved state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import sparse

from models import artefact, registry
from models.abilities import Factorised, HasSimilarItems
from models.autoencoders.mult_vae import MultVAE
from models.autoencoders.mult_vae_config import MultVAEConfig
from models.autoencoders.mult_vae_network import Network, Reconstruction
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.neural.layers import Bags
from models.neural.losses import annealed_beta, divergence
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
    network = Network(data.shape[1], SMALL.hidden, SMALL.latent, torch.Generator())
    for name, parameter in network.named_parameters():
        parameter.data = torch.from_numpy(model._arrays()[name])
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
    objective = Reconstruction(network, SMALL, data, data, None, CPU)
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


def test_the_softmax_of_large_catalogues_is_sampled() -> None:
    assert [MultVAEConfig().drawn(items) for items in (1, 50_000, 50_001)] == [None, None, 1024]
    assert [MultVAEConfig(negatives=count).drawn(60_000) for count in (0, 7, None)] == [0, 7, None]


def test_a_sampled_softmax_learns_on_any_number_of_threads_and_resumes(tmp_path: Path) -> None:
    data = checkerboard()
    config = SMALL.model_copy(update={"negatives": 3})
    model = MultVAE(config).fit(Dataset(data), ONE_THREAD)
    best = model.recommend(Histories(data), 1, exclude=data).items[:, 0]
    missed = ((np.arange(60)[:, None] + np.arange(12)) % 2 == 0) & (data.toarray() == 0)
    assert (best == missed.argmax(axis=1)).mean() > 0.9
    expected, report = arrays(ONE_THREAD, negatives=3)
    with pytest.raises(RuntimeError, match="killed"):
        arrays(TrainingOptions("cpu", 7, 3, tmp_path, _killed_after_two), negatives=3)
    resumed, again = arrays(TrainingOptions("cpu", 7, 3, tmp_path), negatives=3)
    assert (again["resumed"], again["scores"]) == (2, report["scores"])
    for name, array in expected.items():
        np.testing.assert_array_equal(resumed[name], array)


def _killed_after_two(step: Progress) -> None:
    if step.epoch == 2:
        raise RuntimeError("killed")


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
    with pytest.raises(ModelError, match=r"expected code float32 \(8, 16\), got float32 \(3, 3\)"):
        model._restore(content)


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"unknown key 'factors' in models\.mult_vae; known: anneal_"):
        registry.config("mult_vae", {"factors": 64})

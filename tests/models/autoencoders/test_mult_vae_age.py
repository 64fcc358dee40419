"""Mult-VAE and time: the likelihood explains recent pairs more, by a half-life that is learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.autoencoders import mult_vae_network
from models.autoencoders.mult_vae import MultVAE
from models.autoencoders.mult_vae_config import MultVAEConfig
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import Size, TrainingOptions
from models.recency.half_life import DAY
from models.splitting.split import event_matrix, to_sequences

OPTIONS = TrainingOptions("cpu", seed=7, threads=1)
SMALL = {"hidden": 16, "latent": 4, "epochs": 12, "learning_rate": 0.02, "validation_share": 0.0}
USERS, ITEMS, DAYS = 120, 80, 40


def log(*, passing: bool) -> Dataset:
    """Return 40 days of events: with items that live for about two days each, or for ever."""
    random = np.random.default_rng(0)
    days = np.sort(random.random(3_000) * DAYS)
    items = random.integers(0, ITEMS, len(days))
    if passing:
        items = np.clip(days * ITEMS / DAYS + random.normal(0, 2, len(days)), 0, ITEMS - 1).astype(np.int64)
    users = random.integers(0, USERS, len(days))
    sequences, _ = to_sequences(users, items, (days * DAY).astype(np.int64), USERS)
    return Dataset(event_matrix(sequences, ITEMS), sequences)


def fitted(data: Dataset, **settings: Any) -> MultVAE:
    return MultVAE(MultVAEConfig.model_validate(SMALL | settings)).fit(data, OPTIONS)


def same(first: MultVAE, second: MultVAE) -> bool:
    others = second._arrays()
    return all(np.array_equal(array, others[name]) for name, array in first._arrays().items())


def test_the_targets_lose_weight_with_age_and_keep_their_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Any] = []

    def train(*arguments: Any) -> Any:
        trained.extend(arguments)
        raise InterruptedError

    monkeypatch.setattr(mult_vae_network, "train", train)
    sequences, _ = to_sequences(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0, 2, 2]) * DAY, 2)
    with pytest.raises(InterruptedError):
        fitted(Dataset(event_matrix(sequences, 2), sequences), half_life_days=1)
    _, _, matrix, _, targets = trained
    assert matrix.toarray().tolist() == [[1, 1], [1, 0]]
    # two days are two half-lives: .25, 1 and 1, times 3 / 2.25
    np.testing.assert_allclose(targets.toarray(), np.array([[0.25, 1], [1, 0]]) * 3 / 2.25, rtol=1e-6)


def test_a_short_half_life_ranks_what_is_recent_first() -> None:
    data = log(passing=True)
    everybody = Histories(data.matrix)
    old, new = (fitted(data, half_life_days=days).scores(everybody).mean(axis=0) for days in (None, 2))
    assert new[-10:].mean() - new[:-10].mean() > 2
    assert old[-10:].mean() - old[:-10].mean() < 1


def test_without_a_half_life_nothing_changes() -> None:
    data = log(passing=True)
    without_times = Dataset(data.matrix)
    assert same(fitted(data, half_life_days=None), fitted(without_times, half_life_days="learned"))
    with pytest.raises(ModelError, match="expected sequences with timestamps"):
        fitted(without_times, half_life_days=2)


def test_the_half_life_is_learned_where_items_pass_and_not_where_they_stay() -> None:
    passing = fitted(log(passing=True))
    assert passing.report["half_life_days"] < 10
    assert passing.report["validation_users"] == 0
    learned = MultVAE.learned_settings(passing.config, passing.report)
    assert learned == {"half_life_days": passing.report["half_life_days"]}
    assert same(fitted(log(passing=True), **learned), passing)
    staying = fitted(log(passing=False))
    assert staying.report["half_life_days"] is None
    assert same(fitted(log(passing=False), half_life_days=None), staying)


def test_ages_do_not_change_what_users_are_encoded_from() -> None:
    data = log(passing=True)
    model = fitted(data, half_life_days=2)
    with_times, without = Histories(data.matrix, data.sequences), Histories(data.matrix)
    np.testing.assert_array_equal(model.vectors(with_times), model.vectors(without))


def test_with_a_half_life_nobody_is_held_out() -> None:
    random = np.random.default_rng(1)
    users, items = np.repeat(np.arange(600), 8), random.integers(0, 30, 4_800)
    sequences, _ = to_sequences(users, items, random.integers(0, 40 * DAY, 4_800), 600)
    data = Dataset(event_matrix(sequences, 30), sequences)
    held_out = {
        days: fitted(data, epochs=1, validation_share=0.1, half_life_days=days).report["validation_users"]
        for days in (None, 10)
    }
    assert held_out == {None: 60, 10: 0}


def test_the_models_that_learn_the_half_life_are_small() -> None:
    cheap = MultVAEConfig().cheap(None)
    assert (cheap.hidden, cheap.latent, cheap.half_life_days) == (32, 16, None)
    assert MultVAEConfig(epochs=1, hidden=8).cheap(None).epochs == 1
    assert MultVAEConfig(epochs=1, hidden=8).cheap(None).hidden == 8
    size = Size(1_000, 500, 50_000)
    learning, none = (MultVAE.cost(MultVAEConfig(half_life_days=days), size) for days in ("learned", None))
    assert none.seconds < learning.seconds < 3 * none.seconds
    assert learning.memory >= none.memory

"""The expected cost of Mult-VAE, beside CPU seconds and bytes measured once."""

from __future__ import annotations

import pytest

from models.autoencoders import mult_vae_cost
from models.autoencoders.mult_vae_config import MultVAEConfig
from models.autoencoders.mult_vae_cost import training_cost
from models.options import Size


@pytest.mark.parametrize(
    ("size", "hidden", "epochs", "measured"),
    [
        (Size(100, 46, 705), 600, 2, 0.09),
        (Size(100, 46, 705), 32, 10, 0.24),
        (Size(547, 7_356, 80_003), 600, 2, 2.00),
        (Size(3_993, 3_615, 222_785), 600, 2, 2.77),
        (Size(1_200, 741, 36_384), 600, 2, 0.49),
        (Size(7_551, 1_370, 38_977), 600, 2, 2.09),
        (Size(5_394, 3_595, 669_180), 600, 1, 2.16),
        (Size(900, 4_056, 17_855), 600, 2, 1.30),
        (Size(9_654, 1_147, 64_336), 600, 1, 1.44),
        (Size(25_500, 104_160, 769_657), 600, 1, 32.7),
    ],
)
def test_seconds_on_one_core_are_within_one_and_a_half_times(
    size: Size, hidden: int, epochs: int, measured: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mult_vae_cost, "CORES", 1)
    config = MultVAEConfig(hidden=hidden, latent=hidden // 3, epochs=epochs, half_life_days=None)
    assert measured / 1.5 < training_cost(config, size).seconds < 1.5 * measured


@pytest.mark.parametrize(
    ("size", "mebibytes"),
    [
        (Size(547, 7_356, 80_003), 113),
        (Size(3_993, 3_615, 222_785), 74),
        (Size(25_500, 104_160, 769_657), 2020),
    ],
)
def test_memory_is_within_one_and_a_half_times(size: Size, mebibytes: float) -> None:
    expected = training_cost(MultVAEConfig(half_life_days=None), size).memory / 2**20
    assert mebibytes / 1.5 < expected < 1.5 * mebibytes


def test_a_sampled_softmax_costs_what_a_batch_touches() -> None:
    config = MultVAEConfig(half_life_days=None, validation_share=0)
    whole = config.model_copy(update={"negatives": None})
    large, huge = Size(100_000, 100_000, 2_000_000), Size(100_000, 1_000_000, 2_000_000)
    assert training_cost(config, large).seconds < training_cost(whole, large).seconds / 5
    assert training_cost(config, huge).seconds < 2 * training_cost(config, large).seconds

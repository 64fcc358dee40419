"""What a training of Mult-VAE is expected to cost: a sum of what was measured part by part."""

from __future__ import annotations

from math import exp
from typing import Final

from models.autoencoders.mult_vae_config import MultVAEConfig
from models.neural.trainer_config import validation_count
from models.options import Cost, Size

CORES: Final = 2  # that share the work on the large layers
PRODUCT_FLOPS: Final = 70e9  # a second and core, in products
UPDATE: Final = 4e-3  # seconds of an update, of any size
WEIGHT: Final = 8e-9  # seconds for a weight of a layer: its steps, its logits, and the other layer's rows
SAMPLED_WEIGHT: Final = 45e-9  # if it is copied out of the layer and back
ENTRY: Final = 1.3e-9  # for a pair of a batch and each of its weights
FLUSHED: Final = 2e-9  # for a weight, after an epoch of a sampled softmax
DISTINCT: Final = 0.8  # of the items that even popularity would give a batch


def training_cost(config: MultVAEConfig, size: Size) -> Cost:
    """Return the seconds on two cores, and the bytes.

    An update takes six operations for each user and weight of the output layer, or of its
    candidates, and of the layers around the code. Weights and two moments of both large layers are
    kept, and their best weights if there are validation users.
    """
    users, items, hidden = max(size.users, 1), max(size.items, 1), config.hidden
    batch = config.batch(users)
    entries = batch * size.pairs / users
    drawn = config.drawn(items)
    touched, weight = float(items), WEIGHT
    if drawn is not None:
        touched = min(touched, DISTINCT * items * (1 - exp(-entries / items)) + drawn)
        weight = SAMPLED_WEIGHT
    shared = 6.0 * batch * hidden * touched / PRODUCT_FLOPS
    shared += hidden * (weight * touched + ENTRY * entries)
    alone = UPDATE + 18.0 * batch * hidden * config.latent / PRODUCT_FLOPS
    seconds = config.epochs * -(-users // batch) * (shared / CORES + alone)
    validated = validation_count(users, items, config.validation_share)
    epoch = 2.0 * validated * hidden * items / PRODUCT_FLOPS
    if drawn is not None:
        epoch += 2 * FLUSHED * hidden * items
    seconds += config.epochs * epoch / CORES
    layers = 4.0 * 2 * items * hidden
    copies = 4 if validated else 3
    return Cost(seconds, copies * layers + 6.0 * batch * touched + 60.0 * size.pairs + 10e6)

"""The network of Mult-VAE and its objective, in torch (import it late)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch.nn import Parameter, functional

from models.autoencoders.mult_vae_config import MultVAEConfig
from models.autoencoders.mult_vae_weights import Weights, layers
from models.device import choose_device, epoch_generator, torch_threads
from models.neural.adam import Adam
from models.neural.candidates import Candidates
from models.neural.item_layers import LEAST_USERS, InputLayer, OutputLayer
from models.neural.layers import Bags, bag_product
from models.neural.losses import annealed_beta, divergence
from models.neural.parts import Parts
from models.neural.trainer import Trainer
from models.neural.validation import ValidationSet, validation_users
from models.options import TrainingOptions

# the deviation of the first layer: its rows have length 1, and the code's noise would drown
# Glorot's 0.02
INPUT_SPREAD = 0.3


class Network(torch.nn.Module):
    """The layers of ``Weights`` as parameters.

    ``draw`` makes the initial weights (Glorot's normal except for the input; biases normal .001) on
    the CPU, so they do not depend on the device.
    """

    input: Parameter
    input_bias: Parameter
    code: Parameter
    code_bias: Parameter
    back: Parameter
    back_bias: Parameter
    output: Parameter
    output_bias: Parameter

    def __init__(self, n_items: int, hidden: int, latent: int, draw: torch.Generator) -> None:
        super().__init__()
        for name, (shape, length) in layers(n_items, hidden, latent).items():
            spread = INPUT_SPREAD if name == "input" else (2.0 / sum(shape)) ** 0.5
            weight = torch.zeros(shape).normal_(0.0, spread, generator=draw)
            bias = torch.zeros(length).normal_(0.0, 0.001, generator=draw)
            self.register_parameter(name, Parameter(weight))
            self.register_parameter(f"{name}_bias", Parameter(bias))

    def encode(self, bags: Bags) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance (batch, latent) of the code of normalised rows."""
        return self.code_of(bag_product(bags, self.input))

    def code_of(self, product: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance (batch, latent) of the product of rows and ``input``."""
        hidden = torch.tanh(product + self.input_bias)
        mean, log_variance = functional.linear(hidden, self.code, self.code_bias).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Return the last hidden layer (batch, hidden) of codes (batch, latent)."""
        return torch.tanh(functional.linear(code, self.back, self.back_bias))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, I) of the last hidden layer."""
        return functional.linear(hidden, self.output, self.output_bias)

    def weights(self) -> Weights:
        """Return the weights on the CPU; there, they share memory with the network."""
        return Weights(**{name: value.detach().cpu().numpy() for name, value in self.named_parameters()})


@dataclass(frozen=True)
class Batch:
    """Users' items, what the likelihood explains of them, and the candidates of its softmax."""

    bags: Bags
    targets: Bags
    candidates: Candidates | None


@dataclass
class Reconstruction:
    """The objective (``trainer.Objective``): reconstruct each user's items from part of them.

    ``matrix`` (n_users, I) is what users are encoded from, ``targets`` (n_users, I), with the same
    entries, what the likelihood explains.
    """

    module: Network
    config: MultVAEConfig
    matrix: sparse.csr_array
    targets: sparse.csr_array
    validation: ValidationSet | None
    device: torch.device
    parts: Parts = field(default_factory=Parts)

    def __post_init__(self) -> None:
        names, parameters = zip(*self.module.named_parameters(), strict=True)
        by_row = [names.index(name) for name in ("input", "output", "output_bias")]
        self.optimizer = Adam(parameters, self.config.weight_decay, by_row, self.parts)
        first, last, bias = (self.optimizer.rows[number] for number in by_row)
        self.input = InputLayer(first, self.parts)
        self.output = OutputLayer(last, bias, self.parts)
        self.counts = np.bincount(self.matrix.indices, minlength=self.matrix.shape[1])

    def batches(self, order: np.random.Generator) -> Iterator[Batch]:
        """Yield all training users in batches, with the candidates of large catalogues."""
        users, size = order.permutation(self.matrix.shape[0]), self.config.batch(self.matrix.shape[0])
        drawn = self.config.drawn(self.matrix.shape[1])
        for start in range(0, len(users), size):
            chosen = users[start : start + size]
            bags, candidates = Bags.of(self.matrix[chosen], self.device), None
            if drawn is not None:
                candidates = Candidates.draw(bags, self.counts, len(users), drawn, order)
            targets = torch.from_numpy(self.targets[chosen].data).to(self.device)
            yield Batch(bags, replace(bags, values=targets), candidates)

    def loss(self, batch: Batch, update: int, draw: torch.Generator) -> torch.Tensor:
        """Return the negative of eq. 6 with one draw of the code, averaged over the batch."""
        config, network = self.config, self.module
        noisy = batch.bags.normalised().with_dropout(config.dropout, draw)
        mean, log_variance = network.code_of(self.input.product(noisy, network.input))
        noise = torch.randn(mean.shape, generator=draw, device=mean.device)
        hidden = network.decode(mean + noise * torch.exp(0.5 * log_variance))
        updates = config.epochs * -(-self.matrix.shape[0] // config.batch(self.matrix.shape[0]))
        beta = annealed_beta(config.beta, update, config.anneal_share * updates)
        loss = self.output.negative_log_likelihood(hidden, batch.targets, batch.candidates)
        return loss + beta * divergence(mean, log_variance)

    def score(self) -> float | None:
        """Return the NDCG@100 for the hidden items of the validation users; None without any."""
        held_out, network = self.validation, self.module
        if held_out is None:
            return None

        def gain(users: slice) -> float:
            with torch.inference_mode():
                mean, _ = network.encode(Bags.of(held_out.seen[users], self.device).normalised())
                return held_out.gain(network.logits(network.decode(mean)), users)

        return sum(self.parts.map(gain, len(held_out), LEAST_USERS)) / len(held_out)

    def digest(self) -> str:
        """Return the SHA-256 of the training data."""
        content = hashlib.sha256(repr(self.matrix.shape).encode())
        arrays = (self.matrix.indptr, self.matrix.indices, self.matrix.data, self.targets.data)
        for array in arrays:
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()


def train(
    name: str,
    config: MultVAEConfig,
    matrix: sparse.csr_array,
    options: TrainingOptions,
    targets: sparse.csr_array | None = None,
) -> tuple[Weights, dict[str, Any]]:
    """Return the weights for a matrix (n_users, I) in which all users and items have a weight.

    The likelihood explains ``targets``, with the same entries; None: the matrix itself. With
    others, all users are trained on: events hidden at random would say how well old ones are
    explained. The report says how many users were trained on and held out.
    """
    device = choose_device(options)
    draw = np.random.default_rng([options.seed, 0])
    kept = validation_users(matrix, config.validation_share if targets is None else 0.0, draw)
    validation = ValidationSet.split(matrix[kept], draw) if len(kept) else None
    others = np.setdiff1d(np.arange(matrix.shape[0]), kept)
    training, explained = matrix[others], (matrix if targets is None else targets)[others]
    items = int(matrix.shape[1])
    with torch_threads(1, device), Parts.on(options.workers, device) as parts:
        draw_weights = epoch_generator(options.seed, 0, torch.device("cpu"))
        network = Network(items, config.hidden, config.latent, draw_weights).to(device)
        objective = Reconstruction(network, config, training, explained, validation, device, parts)
        report = Trainer(name, objective, config, options).run()
    return network.weights(), report | {"users": training.shape[0], "validation_users": len(kept)}

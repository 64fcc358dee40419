"""Mult-VAE: a variational autoencoder of a user's items with a multinomial likelihood.

Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative Filtering" (WWW
2018): likelihood in eq. 2, objective with the KL term weighted by beta in eq. 6, annealing in
section 2.2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy import sparse
from torch.nn import Parameter, functional

from models.base import Model
from models.dataset import Dataset, Histories
from models.device import choose_device, epoch_generator, torch_threads
from models.errors import ModelError
from models.neural.layers import Bags, bag_product
from models.neural.losses import annealed_beta, divergence, negative_log_likelihood
from models.neural.trainer import Trainer, TrainerConfig
from models.neural.validation import ValidationSet, validation_users
from models.options import FLOPS, Cost, Size, TrainingOptions
from models.ranking.similarity import similar_vectors
from models.ranking.topn import TopN
from models.search_space import Choice, Range, Space

FloatArray = npt.NDArray[np.float32]
ENCODED_USERS = 512  # users to encode at a time
# the deviation of the first layer: its rows have length 1, and the code's noise would drown
# Glorot's 0.02
INPUT_SPREAD = 0.3
# an epoch has at least 16 updates, unless a batch would have fewer than 16 users
LEAST_UPDATES, LEAST_USERS = 16, 16
PARALLEL = 1e8  # operations of an update: with fewer, threads wait for each other more than they work


class MultVAEConfig(TrainerConfig):
    """Configuration of Mult-VAE.

    The defaults were chosen on 500 validation users of MovieLens-1M by NDCG@100, which varies by
    .005 between seeds. Batches of 500 at a constant 1e-3 with Glorot's initial weights reach .444
    after 100 epochs. Batches of 250 for 40 epochs from 3e-3 reach .453 with the cosine, .445 with
    the wider initial weights and .459 with both. Changes to the latter: rate 5e-3 .465, rate .01
    .445, dropout .3 .452, beta .5 .458.
    """

    epochs: int = Field(default=40, ge=1, description="most passes over the training users")
    batch_size: int = Field(default=250, ge=1, description="most users per update, fewer of few users")
    learning_rate: float = Field(default=4e-3, gt=0, description="step size of Adam")
    patience: int = Field(
        default=20,
        ge=1,
        description="epochs without a better validation score before stopping; the cosine peaks late",
    )
    hidden: int = Field(default=600, ge=1, description="width of the hidden layer of encoder and decoder")
    latent: int = Field(default=200, ge=1, description="width of the code between encoder and decoder")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="share of the input to drop in training")
    beta: float = Field(default=0.2, ge=0, description="weight of the KL term after annealing")
    anneal_share: float = Field(
        default=0.5, ge=0, le=1, description="share of all updates in which beta rises from 0"
    )
    binarise: bool = Field(default=True, description="treat every weight as 1")
    validation_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="share of users held out for early stopping; 0 never stops early",
    )

    def batch(self, users: int) -> int:
        """Return the users per update, of so many in training."""
        return min(self.batch_size, max(LEAST_USERS, users // LEAST_UPDATES))

    def operations(self, users: int, items: int) -> float:
        """Return those of an update: six for each user and element of the dense output layer."""
        return 6.0 * self.batch(users) * self.hidden * items


class Network(torch.nn.Module):
    """Encoder I -> hidden -> 2 latent, decoder latent -> hidden -> I, with tanh in between.

    The two large layers have a row per item (I, hidden): the product with a sparse row is a sum of
    rows, and the rows of the last layer are item vectors. ``draw`` makes the initial weights
    (Glorot's normal except for the input; biases normal .001) on the CPU, so they do not depend on
    the device.
    """

    input: Parameter  # (I, hidden)
    input_bias: Parameter  # (hidden,)
    code: Parameter  # (2 * latent, hidden): means, then log variances
    code_bias: Parameter  # (2 * latent,)
    back: Parameter  # (hidden, latent)
    back_bias: Parameter  # (hidden,)
    output: Parameter  # (I, hidden)
    output_bias: Parameter  # (I,)

    def __init__(self, n_items: int, hidden: int, latent: int, draw: torch.Generator) -> None:
        super().__init__()
        for name, (rows, columns) in self.layers(n_items, hidden, latent).items():
            spread = INPUT_SPREAD if name == "input" else (2.0 / (rows + columns)) ** 0.5
            weight = torch.empty(rows, columns).normal_(0.0, spread, generator=draw)
            width = columns if name == "input" else rows
            self.register_parameter(name, Parameter(weight))
            self.register_parameter(
                f"{name}_bias", Parameter(torch.empty(width).normal_(0.0, 0.001, generator=draw))
            )

    @staticmethod
    def layers(n_items: int, hidden: int, latent: int) -> dict[str, tuple[int, int]]:
        """Return the shapes of the weights, in drawing order."""
        shapes = {"input": (n_items, hidden), "code": (2 * latent, hidden), "back": (hidden, latent)}
        return shapes | {"output": (n_items, hidden)}

    def widened(self, trained: npt.NDArray[np.bool_]) -> Network:
        """Return this network over more items: its weights where ``trained``, zeros elsewhere."""
        (_, hidden), (_, latent) = self.input.shape, self.back.shape
        wide = Network(len(trained), hidden, latent, torch.Generator())
        rows = torch.from_numpy(trained)
        for name, parameter in wide.named_parameters():
            weights = self.get_parameter(name).detach().to("cpu")
            if name in ("input", "output", "output_bias"):
                parameter.data.zero_()
                parameter.data[rows] = weights
            else:
                parameter.data = weights.clone()
        return wide.eval()

    def encode(self, bags: Bags) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance (batch, latent) of the code of normalised rows."""
        hidden = torch.tanh(bag_product(bags, self.input) + self.input_bias)
        mean, log_variance = functional.linear(hidden, self.code, self.code_bias).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Return the last hidden layer (batch, hidden) of codes (batch, latent)."""
        return torch.tanh(functional.linear(code, self.back, self.back_bias))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, I) of the last hidden layer."""
        return functional.linear(hidden, self.output, self.output_bias)


@dataclass
class Reconstruction:
    """The objective (``trainer.Objective``): reconstruct each user's items from part of them."""

    module: Network
    config: MultVAEConfig
    matrix: sparse.csr_array
    validation: ValidationSet | None
    device: torch.device

    def batches(self, order: np.random.Generator) -> Iterator[Bags]:
        """Yield all training users in batches."""
        users, size = order.permutation(self.matrix.shape[0]), self.config.batch(self.matrix.shape[0])
        for start in range(0, len(users), size):
            yield Bags.of(self.matrix[users[start : start + size]], self.device)

    def loss(self, batch: Bags, update: int, draw: torch.Generator) -> torch.Tensor:
        """Return the negative of eq. 6 with one draw of the code, averaged over the batch."""
        config, network = self.config, self.module
        mean, log_variance = network.encode(batch.normalised().with_dropout(config.dropout, draw))
        noise = torch.randn(mean.shape, generator=draw, device=mean.device)
        logits = network.logits(network.decode(mean + noise * torch.exp(0.5 * log_variance)))
        updates = config.epochs * -(-self.matrix.shape[0] // config.batch(self.matrix.shape[0]))
        beta = annealed_beta(config.beta, update, config.anneal_share * updates)
        return negative_log_likelihood(logits, batch) + beta * divergence(mean, log_variance)

    def score(self) -> float | None:
        """Return the NDCG@100 for the hidden items of the validation users; None without any."""
        held_out, network = self.validation, self.module
        if held_out is None:
            return None
        total = 0.0
        for start in range(0, len(held_out), self.config.batch_size):
            users = slice(start, start + self.config.batch_size)
            mean, _ = network.encode(Bags.of(held_out.seen[users], self.device).normalised())
            total += held_out.gain(network.logits(network.decode(mean)), users)
        return total / len(held_out)

    def digest(self) -> str:
        """Return the SHA-256 of the training matrix."""
        content = hashlib.sha256(repr(self.matrix.shape).encode())
        for array in (self.matrix.indptr, self.matrix.indices, self.matrix.data):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()


class MultVAE(Model[MultVAEConfig]):
    """Mult-VAE as a model: the logits are products of user vectors [h, 1] and item vectors [W, b].

    The paper's softmax is left out, as it keeps the order. A user's code is its mean, so
    recommendations are not random. New users only need a history.
    """

    name = "mult_vae"
    Config = MultVAEConfig
    space: ClassVar[Space] = {
        "hidden": Choice((100, 200, 400, 600)),
        "latent": Choice((16, 32, 64, 128, 200)),
        "learning_rate": Range(1e-3, 1e-2, log=True),
        "dropout": Range(0.2, 0.8),
        "beta": Range(0.05, 3.0, log=True),
        "epochs": Range(10, 60),
    }

    @classmethod
    def cost(cls, config: MultVAEConfig, size: Size) -> Cost:
        """Return the cost of the dense output layer, and 4 ms an update for all else.

        Weights, gradients and Adam's two moments are kept.
        """
        batch = config.batch(size.users)
        update = config.operations(size.users, size.items) / FLOPS + 4e-3
        updates = config.epochs * -(-size.users // batch)
        weights = 2.0 * size.items * config.hidden
        return Cost(updates * update, 16 * weights + 12.0 * batch * size.items + 16.0 * size.pairs)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        device = choose_device(options)
        # items without a weight get no draw and no part of the softmax, so they do not affect
        # others
        matrix = self._input(dataset.matrix[np.diff(dataset.matrix.indptr) > 0])[:, self.trained_items]
        draw = np.random.default_rng([options.seed, 0])
        kept = validation_users(matrix, self.config.validation_share, draw)
        validation = ValidationSet.split(matrix[kept], draw) if len(kept) else None
        training = matrix[np.setdiff1d(np.arange(matrix.shape[0]), kept)]
        items = int(self.trained_items.sum())
        parallel = self.config.operations(training.shape[0], items) >= PARALLEL
        with torch_threads(options.workers if parallel else 1, device):
            draw_weights = epoch_generator(options.seed, 0, torch.device("cpu"))
            self._network = Network(items, self.config.hidden, self.config.latent, draw_weights).to(device)
            objective = Reconstruction(self._network, self.config, training, validation, device)
            self.report |= Trainer(self.name, objective, self.config, options).run()
        self.report |= {"users": training.shape[0], "validation_users": len(kept)}
        self._network = self._network.widened(self.trained_items)

    def _input(self, matrix: sparse.csr_array) -> sparse.csr_array:
        data = np.ones_like(matrix.data) if self.config.binarise else matrix.data
        return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    def vectors(self, histories: Histories) -> FloatArray:
        """Return [h, 1] float32 (n_users, hidden + 1), in blocks of one shape on one thread."""
        rows = ENCODED_USERS
        result = np.ones((len(histories), self.config.hidden + 1), dtype=np.float32)
        with torch_threads(1), torch.inference_mode():
            for start in range(0, len(histories), rows):
                part = histories.rows(slice(start, start + rows)).padded(rows)
                mean, _ = self._network.encode(
                    Bags.of(self._input(part.matrix), torch.device("cpu")).normalised()
                )
                block = self._network.decode(mean).numpy()
                result[start : start + rows, :-1] = block[: len(result) - start]
        return result

    def item_vectors(self) -> FloatArray:
        """Return [W, b] of the last layer, float32 (n_items, hidden + 1)."""
        return np.column_stack([self._numpy("output"), self._numpy("output_bias")])

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items whose weights in the last layer have the largest cosines above 0."""
        top = similar_vectors(self._numpy("output"), items, n, self.eligible(allowed))
        return top.without(~self.trained_items[items])

    def _scores(self, histories: Histories) -> FloatArray:
        hidden = torch.from_numpy(self.vectors(histories)[:, :-1])
        with torch_threads(1), torch.inference_mode():
            return np.asarray(self._network.logits(hidden).numpy())

    def _numpy(self, name: str) -> FloatArray:
        return np.asarray(self._network.get_parameter(name).detach().numpy())

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {name: self._numpy(name) for name, _ in self._network.named_parameters()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        config = self.config
        for name, shape in Network.layers(self.n_items, config.hidden, config.latent).items():
            if arrays[name].shape != shape:  # before a network of the configured size is allocated
                raise ModelError(f"expected {name} of shape {shape}, got {arrays[name].shape}")
        draw = torch.Generator().manual_seed(0)
        self._network = Network(self.n_items, config.hidden, config.latent, draw).eval()
        for name, parameter in self._network.named_parameters():
            array = arrays[name]
            if array.shape != tuple(parameter.shape) or array.dtype != np.float32:
                raise ModelError(
                    f"expected {name} float32 {tuple(parameter.shape)}, got {array.dtype} {array.shape}"
                )
            parameter.data = torch.from_numpy(array)

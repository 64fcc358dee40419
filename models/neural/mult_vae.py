"""Mult-VAE: a variational autoencoder of a user's items with a multinomial likelihood.

Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative Filtering" (WWW 2018):
likelihood eq. 2, objective with the KL term weighted by beta eq. 6, its annealing section 2.2.2.
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
from models.device import choose_device, computing, generator
from models.errors import ModelError
from models.neural.layers import Bags, bag_product
from models.neural.losses import annealed, divergence, negative_log_likelihood
from models.neural.trainer import Trainer, TrainerConfig
from models.neural.validation import Hidden, validation_users
from models.options import TrainingOptions
from models.ranking.similarity import similar_vectors
from models.ranking.topn import TopN
from models.search_space import Choice, Range, Space

FloatArray = npt.NDArray[np.float32]
ENCODED_USERS = 512  # users encoded at a time
INPUT_SPREAD = (
    0.3  # of the first layer: rows have length 1, Glorot's 0.02 would drown them in the code's noise
)
LEAST_UPDATES, LEAST_USERS = 16, 16  # an epoch has 16 updates or more, while a batch has 16 users or more


class MultVAEConfig(TrainerConfig):
    """Configuration of Mult-VAE.

    Chosen on 500 validation users of MovieLens-1M (NDCG@100, which varies by .005 between seeds). Batches of
    500 at a constant 1e-3 with Glorot's first weights: .444 after 100 epochs. Batches of 250, 40 epochs from
    3e-3: .453 with the cosine, .445 with the wider first weights, .459 with both. From there a rate of 5e-3
    .465, .01 .445; dropout .3 .452; beta .5 .458.
    """

    epochs: int = Field(default=40, ge=1, description="passes over the training users, at most")
    batch_size: int = Field(
        default=250,
        ge=1,
        description="users in one update; fewer with few users, so that an epoch has at least 16 updates",
    )
    learning_rate: float = Field(default=4e-3, gt=0, description="step size of Adam")
    patience: int = Field(
        default=20,
        ge=1,
        description="epochs without a better validation score before a stop; the cosine's best ones are late",
    )
    hidden: int = Field(default=600, ge=1, description="width of the hidden layer of encoder and decoder")
    latent: int = Field(default=200, ge=1, description="width of the code between them")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="share of the input dropped in training")
    beta: float = Field(default=0.2, ge=0, description="weight of the KL term when fully annealed")
    anneal_share: float = Field(
        default=0.5, ge=0, le=1, description="share of all updates over which beta grows from 0"
    )
    binarise: bool = Field(default=True, description="take every weight for 1")
    validation_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="users kept from training for early stopping; 0 never stops early",
    )


class Network(torch.nn.Module):
    """Encoder I -> hidden -> 2 latent, decoder latent -> hidden -> I, tanh between.

    The two large layers are kept item by item (I, hidden): so a sparse row's product is a sum of rows, and
    the rows of the last one are item vectors. ``draw`` makes the first weights (Glorot's normal but for the
    input; biases normal .001), on the CPU, so that they do not depend on the device.
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
        """Return the shapes of the weights, in the order in which they are drawn."""
        shapes = {"input": (n_items, hidden), "code": (2 * latent, hidden), "back": (hidden, latent)}
        return shapes | {"output": (n_items, hidden)}

    def spread(self, places: npt.NDArray[np.bool_]) -> Network:
        """Return this network over more items: its own at the True ``places``, the weights of others zero."""
        (_, hidden), (_, latent) = self.input.shape, self.back.shape
        wide = Network(len(places), hidden, latent, torch.Generator())
        known = torch.from_numpy(places)
        for name, parameter in wide.named_parameters():
            own = self.get_parameter(name).detach().to("cpu")
            if name in ("input", "output", "output_bias"):
                parameter.data.zero_()
                parameter.data[known] = own
            else:
                parameter.data = own.clone()
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
    """The objective: give back every user's items from a part of them (see ``trainer.Objective``)."""

    module: Network
    config: MultVAEConfig
    matrix: sparse.csr_array
    validation: Hidden | None
    device: torch.device

    @property
    def batch_size(self) -> int:
        """Users in one update."""
        return min(self.config.batch_size, max(LEAST_USERS, int(self.matrix.shape[0]) // LEAST_UPDATES))

    def batches(self, order: np.random.Generator) -> Iterator[Bags]:
        """Yield all training users in batches."""
        users, size = order.permutation(self.matrix.shape[0]), self.batch_size
        for start in range(0, len(users), size):
            yield Bags.of(self.matrix[users[start : start + size]], self.device)

    def loss(self, batch: Bags, update: int, draw: torch.Generator) -> torch.Tensor:
        """Return the negative of eq. 6, with one draw of the code, averaged over the users of the batch."""
        config, network = self.config, self.module
        mean, log_variance = network.encode(batch.scaled().dropped(config.dropout, draw))
        noise = torch.randn(mean.shape, generator=draw, device=mean.device)
        logits = network.logits(network.decode(mean + noise * torch.exp(0.5 * log_variance)))
        updates = config.epochs * -(-self.matrix.shape[0] // self.batch_size)
        beta = annealed(config.beta, update, config.anneal_share * updates)
        return negative_log_likelihood(logits, batch) + beta * divergence(mean, log_variance)

    def score(self) -> float | None:
        """Return the NDCG@100 of the hidden items of the validation users, None without any."""
        held, network = self.validation, self.module
        if held is None:
            return None
        total = 0.0
        for start in range(0, len(held), self.config.batch_size):
            users = slice(start, start + self.config.batch_size)
            mean, _ = network.encode(Bags.of(held.seen[users], self.device).scaled())
            total += held.gain(network.logits(network.decode(mean)), users)
        return total / len(held)

    def digest(self) -> str:
        """Return the SHA-256 of the training matrix."""
        content = hashlib.sha256(repr(self.matrix.shape).encode())
        for array in (self.matrix.indptr, self.matrix.indices, self.matrix.data):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()


class MultVAE(Model[MultVAEConfig]):
    """Mult-VAE as a model: user vectors [h, 1] and item vectors [W, b] give the logits as products.

    The softmax of the paper is left out: it keeps the order. A user's code is its mean, so recommendations
    draw nothing; a new user only needs a history.
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

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        device = choose_device(options)
        # items without a weight take no draw and no part of the softmax, so that they change nothing
        matrix = self._input(dataset.matrix[np.diff(dataset.matrix.indptr) > 0])[:, self.trained_items]
        draw = np.random.default_rng([options.seed, 0])
        kept = validation_users(matrix, self.config.validation_share, draw)
        validation = Hidden.split(matrix[kept], draw) if len(kept) else None
        training = matrix[np.setdiff1d(np.arange(matrix.shape[0]), kept)]
        with computing(options.workers, device):
            first = generator(options.seed, 0, torch.device("cpu"))
            items = int(self.trained_items.sum())
            self._network = Network(items, self.config.hidden, self.config.latent, first).to(device)
            objective = Reconstruction(self._network, self.config, training, validation, device)
            self.report |= Trainer(self.name, objective, self.config, options).run()
        self.report |= {"users": training.shape[0], "validation_users": len(kept)}
        self._network = self._network.spread(self.trained_items)

    def _input(self, matrix: sparse.csr_array) -> sparse.csr_array:
        data = np.ones_like(matrix.data) if self.config.binarise else matrix.data
        return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    def vectors(self, histories: Histories) -> FloatArray:
        """Return [h, 1] float32 (n_users, hidden + 1), computed in blocks of one shape on one thread."""
        rows = ENCODED_USERS
        result = np.ones((len(histories), self.config.hidden + 1), dtype=np.float32)
        with computing(1), torch.inference_mode():
            for start in range(0, len(histories), rows):
                part = histories.rows(slice(start, start + rows)).padded(rows)
                mean, _ = self._network.encode(
                    Bags.of(self._input(part.matrix), torch.device("cpu")).scaled()
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
        """Return the items whose weights in the last layer have the largest cosine, above 0."""
        top = similar_vectors(self._numpy("output"), items, n, self.eligible(allowed))
        return top.without(~self.trained_items[items])

    def _scores(self, histories: Histories) -> FloatArray:
        hidden = torch.from_numpy(self.vectors(histories)[:, :-1])
        with computing(1), torch.inference_mode():
            return np.asarray(self._network.logits(hidden).numpy())

    def _numpy(self, name: str) -> FloatArray:
        return np.asarray(self._network.get_parameter(name).detach().numpy())

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {name: self._numpy(name) for name, _ in self._network.named_parameters()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        config = self.config
        for name, shape in Network.layers(self.n_items, config.hidden, config.latent).items():
            if arrays[name].shape != shape:  # before a network of the configured size is made
                raise ModelError(f"expected {name} of shape {shape}, got {arrays[name].shape}")
        draw = torch.Generator().manual_seed(0)
        self._network = Network(self.n_items, config.hidden, config.latent, draw).eval()
        for name, parameter in self._network.named_parameters():
            found = arrays[name]
            if found.shape != tuple(parameter.shape) or found.dtype != np.float32:
                raise ModelError(
                    f"expected {name} float32 {tuple(parameter.shape)}, got {found.dtype} {found.shape}"
                )
            parameter.data = torch.from_numpy(found)

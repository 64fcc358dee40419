"""Mult-VAE: a variational autoencoder of a user's items with a multinomial likelihood.

Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative Filtering" (WWW
2018): likelihood in eq. 2, objective with the KL term weighted by beta in eq. 6, annealing in
section 2.2.2.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.autoencoders.mult_vae_config import MultVAEConfig
from models.autoencoders.mult_vae_cost import training_cost
from models.autoencoders.mult_vae_weights import Weights
from models.base import Model
from models.dataset import Dataset, Histories
from models.options import Cost, Size, TrainingOptions
from models.ranking.similarity import similar_vectors
from models.ranking.topn import TopN
from models.recency.learned import decay_of, learning_cost
from models.search_space import Choice, Range, Space

FloatArray = npt.NDArray[np.float32]
ENCODED_USERS = 512  # users to encode at a time


class MultVAE(Model[MultVAEConfig]):
    """Mult-VAE as a model: the logits are products of user vectors [h, 1] and item vectors [W, b].

    With a half-life, the counts x_ui that the likelihood explains (eq. 2) lose weight with the age of
    the pair's last event; what a user is encoded from does not. Their sum stays as it was, and so
    does the strength of the KL term.

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
        """Return the seconds on two cores and the bytes of a training of ``epochs`` epochs.

        Learning the half-life adds the trainings of cheap models.
        """
        own = training_cost(config, size)
        return own + learning_cost(config.half_life_days, partial(cls.cost, config.cheap(None)), size)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        from models.autoencoders.mult_vae_network import train

        # items without a weight get no draw and no part of the softmax, so they do not affect
        # others
        users = np.diff(dataset.matrix.indptr) > 0
        whole = self._input(dataset.matrix)
        decay = decay_of(
            self.config.half_life_days,
            dataset,
            lambda decay: MultVAE(self.config.cheap(decay.days)),
            options,
            weigh=None,
        )
        self.report["half_life_days"] = decay.days
        matrix, targets = whole[users][:, self.trained_items], None
        if decay.half_life:
            aged = decay.scaled_dataset(Dataset(whole, dataset.sequences)).matrix
            targets = aged[users][:, self.trained_items]
        weights, report = train(self.name, self.config, matrix, options, targets)
        self.report |= report
        self._weights = weights.widened(self.trained_items)

    def _input(self, matrix: sparse.csr_array) -> sparse.csr_array:
        data = np.ones_like(matrix.data) if self.config.binarise else matrix.data
        return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    def vectors(self, histories: Histories) -> FloatArray:
        """Return [h, 1] float32 (n_users, hidden + 1), in blocks of one shape on one thread."""
        rows = ENCODED_USERS
        result = np.ones((len(histories), self.config.hidden + 1), dtype=np.float32)
        for start in range(0, len(histories), rows):
            part = histories.rows(slice(start, start + rows)).padded(rows)
            block = self._weights.last_hidden(self._input(part.matrix))
            result[start : start + rows, :-1] = block[: len(result) - start]
        return result

    def item_vectors(self) -> FloatArray:
        """Return [W, b] of the last layer, float32 (n_items, hidden + 1)."""
        return np.column_stack([self._weights.output, self._weights.output_bias])

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items whose weights in the last layer have the largest cosines above 0."""
        top = similar_vectors(self._weights.output, items, n, self.eligible(allowed))
        return top.without(~self.trained_items[items])

    def _scores(self, histories: Histories) -> FloatArray:
        return self._weights.scores(self.vectors(histories)[:, :-1])

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return dict(self._weights.arrays())

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._weights = Weights.of(arrays, self.n_items, self.config.hidden, self.config.latent)

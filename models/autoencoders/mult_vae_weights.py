"""The weights of Mult-VAE as arrays: to serve needs no torch, which takes seconds to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError
from models.ranking.blas import one_blas_thread

FloatArray = npt.NDArray[np.float32]
BY_ITEM = ("input", "output", "output_bias")


def layers(n_items: int, hidden: int, latent: int) -> dict[str, tuple[tuple[int, int], int]]:
    """Return the shape of each layer of ``Weights`` and the length of its bias, in drawing order."""
    return {
        "input": ((n_items, hidden), hidden),
        "code": ((2 * latent, hidden), 2 * latent),
        "back": ((hidden, latent), hidden),
        "output": ((n_items, hidden), n_items),
    }


@dataclass(frozen=True)
class Weights:
    """Encoder I -> hidden -> 2 latent, decoder latent -> hidden -> I, with tanh in between; float32.

    The two large layers have a row per item: the product with a sparse row is a sum of rows, and
    the rows of the last layer are item vectors.
    """

    input: FloatArray  # (I, hidden)
    input_bias: FloatArray  # (hidden,)
    code: FloatArray  # (2 * latent, hidden): means, then log variances
    code_bias: FloatArray  # (2 * latent,)
    back: FloatArray  # (hidden, latent)
    back_bias: FloatArray  # (hidden,)
    output: FloatArray  # (I, hidden)
    output_bias: FloatArray  # (I,)

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]], n_items: int, hidden: int, latent: int) -> Weights:
        """Return the weights of an artefact; ModelError if they do not fit the configuration."""
        for name, (layer, bias) in layers(n_items, hidden, latent).items():
            for key, shape in ((name, layer), (f"{name}_bias", (bias,))):
                array = arrays[key]
                if array.shape != shape or array.dtype != np.float32:
                    raise ModelError(f"expected {key} float32 {shape}, got {array.dtype} {array.shape}")
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def widened(self, trained: npt.NDArray[np.bool_]) -> Weights:
        """Return the weights over more items: these where ``trained`` (I,), zeros elsewhere."""
        if trained.all():
            return self
        arrays = self.arrays()
        for name in BY_ITEM:
            wide = np.zeros((len(trained), *arrays[name].shape[1:]), dtype=np.float32)
            wide[trained] = arrays[name]
            arrays[name] = wide
        return Weights(**arrays)

    def arrays(self) -> dict[str, FloatArray]:
        """Return the weights by name, without a copy."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def last_hidden(self, matrix: sparse.csr_array) -> FloatArray:
        """Return the last hidden layer (n_users, hidden) of the mean codes of users, on one thread.

        ``matrix`` csr float32 (n_users, I); the length of a row does not matter.
        """
        latent = self.back.shape[1]
        with one_blas_thread():
            hidden = np.tanh(normalised(matrix) @ self.input + self.input_bias)
            mean = hidden @ self.code[:latent].T + self.code_bias[:latent]
            return np.tanh(mean @ self.back.T + self.back_bias)  # type: ignore[no-any-return]

    def scores(self, hidden: FloatArray) -> FloatArray:
        """Return the logits (n_users, I) of ``last_hidden``, on one thread."""
        with one_blas_thread():
            return hidden @ self.output.T + self.output_bias


def normalised(matrix: sparse.csr_array) -> sparse.csr_array:
    """Return a matrix float32 with its rows divided by their Euclidean length; empty rows stay empty."""
    counts = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(matrix.shape[0]), counts)
    squares = np.square(matrix.data, dtype=np.float64)
    lengths = np.sqrt(np.bincount(rows, weights=squares, minlength=matrix.shape[0]))
    data = (matrix.data / lengths[rows]).astype(np.float32)
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

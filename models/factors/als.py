"""Alternating least squares for implicit feedback, trained by the implicit library."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse
from threadpoolctl import threadpool_limits

from models.base import Model, ModelConfig, TrainingOptions
from models.dataset import Dataset, Histories
from models.errors import DeviceMissingError, ModelError
from models.options import workers
from models.similarity import similar_vectors
from models.topn import TopN

FloatArray = npt.NDArray[np.float32]


class ALSConfig(ModelConfig):
    """Configuration of alternating least squares; defaults chosen on held-out events of three data sets."""

    factors: int = Field(default=128, ge=1, le=4096, description="length of the user and item vectors")
    regularization: float = Field(default=20.0, gt=0, description="lambda; not scaled by counts")
    alpha: float = Field(default=1.0, gt=0, description="confidence of a weight w is 1 + alpha * w")
    iterations: int = Field(default=12, ge=1, description="rounds of users given items, items given users")


class ALS(Model[ALSConfig]):
    """Weighted matrix factorisation of "interacted or not", each entry with a confidence.

    Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets" (2008): minimise eq. 3 with
    confidence c = 1 + alpha * w. implicit's own confidence is alpha * w with 1 for what was not observed, so
    it is given 1 + alpha * w. Training takes 3 conjugate gradient steps a round (Takács, Pilászy, Tikk 2011);
    user vectors are always solved exactly from the history by eq. 4, so a new user is served like a known
    one.
    """

    name = "als"
    Config = ALSConfig

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        def report(iteration: int, seconds: float, loss: float | None) -> None:  # noqa: ARG001
            options.report(self.name, iteration + 1, self.config.iterations, seconds=seconds)

        import implicit.als  # noqa: F401 - before the limit, which only holds for a BLAS that is loaded

        gpu = _use_gpu(options.device)
        with threadpool_limits(limits=1, user_api="blas"):  # implicit threads over rows; its BLAS must not
            trainer = self._trainer(options, gpu=gpu)
            trainer.fit(self._confidence(dataset.matrix), show_progress=False, callback=report)
        vectors = trainer.item_factors.to_numpy() if gpu else trainer.item_factors
        self.report["device"] = "cuda" if gpu else "cpu"
        self._restore({"item_vectors": np.ascontiguousarray(vectors, dtype=np.float32)})

    def _trainer(self, options: TrainingOptions, *, gpu: bool) -> Any:
        from implicit.als import AlternatingLeastSquares

        return AlternatingLeastSquares(
            factors=self.config.factors,
            regularization=self.config.regularization,
            alpha=1.0,  # in the matrix already: implicit's GPU training ignores it
            iterations=self.config.iterations,
            random_state=options.seed,
            use_gpu=gpu,
            **({} if gpu else {"num_threads": options.workers}),
        )

    def _confidence(self, matrix: sparse.csr_array) -> sparse.csr_matrix:
        """Return 1 + alpha * weight as float32 csr with int32 indices."""
        indices = (matrix.indices.astype(np.int32, copy=False), matrix.indptr.astype(np.int32, copy=False))
        confidence = np.float32(1) + np.float32(self.config.alpha) * matrix.data
        return sparse.csr_matrix((confidence, *indices), shape=matrix.shape)

    def vectors(self, histories: Histories) -> FloatArray:
        """Solve eq. 4 for each history: float32 (n_users, factors).

        x = (Y'Y + Y'(C - I)Y + lambda I)^-1 Y'Cp by Cholesky; all zero for an empty history.
        """
        from implicit.cpu import _als

        confidence = self._confidence(histories.matrix)
        solved = np.zeros((len(histories), self.config.factors), dtype=np.float32)
        with threadpool_limits(limits=1, user_api="blas"):
            _als._least_squares(
                self._gram,
                confidence.indptr,
                confidence.indices,
                confidence.data,
                solved,
                self._items,
                self.config.regularization,
                num_threads=workers(0),
            )
        return solved

    def item_vectors(self) -> FloatArray:
        """Return the item vectors, float32 (n_items, factors); zero for an item without training weight."""
        return self._items

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items whose vectors have the largest cosine > 0 with those of ``items``."""
        return similar_vectors(self._items, items, n, self.eligible(allowed))

    def _scores(self, histories: Histories) -> FloatArray:
        with threadpool_limits(limits=1, user_api="blas"):
            return np.asarray(self.vectors(histories) @ self._items.T)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"item_vectors": self._items}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._items = arrays["item_vectors"]
        shape = (self.n_items, self.config.factors)
        if self._items.shape != shape or self._items.dtype != np.float32:
            raise ModelError(
                f"expected item_vectors float32 {shape}, got {self._items.dtype} {self._items.shape}"
            )
        with threadpool_limits(limits=1, user_api="blas"):
            self._gram = self._items.T @ self._items  # (factors, factors)


def _use_gpu(device: str) -> bool:
    """Whether to train on CUDA: where implicit's build finds a GPU; asked for in vain is an error."""
    if device == "cpu":
        return False
    from implicit import gpu

    if device == "cuda" and not gpu.HAS_CUDA:
        raise DeviceMissingError(
            "expected a GPU for als (device 'cuda'), got none that implicit can use; use 'auto' or 'cpu'"
        )
    return bool(gpu.HAS_CUDA)

"""The interface of every model: fit, scores and recommend, the same for kNN and for a transformer.

A model writes ``_fit``, ``_scores``, ``_arrays`` and ``_restore``; what is public here is final. Users are
always given by their histories. Whatever is computed for a batch of users is computed in blocks of one shape
that depends on the catalogue alone (the last block is padded with empty users): a matrix product of another
shape may differ in the last bit, and a list must not depend on the memory budget, on the threads or on who
else is in the batch.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast, final, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import TrainingOptions
from models.ranking.topn import BLOCK_BYTES, TopN, block_users, top_n, top_n_factors
from models.search_space import Space

FloatArray = npt.NDArray[np.float32]
FACTOR_USERS = 8192  # users whose vectors are computed at a time: 8 MB for 256 factors


class ModelConfig(BaseModel):
    """Configuration of a model: the only home of its defaults; every field says what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the models that this one is made of; most are made of none."""
        return ()


@runtime_checkable
class Composite(Protocol):
    """A model made of others, each of which may have been trained before."""

    @property
    def parts(self) -> Mapping[str, ModelConfig]:
        """The configuration of each model that it is made of, by name."""
        ...

    def adopt(self, model: Model[Any]) -> None:
        """Take one of these models, trained on the same data, so that the next fit does not train it."""
        ...


@runtime_checkable
class Factorised(Protocol):
    """A model whose score is the product of a user's and an item's vector; the kernel multiplies."""

    def vectors(self, histories: Histories) -> FloatArray:
        """Return user vectors float32 (n_users, d); an empty history may have any finite vector."""
        ...

    def item_vectors(self) -> FloatArray:
        """Return item vectors float32 (n_items, d)."""
        ...


@runtime_checkable
class HasSimilarItems(Protocol):
    """A model that knows which items resemble an item."""

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the ``n`` items nearest to each of ``items``, never the item itself.

        ``allowed`` bool (n_items,): only those, None allows all. A row is padded where no more is known.
        """
        ...


C = TypeVar("C", bound=ModelConfig)


class Model(ABC, Generic[C]):
    """A recommender: ``Model(config).fit(dataset, options).recommend(histories, n)``.

    ``evidence_only`` is for models where a score of 0 or less means "nothing speaks for this item": such
    items are never recommended and the list is padded. Unless ``serves_cold_items``, an item without a single
    training weight is never recommended either: its score would be an accident of the initial values.
    ``space`` says which fields of the configuration are worth searching, and where.
    ``report`` holds what the training had to say (seconds, losses, device).
    """

    name: ClassVar[str]
    Config: ClassVar[type[ModelConfig]]
    space: ClassVar[Space] = {}
    evidence_only: ClassVar[bool] = False
    serves_cold_items: ClassVar[bool] = False

    def __init__(self, config: C | None = None) -> None:
        self.config: C = config if config is not None else cast("C", self.Config())
        if not isinstance(self.config, self.Config):
            raise ModelError(
                f"expected a {self.Config.__qualname__} for {self.name}, got {type(config).__name__}"
            )
        self.n_items = 0
        self.trained_items: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self.report: dict[str, Any] = {}

    @abstractmethod
    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        """Learn from the data set; ``self.n_items`` is set."""

    @abstractmethod
    def _scores(self, histories: Histories) -> FloatArray:
        """Return the scores float32 (n_users, n_items) of a block of users, all finite, as a fresh array."""

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what was learnt, as arrays by name (no object arrays)."""

    @abstractmethod
    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take back what ``_arrays`` gave; ``self.n_items`` is set."""

    @final
    def fit(self, dataset: Dataset, options: TrainingOptions | None = None) -> Self:
        """Train; the same data, configuration and seed give the same model on the same machine."""
        if dataset.n_items == 0 or dataset.matrix.nnz == 0:
            raise ModelError(
                f"expected at least one weight to train {self.name}, got {dataset.matrix.shape} empty"
            )
        self.n_items = dataset.n_items
        self.trained_items = np.bincount(dataset.matrix.indices, minlength=self.n_items) > 0
        self.report = {}
        started = time.perf_counter()
        self._fit(dataset, options or TrainingOptions())
        self.report["seconds"] = round(time.perf_counter() - started, 3)
        return self

    @final
    def scores(self, histories: Histories) -> FloatArray:
        """Return the scores float32 (n_users, n_items), of seen items too, all at once."""
        self._check(histories)
        result = np.empty((len(histories), self.n_items), dtype=np.float32)
        step = block_users(self.n_items)
        for start in range(0, len(histories), step):
            block = self._block(histories.rows(slice(start, start + step)))
            if not np.isfinite(block).all():
                raise ModelError(
                    f"expected finite scores of {self.name}, got others for users from {start} on"
                )
            result[start : start + step] = block
        return result

    @final
    def recommend(
        self,
        histories: Histories,
        n: int,
        *,
        exclude: sparse.csr_array | None = None,
        allowed: npt.NDArray[np.bool_] | None = None,
        block_bytes: int = BLOCK_BYTES,
        threads: int = 0,
    ) -> TopN:
        """Return the ``n`` best items of every user.

        ``exclude`` csr (n_users, n_items): a stored entry, whatever its value, is never recommended to that
        user (seen items; None excludes nothing). ``allowed`` bool (n_items,): False is never recommended to
        anyone. Both are applied before selection, so a list is short (padded with -1, -inf) only when no more
        items are eligible. A user with an empty history gets a padded row: the model knows nothing about
        them, the caller falls back.
        """
        blocks = self.iter_recommend(
            histories, n, exclude=exclude, allowed=allowed, block_bytes=block_bytes, threads=threads
        )
        return TopN.stack([top for _, top in blocks], n)

    @final
    def iter_recommend(
        self,
        histories: Histories,
        n: int,
        *,
        exclude: sparse.csr_array | None = None,
        allowed: npt.NDArray[np.bool_] | None = None,
        block_bytes: int = BLOCK_BYTES,
        threads: int = 0,
    ) -> Iterator[tuple[int, TopN]]:
        """Yield ``(first user, TopN)`` block after block: as ``recommend``, in bounded memory."""
        self._check(histories)
        if exclude is not None and exclude.shape != histories.matrix.shape:
            raise ModelError(f"expected exclude of shape {histories.matrix.shape}, got {exclude.shape}")
        if allowed is not None and allowed.shape != (self.n_items,):
            raise ModelError(f"expected allowed of shape ({self.n_items},), got {allowed.shape}")
        above = 0.0 if self.evidence_only else None
        if not self.serves_cold_items:
            allowed = self.eligible(allowed)
        item_vectors = self.item_vectors() if isinstance(self, Factorised) else None
        step = block_users(self.n_items) if item_vectors is None else FACTOR_USERS
        for start in range(0, len(histories), step):
            part = histories.rows(slice(start, start + step))
            seen = None if exclude is None else exclude[start : start + step]
            if isinstance(self, Factorised) and item_vectors is not None:
                top = top_n_factors(
                    self.vectors(part),
                    item_vectors,
                    n,
                    exclude=seen,
                    allowed=allowed,
                    above=above,
                    block_bytes=block_bytes,
                    threads=threads,
                )
            else:
                top = top_n(
                    self._block(part),
                    n,
                    exclude=seen,
                    allowed=allowed,
                    above=above,
                    threads=threads,
                    overwrite=True,
                )
            yield start, top.without(part.empty)

    def eligible(self, allowed: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.bool_]:
        """Return which items may be given out, bool (n_items,): trained on, and allowed."""
        return self.trained_items if allowed is None else allowed & self.trained_items

    def _block(self, histories: Histories) -> FloatArray:
        """Score at most one block of users, padded to the block's shape for the model."""
        block = self._scores(histories.padded(block_users(self.n_items)))
        shape = (block_users(self.n_items), self.n_items)
        if block.dtype != np.float32 or block.shape != shape:
            raise ModelError(
                f"expected float32 {shape} from {self.name}._scores, got {block.dtype} {block.shape}"
            )
        return block[: len(histories)]

    def _check(self, histories: Histories) -> None:
        if self.n_items == 0:
            raise ModelError(f"model {self.name} is not fitted: call fit or load first")
        if histories.n_items != self.n_items:
            raise ModelError(
                f"expected histories over the {self.n_items} trained items, got {histories.n_items}"
            )

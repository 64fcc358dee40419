"""The interface of every model: fit, scores and recommend, the same for kNN and for a transformer.

A model implements ``_fit``, ``_scores``, ``_arrays`` and ``_restore``; the public methods are
final. Users are always given by their histories. Batches of users are computed in blocks of one
shape, which depends only on the catalogue; the last block is padded with empty users. A matrix
product of another shape can differ in the last bit, but a list must not depend on the memory
budget, threads or other users of a batch.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast, final, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_validator
from scipy import sparse

from models.abilities import Factorised
from models.dataset import Dataset, Histories, evenly_spread
from models.errors import ModelError
from models.options import Cost, Size, TrainingOptions, resource_limits
from models.ranking.learning import FEWEST_USERS, require_learning
from models.ranking.topn import TopN, block_users, top_n, top_n_factors
from models.search_space import Space

FloatArray = npt.NDArray[np.float32]
FACTOR_USERS = 8192  # user vectors to compute at a time: 8 MB for 256 factors


class ModelConfig(BaseModel):
    """Configuration of a model: the only source of its defaults; every field is described.

    The text "none" is None where a field can be None, for which TOML has no word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _none_by_name(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        optional = {
            name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)
        }
        return {key: None if value == "none" and key in optional else value for key, value in values.items()}

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the models that this one combines; mostly none."""
        return ()

    def without(self, names: Container[str]) -> dict[str, Any]:  # noqa: ARG002
        """Return the settings that leave out some parts; none if it cannot be without them."""
        return {}


@runtime_checkable
class Composite(Protocol):
    """A model that combines others, which can be trained beforehand."""

    @property
    def parts(self) -> Mapping[str, ModelConfig]:
        """The configuration of each part, by name."""
        ...

    def adopt(self, model: Model[Any]) -> None:
        """Use a part that was trained on the same data, so the next fit does not train it again."""
        ...


C = TypeVar("C", bound=ModelConfig)


class Model(ABC, Generic[C]):
    """A recommender: ``Model(config).fit(dataset, options).recommend(histories, n)``.

    ``personal``: False for a model that ignores the histories, apart from what is seen: a floor.
    ``evidence_only``: a score of 0 or less means that nothing speaks for the item. Such items are
    not recommended, and the list is padded. Unless ``serves_cold_items``, items without a training
    weight are not recommended either: their scores would only reflect initial values. ``space``:
    the configuration fields worth tuning, with their values. ``report``: figures of the training
    (seconds, losses, device).
    """

    name: ClassVar[str]
    Config: ClassVar[type[ModelConfig]]
    space: ClassVar[Space] = {}
    personal: ClassVar[bool] = True
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
        """Train on a data set; ``self.n_items`` is already set."""

    @abstractmethod
    def _scores(self, histories: Histories) -> FloatArray:
        """Return finite scores float32 (n_users, n_items) of a block of users, as a new array."""

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the learnt parameters as arrays by name, without object arrays."""

    @abstractmethod
    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Restore the arrays of ``_arrays``; ``self.n_items`` is already set."""

    @classmethod
    def cost(cls, config: C, size: Size) -> Cost:  # noqa: ARG003
        """Return what one training is expected to cost: here, some passes over the pairs."""
        return Cost(2e-6 * size.pairs, 64.0 * size.pairs)

    @classmethod
    def learned_settings(cls, config: C, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a training with ``config`` learned by its ``report``, as settings.

        Fields set to "learned" become what the report has under their names. A training with these
        settings learns only the parameters, as the model did that was measured.
        """
        fields = [name for name in type(config).model_fields if getattr(config, name) == "learned"]
        return {name: report[name] for name in fields if name in report}

    @final
    def fit(self, dataset: Dataset, options: TrainingOptions | None = None) -> Self:
        """Train; on one machine, equal data, configuration and seed give the same model."""
        if dataset.n_items == 0 or dataset.matrix.nnz == 0:
            raise ModelError(
                f"expected at least one weight to train {self.name}, got {dataset.matrix.shape} empty"
            )
        self.n_items = dataset.n_items
        self.trained_items = np.bincount(dataset.matrix.indices, minlength=self.n_items) > 0
        self.report = {}
        started, options = time.perf_counter(), options or TrainingOptions()
        with resource_limits(options.threads):
            self._fit(dataset, options)
            if self.personal and not self.evidence_only:
                self._require_learning(dataset.histories)
        self.report["seconds"] = round(time.perf_counter() - started, 3)
        return self

    @final
    def scores(self, histories: Histories) -> FloatArray:
        """Return the scores float32 (n_users, n_items) of all items, including seen ones.

        The number of threads is that of `models.options.resource_limits`.
        """
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
        block_bytes: int = 0,
        threads: int = 0,
    ) -> TopN:
        """Return the ``n`` best items of every user.

        ``exclude`` csr (n_users, n_items): stored entries are not recommended to that user, such as
        seen items; None excludes nothing. ``allowed`` bool (n_items,): False is recommended to
        nobody. Both apply before selection, so a list is short (padded with -1, -inf) only if no
        more items are eligible. A user with an empty history gets a padded row, as the model knows
        nothing about them; the caller has to fill it. ``block_bytes`` and ``threads`` limit the
        scores in memory and the threads, also of the model itself; 0 means the limits of
        `models.options.resource_limits`.
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
        block_bytes: int = 0,
        threads: int = 0,
    ) -> Iterator[tuple[int, TopN]]:
        """Yield ``(first user, TopN)`` block by block: like ``recommend``, in bounded memory."""
        self._check(histories)
        if exclude is not None and exclude.shape != histories.matrix.shape:
            raise ModelError(f"expected exclude of shape {histories.matrix.shape}, got {exclude.shape}")
        if allowed is not None and allowed.shape != (self.n_items,):
            raise ModelError(f"expected allowed of shape ({self.n_items},), got {allowed.shape}")
        if not self.serves_cold_items:
            allowed = self.eligible(allowed)
        item_vectors = self.item_vectors() if isinstance(self, Factorised) else None
        step = block_users(self.n_items) if item_vectors is None else FACTOR_USERS
        for start in range(0, len(histories), step):
            part = histories.rows(slice(start, start + step))
            seen = None if exclude is None else exclude[start : start + step]
            with resource_limits(threads, block_bytes):
                top = self._top(part, item_vectors, n, seen, allowed)
            yield start, top.without(part.empty)

    def _top(
        self,
        histories: Histories,
        item_vectors: FloatArray | None,
        n: int,
        seen: sparse.csr_array | None,
        allowed: npt.NDArray[np.bool_] | None,
    ) -> TopN:
        """Return the lists of some users, within the limits of `resource_limits`."""
        above = 0.0 if self.evidence_only else None
        if isinstance(self, Factorised) and item_vectors is not None:
            vectors = self.vectors(histories)
            return top_n_factors(vectors, item_vectors, n, exclude=seen, allowed=allowed, above=above)
        scores = self._block(histories)
        return top_n(scores, n, exclude=seen, allowed=allowed, above=above, overwrite=True)

    def eligible(self, allowed: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.bool_]:
        """Return the recommendable items, bool (n_items,): trained on and allowed."""
        return self.trained_items if allowed is None else allowed & self.trained_items

    def _block(self, histories: Histories) -> FloatArray:
        """Score at most a block of users; the model gets a block padded to full shape."""
        block = self._scores(histories.padded(block_users(self.n_items)))
        shape = (block_users(self.n_items), self.n_items)
        if block.dtype != np.float32 or block.shape != shape:
            raise ModelError(
                f"expected float32 {shape} from {self.name}._scores, got {block.dtype} {block.shape}"
            )
        return block[: len(histories)]

    def _require_learning(self, histories: Histories) -> None:
        """Refuse a model that learned nothing; where a few users differ, no more need to be scored."""
        users = np.flatnonzero(~histories.empty)
        try:
            require_learning(self.name, self._trained_scores(histories, evenly_spread(users, FEWEST_USERS)))
        except ModelError:
            users = evenly_spread(users, block_users(self.n_items))
            require_learning(self.name, self._trained_scores(histories, users))

    def _trained_scores(self, histories: Histories, users: npt.NDArray[np.int64]) -> FloatArray:
        """Return the scores that some users have for the trained items."""
        return self._scores(histories.rows(users))[:, self.trained_items]

    def _check(self, histories: Histories) -> None:
        if self.n_items == 0:
            raise ModelError(f"model {self.name} is not fitted: call fit or load first")
        if histories.n_items != self.n_items:
            raise ModelError(
                f"expected histories over the {self.n_items} trained items, got {histories.n_items}"
            )

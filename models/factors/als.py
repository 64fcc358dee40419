"""Alternating least squares for implicit feedback (iALS)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.factors.als_checkpoint import ALSCheckpoint, State
from models.factors.als_cost import training_cost
from models.factors.least_squares import (
    Rows,
    Solve,
    cpu_solver,
    penalty_of,
    principal_axes,
    rotate,
    row_problems,
    solve_rotated,
    solving,
)
from models.factors.strengths import Strengths, least_zeroing_penalty
from models.options import Cost, Size, TrainingOptions, workers
from models.ranking.similarity import similar_vectors
from models.ranking.topn import TopN
from models.recency.decay import Decay
from models.recency.learned import AgingConfig, decay_of, learning_cost
from models.search_space import Range, Space

FACTORS, ROUNDS = 32, 6  # at most, of the models that learn the half-life
FloatArray = npt.NDArray[np.float32]


class ALSConfig(AgingConfig):
    """Configuration of alternating least squares.

    ``unobserved_ratio`` and ``shrinkage`` mean the same on every log, whatever its size and
    density; ``unobserved_weight`` and ``regularization`` are the absolute values of the papers, and
    are used instead if they are given. A fixed weight of unobserved pairs and a fixed
    regularization fit one catalogue: with those of MovieLens, the vectors of a catalogue ten times
    as large become zero.
    """

    factors: int = Field(default=128, ge=1, le=4096, description="length of the user and item vectors")
    iterations: int = Field(
        default=12, ge=1, description="rounds: solve users given items, then items given users"
    )
    alpha: float = Field(
        default=1.0, gt=0, description="a pair of weight w has the confidence unobserved_weight + alpha * w"
    )
    unobserved_ratio: float = Field(
        default=10.0,
        gt=0,
        description="confidence that all pairs have without an event, as a multiple of that of the events",
    )
    shrinkage: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="penalty on the vectors, as a share of the least one that makes all of them zero",
    )
    unobserved_weight: float | None = Field(
        default=None, gt=0, description="confidence of each pair without an event; none: by unobserved_ratio"
    )
    regularization: float | None = Field(
        default=None,
        gt=0,
        description="penalty on the vectors, per total confidence of their row; none: by shrinkage",
    )
    regularization_exponent: float = Field(
        default=1.0, ge=0, le=2, description="power of that total confidence; 0: equal penalties"
    )
    init_scale: float = Field(default=1.0, gt=0, description="expected length of the initial item vectors")


class ALS(Model[ALSConfig]):
    """Weighted matrix factorisation of observed pairs (1) and unobserved pairs (0).

    Minimises the sum over all pairs of c_ui (p_ui - x_u'y_i)^2 + the sum over users of lambda_u
    |x_u|^2 + the sum over items of lambda_i |y_i|^2 (Hu, Koren, Volinsky 2008, eq. 3). Here p_ui =
    1 for observed pairs, else 0; c_ui = unobserved_weight + alpha * w_ui, where w_ui is the weight
    of the pair, 0 if unobserved. Only the ratio of alpha to unobserved_weight matters, apart from
    the scale of lambda. Without an unobserved_weight, it is unobserved_ratio * the sum of all alpha
    * w_ui / the number of all pairs.

    lambda_u = regularization * (sum over items of c_ui)^regularization_exponent, and lambda_i
    likewise. For weights of 1 and alpha 1, the sum is |I_u| + alpha0 |I| of Rendle, Krichene,
    Zhang, Koren 2021 ("Revisiting the performance of iALS on item recommendation benchmarks", arXiv
    2110.14037). Their loss has the target 1 / (1 + alpha0), so their lambda is this one / (1 +
    alpha0). Exponent 0 and unobserved_weight 1 give Hu's loss.

    Without a regularization, it is shrinkage * the least one at which zero vectors are a minimum
    (models.factors.strengths).

    Users and items without a weight are left out, also of the sums. A new user is solved from the
    history by eq. 4, exactly. In training, rows with many entries only take two steps of conjugate
    gradients towards that solution in each round (models.factors.als_kernel); the rounds converge
    to the same vectors. The item vectors are kept in the basis of their principal axes.
    """

    name = "als"
    Config = ALSConfig
    space: ClassVar[Space] = {
        "factors": Range(16, 192, log=True),
        "iterations": Range(4, 16),
        "shrinkage": Range(0.01, 0.5, log=True),
        "unobserved_ratio": Range(0.5, 100.0, log=True),
    }

    @classmethod
    def cost(cls, config: ALSConfig, size: Size) -> Cost:
        """Return the seconds on two cores and the bytes of a training (models.factors.als_cost).

        Learning the half-life adds the trainings of cheap models.
        """
        own = training_cost(config.factors, config.iterations, size)
        return own + learning_cost(config.half_life_days, partial(cls.cost, _cheap(config)), size)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        self._decay = decay_of(
            self.config.half_life_days, dataset, lambda _: ALS(_cheap(self.config)), options
        )
        self.report["half_life_days"] = self._decay.days
        matrix = self._decay.dataset(dataset).matrix
        by_item = matrix.T.tocsr()
        by_item.sort_indices()
        with solving():
            self._strengths = self._strengths_for(matrix, by_item)
        users = self._rows(matrix, self._strengths, known=self.trained_items)
        items = self._rows(by_item, self._strengths, known=np.diff(matrix.indptr) > 0)
        checkpoint = ALSCheckpoint.of(self.config, options, matrix)
        state = State(0, np.zeros((len(users), self.config.factors), np.float32), self._initial(options.seed))
        state = checkpoint.load(state, self.config.iterations) or state
        solve = _solver(options)
        with solving():
            for epoch in range(state.epoch, self.config.iterations):
                state, loss = _round(solve, users, items, state, options.workers)
                checkpoint.save(state)
                self.report["loss"] = loss
                options.report(self.name, epoch + 1, self.config.iterations, loss=loss)
            vectors = rotate(state.items, principal_axes(state.items)[0])
            arrays = {"item_vectors": vectors, "strengths": np.array(self._strengths)}
            self._restore(arrays | {"decay": self._decay.array()})

    def _strengths_for(self, matrix: Any, by_item: Any) -> Strengths:
        """Return the absolute strengths for a training matrix and its transpose."""
        config, known_users = self.config, np.diff(matrix.indptr) > 0
        unobserved = config.unobserved_weight
        if unobserved is None:
            observed = config.alpha * float(matrix.sum(dtype=np.float64))
            pairs = float(known_users.sum()) * float(self.trained_items.sum())
            unobserved = config.unobserved_ratio * observed / pairs
        regularization = config.regularization
        if regularization is None:
            whole = Strengths(unobserved, 1.0)
            users = self._rows(matrix, whole, known=self.trained_items)
            items = self._rows(by_item, whole, known=known_users)
            regularization = config.shrinkage * least_zeroing_penalty(users, items.penalties)
        return Strengths(unobserved, regularization)

    def _rows(self, matrix: Any, strengths: Strengths, *, known: npt.NDArray[np.bool_]) -> Rows:
        unobserved, regularization = strengths

        def penalty(total: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return regularization * total**self.config.regularization_exponent

        return row_problems(
            matrix, alpha=self.config.alpha, unobserved=unobserved, penalty=penalty, known=known
        )

    def _initial(self, seed: int) -> FloatArray:
        """Draw the trained items' vectors: normal with deviation init_scale / sqrt(factors).

        Items without a weight get 0 and no draw, so they do not affect the others.
        """
        vectors = np.zeros((self.n_items, self.config.factors), dtype=np.float32)
        drawn = np.random.default_rng(seed).standard_normal(
            (int(self.trained_items.sum()), self.config.factors), dtype=np.float32
        )
        vectors[self.trained_items] = drawn * np.float32(self.config.init_scale / self.config.factors**0.5)
        return vectors

    def vectors(self, histories: Histories) -> FloatArray:
        """Solve eq. 4 for each history: float32 (n_users, factors), zero for an empty history.

        x = (Y'CY + lambda_u I)^-1 Y'Cp, with lambda_u as in training.
        """
        matrix = self._decay.histories(histories).matrix
        rows = self._rows(matrix, self._strengths, known=self.trained_items)
        with solving():
            return solve_rotated(rows, self._items, self._squares, workers(0)).solved

    def item_vectors(self) -> FloatArray:
        """Return the item vectors float32 (n_items, factors); zero for items without a weight."""
        return self._items

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return the item of the history with the most similar vector, by a cosine above 0."""
        from models.ranking.reasons import nearest_reasons

        return nearest_reasons(items, histories.matrix, self._items)

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items whose vectors have the largest cosines above 0 with ``items``."""
        return similar_vectors(self._items, items, n, self.eligible(allowed))

    def _scores(self, histories: Histories) -> FloatArray:
        with solving():
            return np.asarray(self.vectors(histories) @ self._items.T)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {"item_vectors": self._items, "strengths": np.array(self._strengths)}
        return arrays | {"decay": self._decay.array()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        config, self._decay = self.config, Decay.restored(arrays["decay"])
        if config.unobserved_weight is not None and config.regularization is not None:
            self._strengths = Strengths(config.unobserved_weight, config.regularization)
        else:
            self._strengths = Strengths.of(arrays["strengths"])
        self._items = arrays["item_vectors"]
        shape = (self.n_items, self.config.factors)
        if self._items.shape != shape or self._items.dtype != np.float32:
            raise ModelError(
                f"expected item_vectors float32 {shape}, got {self._items.dtype} {self._items.shape}"
            )
        self._squares = np.square(self._items, dtype=np.float64).sum(axis=0)  # (factors,)


def _cheap(config: ALSConfig) -> ALSConfig:
    """Return the settings that learn the half-life: fewer factors and rounds, and no decay."""
    size = {"factors": min(config.factors, FACTORS), "iterations": min(config.iterations, ROUNDS)}
    return config.model_copy(update={"half_life_days": None, **size})


def _round(solve: Solve, users: Rows, items: Rows, state: State, threads: int) -> tuple[State, float]:
    """Solve the users given the items, then the items; return the new state and the loss.

    The loss is the one of the class, over all pairs and with penalties: the sum of c p^2 minus what
    the items explain, plus the penalties of the users.
    """
    half = solve(users, state.items, state.users)
    penalties = penalty_of(half.solved, users.penalties, threads)
    other = solve(items, half.solved, half.fixed)
    observed = users.extra.sum(dtype=np.float64) + users.unobserved * len(users.extra)
    new = State(state.epoch + 1, other.fixed, other.solved)
    return new, float(observed - other.explained + penalties)


def _solver(options: TrainingOptions) -> Solve:
    """Return the solver for the device of ``options``; DeviceMissingError without a requested GPU.

    With "auto", torch is loaded only if the system has a GPU's device file, since that takes
    seconds.
    """
    has_gpu = any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/dxg"))
    if options.device == "cpu" or (options.device == "auto" and not has_gpu):
        return cpu_solver(options.workers)
    from models.device import choose_device
    from models.factors.als_torch import device_solver

    device = choose_device(options)
    return cpu_solver(options.workers) if device.type == "cpu" else device_solver(device)

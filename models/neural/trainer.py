"""The one trainer of all torch models: it owns the loop, the model brings batches, a loss and a score.

Seeds: every epoch draws from generators of its own, made from (seed, epoch), so an epoch needs nothing from
the one before but weights and optimizer, and a resumed training repeats the uninterrupted one. The process's
global generator (which layers like torch's Dropout draw from) is seeded alike and, as the number of threads,
given back as it was found. On a CPU the same data, configuration, seed and number of threads give the same
weights, bit for bit, resumed or not; another number of threads or CUDA may change the last bits of a sum.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import torch
from pydantic import Field, TypeAdapter

from models.base import ModelConfig
from models.device import generator
from models.errors import ModelError
from models.neural.checkpoint import CheckpointFolder, require_like
from models.options import TrainingOptions

LOGGER = logging.getLogger(__name__)
Batch = TypeVar("Batch")


class TrainerConfig(ModelConfig):
    """The fields every torch model's configuration has; a model may redefine one for its own default."""

    epochs: int = Field(default=100, ge=1, description="passes over the training users, at most")
    batch_size: int = Field(default=500, ge=1, description="users in one update")
    learning_rate: float = Field(default=1e-3, gt=0, description="step size of Adam")
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine",
        description="learning rate over the epochs: as it is, or falling to 0 along a cosine",
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="L2 penalty on all weights, added to the gradient"
    )
    patience: int = Field(
        default=10, ge=1, description="epochs without a better validation score before a stop"
    )
    mixed_precision: bool = Field(default=False, description="compute in bfloat16 where safe; CUDA only")
    checkpoint_seconds: float = Field(
        default=60.0, ge=0, description="time between checkpoints; 0 writes one after every epoch"
    )


class Objective(Protocol[Batch]):
    """What a model brings to its training."""

    @property
    def module(self) -> torch.nn.Module:
        """All that is learnt, weights and buffers; on the device to train on."""
        ...

    def batches(self, order: np.random.Generator) -> Iterable[Batch]:
        """Yield the batches of one epoch, in an order drawn from ``order``."""
        ...

    def loss(self, batch: Batch, update: int, draw: torch.Generator) -> torch.Tensor:
        """Return a scalar to make small, drawing from ``draw``; ``update`` counts those already made."""
        ...

    def score(self) -> float | None:
        """Return the validation score, larger is better; None without validation: all epochs are trained."""
        ...

    def digest(self) -> str:
        """Return what tells this training data from any other."""
        ...


@dataclass
class State:
    """How far a training is: epochs and updates done; the mean loss of an epoch's batches, and its score."""

    epoch: int = 0
    update: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def learning_rate(config: TrainerConfig, epoch: int) -> float:
    """Return the step size in an epoch, counted from 1: the first is trained with the whole one."""
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / config.epochs))


class Trainer(Generic[Batch]):
    """One training of one objective: ``Trainer(name, objective, config, options).run()``.

    The module must already be on its device and made inside ``computing``. After ``run`` it holds the weights
    of the best epoch (the last one without validation), in evaluation mode.

    Raises
    ------
    ModelError
        When a loss or score is not finite: it names epoch and step.
    """

    def __init__(
        self, name: str, objective: Objective[Batch], config: TrainerConfig, options: TrainingOptions
    ) -> None:
        self.name, self.objective, self.config, self.options = name, objective, config, options
        self.state = State()
        parameters = list(objective.module.parameters())
        self.device = parameters[0].device
        self.optimizer = torch.optim.Adam(
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.best: dict[str, torch.Tensor] = {}
        self.folder = self._folder()

    def run(self) -> dict[str, Any]:
        """Train to the end, from the checkpoint when there is one; return the report."""
        resumed = self._resume()
        saved, saved_epoch = time.monotonic(), resumed
        while not self._finished():
            self._epoch()
            due = time.monotonic() - saved >= self.config.checkpoint_seconds or self._finished()
            if due and self.state.epoch > saved_epoch:
                self._save()
                saved, saved_epoch = time.monotonic(), self.state.epoch
            self._tell()
        if self.best:
            self.objective.module.load_state_dict(self.best)
        self.objective.module.eval()
        threads = torch.get_num_threads()
        return asdict(self.state) | {"resumed": resumed, "device": str(self.device), "threads": threads}

    def _finished(self) -> bool:
        state = self.state
        stale = state.best_score is not None and state.epoch - state.best_epoch >= self.config.patience
        return stale or state.epoch >= self.config.epochs

    def _epoch(self) -> None:
        """Make the updates of one epoch, then score it."""
        state, epoch = self.state, self.state.epoch + 1
        draw = generator(self.options.seed, epoch, self.device)
        self.objective.module.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, epoch)
        losses: list[float] = []
        for batch in self.objective.batches(np.random.default_rng([self.options.seed, epoch])):
            losses.append(self._update(batch, draw, f"epoch {epoch}, step {len(losses) + 1}"))
            state.update += 1
        state.epoch = epoch
        state.losses.append(math.fsum(losses) / max(1, len(losses)))
        self._validate()

    def _update(self, batch: Batch, draw: torch.Generator, place: str) -> float:
        mixed = self.config.mixed_precision and self.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16) if mixed else contextlib.nullcontext():
            loss = self.objective.loss(batch, self.state.update, draw)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"expected a finite loss of {self.name}, got {value} at {place}; "
                f"a smaller learning_rate than {self.config.learning_rate} may help"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return value

    def _validate(self) -> None:
        state = self.state
        self.objective.module.eval()
        with torch.inference_mode():
            score = self.objective.score()
        if score is None:
            return
        if not math.isfinite(score):
            raise ModelError(
                f"expected a finite validation score of {self.name}, got {score} at epoch {state.epoch}"
            )
        state.scores.append(score)
        if state.best_score is None or score > state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
            weights = self.objective.module.state_dict()
            self.best = {name: weight.detach().clone() for name, weight in weights.items()}

    def _tell(self) -> None:
        state = self.state
        metrics = {"loss": state.losses[-1]}
        if state.scores:
            metrics["score"] = state.scores[-1]
        self.options.report(self.name, state.epoch, self.config.epochs, **metrics)

    def _folder(self) -> CheckpointFolder | None:
        if self.options.checkpoints is None:
            return None
        config = self.config.model_dump_json(exclude={"checkpoint_seconds"})
        parts = [self.name, config, str(self.options.seed), torch.__version__, self.objective.digest()]
        fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return CheckpointFolder(self.options.checkpoints / self.name, fingerprint)

    def _save(self) -> None:
        if self.folder is None:
            return
        arrays = {f"module.{name}": weight for name, weight in self.objective.module.state_dict().items()}
        arrays |= {f"best.{name}": weight for name, weight in self.best.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer.{number}.{name}": moment for name, moment in moments.items()}
        self.folder.save(self.state.epoch, arrays, asdict(self.state))

    def _resume(self) -> int:
        """Take back the newest checkpoint; return the epochs it had done, 0 without one."""
        loaded = None if self.folder is None else self.folder.load()
        if loaded is None:
            return 0
        arrays, told = loaded
        groups: dict[str, dict[str, torch.Tensor]] = {"module": {}, "best": {}, "optimizer": {}}
        try:
            for name, array in arrays.items():
                kind, _, rest = name.partition(".")
                groups[kind][rest] = array
            require_like(groups, self.objective.module)
            state = self._state(told)
        except (ValueError, KeyError) as error:
            why = " ".join(str(error).split())[:300]
            LOGGER.warning("the checkpoint of %s cannot be used (%s): starting afresh", self.name, why)
            return 0
        self.objective.module.load_state_dict(groups["module"])
        self.best = {name: weight.to(self.device) for name, weight in groups["best"].items()}
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, moment in groups["optimizer"].items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = moment
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        self.state = state
        return self.state.epoch

    def _state(self, told: Any) -> State:
        """Return a state from a checkpoint; ValueError where no training of this kind can have it."""
        if not isinstance(told, dict) or {*told} != {field.name for field in fields(State)}:
            raise ValueError("its state is of another kind")
        state = TypeAdapter(State).validate_json(json.dumps(told), strict=True)
        epochs = len(state.losses), self.config.epochs, state.best_epoch
        if not 1 <= state.epoch == epochs[0] <= epochs[1] or not 0 <= epochs[2] <= state.epoch:
            raise ValueError(f"epoch {state.epoch} with {epochs[0]} losses, of {epochs[1]}")
        return state

"""The trainer of all torch models: it runs the loop; a model provides batches, a loss and a score.

Every epoch draws from its own generators, seeded by (seed, epoch). It needs only the weights and
the optimizer of the epoch before, so a resumed training repeats the uninterrupted one. The
process's global generator (used by layers such as torch's Dropout) is seeded alike; it and the
number of threads are restored afterwards. On a CPU, the same data, configuration and seed give the
same weights, bit for bit, resumed or not, if torch has one thread and the objective divides its
work on its own (models.neural.parts). CUDA can change the last bits of a sum.
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
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from pydantic import TypeAdapter

from models.device import epoch_generator
from models.errors import ModelError
from models.neural.adam import Adam
from models.neural.checkpoint import CheckpointFolder, require_matching
from models.neural.trainer_config import TrainerConfig
from models.options import TrainingOptions

LOGGER = logging.getLogger(__name__)
Batch = TypeVar("Batch")


class Objective(Protocol[Batch]):
    """What a model provides for its training."""

    @property
    def module(self) -> torch.nn.Module:
        """Everything learnt, weights and buffers, on the training device."""
        ...

    @property
    def optimizer(self) -> Adam:
        """The optimizer of the parameters of ``module``, in their order."""
        ...

    def batches(self, order: np.random.Generator) -> Iterable[Batch]:
        """Yield the batches of one epoch, in an order drawn from ``order``."""
        ...

    def loss(self, batch: Batch, update: int, draw: torch.Generator) -> torch.Tensor:
        """Return a scalar to minimise, drawing from ``draw``; ``update`` counts earlier updates."""
        ...

    def score(self) -> float | None:
        """Return the validation score (larger is better), or None to train all epochs."""
        ...

    def digest(self) -> str:
        """Return a digest of the training data."""
        ...


@dataclass
class State:
    """The progress of a training: finished epochs and updates, and each epoch's loss and score."""

    epoch: int = 0
    update: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def learning_rate(config: TrainerConfig, epoch: int) -> float:
    """Return the step size in an epoch, from 1; the first epoch has the full step size."""
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / config.epochs))


class Trainer(Generic[Batch]):
    """One training of one objective: ``Trainer(name, objective, config, options).run()``.

    The module must be on its device already, and made within ``torch_threads``. After ``run``, it
    is in evaluation mode with the weights of the best epoch (of the last one without validation).

    Raises
    ------
    ModelError
        When a loss or score is not finite; the message names the epoch and step.
    """

    def __init__(
        self, name: str, objective: Objective[Batch], config: TrainerConfig, options: TrainingOptions
    ) -> None:
        self.name, self.objective, self.config, self.options = name, objective, config, options
        self.state = State()
        self.device = next(iter(objective.module.parameters())).device
        self.optimizer = objective.optimizer
        self.best: dict[str, torch.Tensor] = {}
        self.folder = self._folder()

    def run(self) -> dict[str, Any]:
        """Train to the end, from the checkpoint if there is one; return the report."""
        resumed = self._resume()
        saved, saved_epoch = time.monotonic(), resumed
        while not self._finished():
            self._epoch()
            due = time.monotonic() - saved >= self.config.checkpoint_seconds or self._finished()
            if due and self.state.epoch > saved_epoch:
                self._save()
                saved, saved_epoch = time.monotonic(), self.state.epoch
            self._report()
        if self.best:
            self.objective.module.load_state_dict(self.best)
        self.objective.module.eval()
        return asdict(self.state) | {"resumed": resumed, "device": str(self.device)}

    def _finished(self) -> bool:
        state = self.state
        stale = state.best_score is not None and state.epoch - state.best_epoch >= self.config.patience
        return stale or state.epoch >= self.config.epochs

    def _epoch(self) -> None:
        """Run the updates of one epoch, then validate."""
        state, epoch = self.state, self.state.epoch + 1
        draw = epoch_generator(self.options.seed, epoch, self.device)
        self.objective.module.train()
        losses: list[float] = []
        for batch in self.objective.batches(np.random.default_rng([self.options.seed, epoch])):
            losses.append(self._update(batch, draw, f"epoch {epoch}, step {len(losses) + 1}"))
            state.update += 1
        self.optimizer.flush()
        state.epoch = epoch
        state.losses.append(math.fsum(losses) / max(1, len(losses)))
        self._validate()

    def _update(self, batch: Batch, draw: torch.Generator, step: str) -> float:
        self.optimizer.begin(learning_rate(self.config, self.state.epoch + 1))
        mixed = self.config.mixed_precision and self.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16) if mixed else contextlib.nullcontext():
            loss = self.objective.loss(batch, self.state.update, draw)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"expected a finite loss of {self.name}, got {value} at {step}; "
                f"a smaller learning_rate than {self.config.learning_rate} may help"
            )
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

    def _report(self) -> None:
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
        for number, moments in self.optimizer.moments().items():
            arrays |= {f"optimizer.{number}.{name}": moment for name, moment in moments.items()}
        self.folder.save(self.state.epoch, arrays, asdict(self.state))

    def _resume(self) -> int:
        """Load the latest checkpoint; return its number of finished epochs, 0 without one."""
        loaded = None if self.folder is None else self.folder.load()
        if loaded is None:
            return 0
        arrays, stored = loaded
        groups: dict[str, dict[str, torch.Tensor]] = {"module": {}, "best": {}, "optimizer": {}}
        try:
            for name, array in arrays.items():
                kind, _, rest = name.partition(".")
                groups[kind][rest] = array
            require_matching(groups, self.objective.module)
            state = self._checked_state(stored)
        except (ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:300]
            LOGGER.warning(
                "the checkpoint of %s cannot be used (%s): starting from scratch", self.name, reason
            )
            return 0
        self.objective.module.load_state_dict(groups["module"])
        self.best = {name: weight.to(self.device) for name, weight in groups["best"].items()}
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, moment in groups["optimizer"].items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = moment
        self.optimizer.restore(moments)
        self.state = state
        return self.state.epoch

    def _checked_state(self, stored: Any) -> State:
        """Return a state from a checkpoint; ValueError if this training cannot reach it."""
        if not isinstance(stored, dict) or {*stored} != {field.name for field in fields(State)}:
            raise ValueError("its state has other fields")
        state = TypeAdapter(State).validate_json(json.dumps(stored), strict=True)
        losses, epochs = len(state.losses), self.config.epochs
        if not 1 <= state.epoch == losses <= epochs or not 0 <= state.best_epoch <= state.epoch:
            raise ValueError(f"epoch {state.epoch} of {epochs} with {losses} losses")
        return state

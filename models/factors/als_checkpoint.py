"""The state of an unfinished ALS training: the vectors after a round."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.array_file import describe_arrays, read_arrays
from models.base import ModelConfig
from models.errors import ModelError
from models.options import TrainingOptions

Floats = npt.NDArray[np.float32]
LOGGER = logging.getLogger(__name__)
SECONDS = 60.0  # between checkpoints


@dataclass(frozen=True, eq=False)
class State:
    """After ``epoch`` rounds: vectors of ``users`` and ``items`` float32 (n, d), in one basis.

    Training needs the users, too: a round starts from the vectors of the last.
    """

    epoch: int
    users: Floats
    items: Floats


@dataclass
class ALSCheckpoint:
    """The latest checkpoint of a training: one file, replaced atomically.

    ``fingerprint`` identifies the training (data, configuration, seed, device). A file of another
    training, or an invalid one, is ignored with a warning: it only costs the time to train again.
    ``file`` None disables checkpoints.
    """

    file: Path | None
    fingerprint: str
    saved: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, config: ModelConfig, options: TrainingOptions, matrix: sparse.csr_array) -> Self:
        """Return the checkpoint of a training in the folder ``options.checkpoints``."""
        if options.checkpoints is None:
            return cls(None, "")
        digest = hashlib.sha256(f"{config.model_dump_json()} {options.seed} {options.device}".encode())
        for part in (matrix.indptr, matrix.indices, matrix.data):
            digest.update(np.ascontiguousarray(part).data)
        return cls(options.checkpoints / "als" / "checkpoint.npz", digest.hexdigest())

    def save(self, state: State) -> None:
        """Save the state if the last checkpoint is a minute old."""
        if self.file is None or time.monotonic() - self.saved < SECONDS:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.savez(
                stream,
                users=state.users,
                items=state.items,
                epoch=np.int64(state.epoch),
                fingerprint=self.fingerprint,
                allow_pickle=False,
            )
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self.file)
        self.saved = time.monotonic()

    def load(self, initial: State, rounds: int) -> State | None:
        """Return the stored state, in shape like ``initial``, after 1 to ``rounds`` rounds, or None."""
        if self.file is None or not self.file.exists():
            return None
        template: dict[str, npt.NDArray[Any]] = {
            "users": initial.users,
            "items": initial.items,
            "epoch": np.array(0, dtype=np.int64),
            "fingerprint": np.array(self.fingerprint),
        }
        try:
            with self.file.open("rb") as stream:
                stored = read_arrays(stream, describe_arrays(template), self.file)
            state = State(int(stored["epoch"]), stored["users"], stored["items"])
            finite = np.isfinite(state.users).all() and np.isfinite(state.items).all()
            if not (1 <= state.epoch <= rounds and finite):
                raise ModelError(
                    f"expected finite vectors after 1 to {rounds} rounds, got round {state.epoch}"
                )
            if str(stored["fingerprint"]) == self.fingerprint:
                return state
            LOGGER.warning(
                "the checkpoint in %s belongs to another training: starting from scratch", self.file
            )
        except (OSError, ModelError) as error:
            LOGGER.warning("cannot read the checkpoint %s (%s): starting from scratch", self.file, error)
        return None

"""The state of an unfinished ALS training: the item vectors after a round."""

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

LOGGER = logging.getLogger(__name__)
SECONDS = 60.0  # between checkpoints


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

    def save(self, epoch: int, vectors: npt.NDArray[np.float32]) -> None:
        """Save the item vectors after ``epoch`` rounds if the last checkpoint is a minute old."""
        if self.file is None or time.monotonic() - self.saved < SECONDS:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.savez(
                stream,
                vectors=vectors,
                epoch=np.int64(epoch),
                fingerprint=self.fingerprint,
                allow_pickle=False,
            )
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self.file)
        self.saved = time.monotonic()

    def load(self, shape: tuple[int, int], rounds: int) -> tuple[int, npt.NDArray[np.float32]] | None:
        """Return the finished rounds (at most ``rounds``) and the vectors; None without a file."""
        if self.file is None or not self.file.exists():
            return None
        template: dict[str, npt.NDArray[Any]] = {
            "vectors": np.broadcast_to(np.float32(0), shape),
            "epoch": np.array(0, dtype=np.int64),
            "fingerprint": np.array(self.fingerprint),
        }
        try:
            with self.file.open("rb") as stream:
                stored = read_arrays(stream, describe_arrays(template), self.file)
            epoch, vectors = int(stored["epoch"]), stored["vectors"]
            if not (1 <= epoch <= rounds and np.isfinite(vectors).all()):
                raise ModelError(f"expected finite vectors after 1 to {rounds} rounds, got round {epoch}")
            if str(stored["fingerprint"]) == self.fingerprint:
                return epoch, vectors
            LOGGER.warning(
                "the checkpoint in %s belongs to another training: starting from scratch", self.file
            )
        except (OSError, ModelError) as error:
            LOGGER.warning("cannot read the checkpoint %s (%s): starting from scratch", self.file, error)
        return None

"""The state of an unfinished training on disk: arrays as safetensors, the rest as JSON, never pickle."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

LOGGER = logging.getLogger(__name__)
POINTER = "checkpoint.json"


@dataclass(frozen=True)
class CheckpointFolder:
    """The newest checkpoint of one training, in a folder of its own.

    ``checkpoint.json`` names the file of arrays with its sha256 and is replaced last, so a process killed at
    any moment leaves the checkpoint before or the new one, never half of one. ``fingerprint`` tells one
    training (data, configuration, seed) from another: a checkpoint of another training is not resumed, nor is
    one whose arrays do not have the recorded hash. Both cost the time to train again and nothing else, so
    they are logged and not raised.
    """

    path: Path
    fingerprint: str

    def save(self, epoch: int, arrays: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
        """Write ``arrays`` and ``state`` (JSON values) as the newest checkpoint and remove the older ones."""
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / f"epoch-{epoch:06d}.safetensors"
        partial = file.with_suffix(".partial")
        save_file({name: array.detach().cpu().contiguous() for name, array in arrays.items()}, partial)
        digest = _sha256(partial)
        _publish(partial, file)
        pointer = {"arrays": file.name, "sha256": digest, "fingerprint": self.fingerprint, "state": state}
        partial = self.path / f"{POINTER}.partial"
        partial.write_text(json.dumps(pointer, indent=1, allow_nan=False), encoding="utf-8")
        _publish(partial, self.path / POINTER)
        for old in self.path.glob("epoch-*"):
            if old != file:
                old.unlink()

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Return the arrays, on the CPU, and the state of the newest checkpoint; None when there is none."""
        if not (self.path / POINTER).exists():
            return None
        pointer = json.loads((self.path / POINTER).read_text(encoding="utf-8"))
        if pointer["fingerprint"] != self.fingerprint:
            LOGGER.warning("the checkpoint in %s is of another training: starting afresh", self.path)
            return None
        file = self.path / pointer["arrays"]
        if not file.exists() or _sha256(file) != pointer["sha256"]:
            LOGGER.warning("expected sha256 %s of %s: starting afresh", pointer["sha256"], file)
            return None
        return load_file(file), pointer["state"]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _publish(partial: Path, file: Path) -> None:
    """Rename a finished file into place, its bytes on the disk before its name is."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(file)

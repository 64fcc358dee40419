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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

LOGGER = logging.getLogger(__name__)
POINTER = "checkpoint.json"
LARGEST = 16 * 2**20  # bytes of checkpoint.json, which holds a few figures an epoch
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class CheckpointFolder:
    """The newest checkpoint of one training, in a folder of its own.

    ``checkpoint.json`` names the file of arrays with its sha256 and is replaced last, so a process killed at
    any moment leaves the checkpoint before or the new one, never half of one. ``fingerprint`` tells one
    training (data, configuration, seed) from another: a checkpoint of another training is not resumed, nor is
    one that cannot be read, or whose arrays do not have the recorded hash. All cost the time to train again
    and nothing else, so they are logged and not raised.
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

    def load(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Return the arrays, on the CPU, and the state of the newest checkpoint; None when there is none."""
        if not (self.path / POINTER).exists():
            return None
        try:
            return self._read()
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            LOGGER.warning("cannot read the checkpoint in %s (%s): starting afresh", self.path, error)
            return None

    def _read(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Return what `load` does; any of several errors where it is not what `save` wrote."""
        with (self.path / POINTER).open("rb") as stream:
            pointer = json.loads(stream.read(LARGEST))
        if pointer["fingerprint"] != self.fingerprint:
            LOGGER.warning("the checkpoint in %s is of another training: starting afresh", self.path)
            return None
        name = pointer["arrays"]
        if not isinstance(name, str) or Path(name).name != name:
            raise ValueError(f"expected the name of a file beside it, got {str(name)[:100]!r}")
        file = self.path / name
        if not file.exists() or _sha256(file) != pointer["sha256"]:
            LOGGER.warning("expected sha256 %s of %s: starting afresh", pointer["sha256"], file)
            return None
        return load_file(file), pointer["state"]


def require_like(found: Mapping[str, Tensors], module: torch.nn.Module) -> None:
    """Raise ValueError unless the arrays, by ``module``, ``best`` and ``optimizer``, are of this module.

    So nothing is loaded in part, and a weight that is no number is not trained on.
    """
    weights = dict(module.state_dict())
    for kind in ("module", "best"):
        if found[kind].keys() != weights.keys() and (kind == "module" or found[kind]):
            raise ValueError(
                f"expected the arrays {sorted(weights)} of {kind}, got {sorted(found[kind])[:20]}"
            )
    moments = {
        f"{number}.{name}": parameter if name != "step" else torch.zeros(())
        for number, parameter in enumerate(module.parameters())
        for name in ("exp_avg", "exp_avg_sq", "step")
    }
    for kind, wanted in (("module", weights), ("best", weights), ("optimizer", moments)):
        for name, array in found[kind].items():
            like = wanted.get(name)
            if like is None or (array.shape, array.dtype) != (like.shape, like.dtype):
                raise ValueError(
                    f"{kind}.{name[:100]}: {array.dtype} {tuple(array.shape)} does not fit the model"
                )
            if not torch.isfinite(array).all():
                raise ValueError(f"{kind}.{name}: a value that is not finite")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _publish(partial: Path, file: Path) -> None:
    """Rename a finished file into place, its bytes on the disk before its name is."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(file)

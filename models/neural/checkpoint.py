"""The state of an unfinished training on disk: safetensors and JSON, never pickle."""

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
LARGEST = 16 * 2**20  # bytes of checkpoint.json, which holds a few figures per epoch
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class CheckpointFolder:
    """The latest checkpoint of one training, in its own folder.

    ``checkpoint.json`` names the file of arrays with its SHA-256 and is replaced last, so a killed
    process leaves either the previous checkpoint or the new one. ``fingerprint`` identifies the
    training (data, configuration, seed). A checkpoint is not resumed if it belongs to another
    training, cannot be read, or its arrays do not match the hash. These cases only cost the time to
    train again, so they are logged, not raised.
    """

    path: Path
    fingerprint: str

    def save(self, epoch: int, arrays: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
        """Write ``arrays`` and ``state`` (JSON values) as a checkpoint and remove older ones."""
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
        """Return arrays (on the CPU) and state of the latest checkpoint; None without one."""
        if not (self.path / POINTER).exists():
            return None
        try:
            return self._read()
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            LOGGER.warning("cannot read the checkpoint in %s (%s): starting from scratch", self.path, error)
            return None

    def _read(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Return what `load` returns; invalid content raises one of several errors."""
        with (self.path / POINTER).open("rb") as stream:
            pointer = json.loads(stream.read(LARGEST))
        if pointer["fingerprint"] != self.fingerprint:
            LOGGER.warning(
                "the checkpoint in %s belongs to another training: starting from scratch", self.path
            )
            return None
        name = pointer["arrays"]
        if not isinstance(name, str) or Path(name).name != name:
            raise ValueError(f"expected the name of a file in the same folder, got {str(name)[:100]!r}")
        file = self.path / name
        if not file.exists() or _sha256(file) != pointer["sha256"]:
            LOGGER.warning("expected sha256 %s of %s: starting from scratch", pointer["sha256"], file)
            return None
        return load_file(file), pointer["state"]


def require_matching(groups: Mapping[str, Tensors], module: torch.nn.Module) -> None:
    """Raise ValueError unless the arrays of ``module``, ``best`` and ``optimizer`` fit a module.

    A checkpoint is thus loaded whole or not at all, and weights that are not finite are refused.
    """
    weights = dict(module.state_dict())
    for kind in ("module", "best"):
        if groups[kind].keys() != weights.keys() and (kind == "module" or groups[kind]):
            raise ValueError(
                f"expected the arrays {sorted(weights)} of {kind}, got {sorted(groups[kind])[:20]}"
            )
    moments = {
        f"{number}.{name}": parameter if name != "step" else torch.zeros(())
        for number, parameter in enumerate(module.parameters())
        for name in ("exp_avg", "exp_avg_sq", "step")
    }
    for kind, expected in (("module", weights), ("best", weights), ("optimizer", moments)):
        for name, array in groups[kind].items():
            template = expected.get(name)
            if template is None or (array.shape, array.dtype) != (template.shape, template.dtype):
                raise ValueError(
                    f"{kind}.{name[:100]}: {array.dtype} {tuple(array.shape)} does not fit the model"
                )
            if not torch.isfinite(array).all():
                raise ValueError(f"{kind}.{name}: a value is not finite")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _publish(partial: Path, file: Path) -> None:
    """Flush a finished file to disk, then rename it into place."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(file)

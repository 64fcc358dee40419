"""Hostile checkpoints: training warns, starts from scratch, and executes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from worlds.hostile_arrays import bomb, hostile_arrays, saved_by_torch
from worlds.payload import Payload
from worlds.small_models import MODELS, WORLD

from models import registry
from models.factors import als_checkpoint
from models.options import TrainingOptions


def fit(name: str, checkpoints: Path | None = None, **settings: Any) -> dict[str, np.ndarray[Any, Any]]:
    options = TrainingOptions(device="cpu", seed=3, threads=1, checkpoints=checkpoints)
    return registry.create(name, MODELS[name] | settings).fit(WORLD, options)._arrays()


def assert_same(arrays: dict[str, np.ndarray[Any, Any]], expected: dict[str, np.ndarray[Any, Any]]) -> None:
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_a_malicious_checkpoint_of_als_is_not_used(
    tmp_path: Path, armed_canary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(als_checkpoint, "SECONDS", 0.0)
    expected = fit("als", tmp_path)
    file = tmp_path / "als" / "checkpoint.npz"
    with np.load(file) as stored:
        good = dict(stored)
    users, items = good["users"], good["items"]
    nan = items.copy()
    nan[0, 0] = math.nan
    caplog.clear()
    assert_same(fit("als", tmp_path), expected)
    assert not caplog.text  # the good checkpoint is used; the cases below differ from it
    changes: list[dict[str, Any]] = [
        {"items": items[:-1]}, {"items": items.astype(np.float64)}, {"items": nan}, {"users": users * nan[0]},
        {"items": items[:, :-1]}, {"users": users[:, :-1]}, {"users": users[1:]},
        {"epoch": np.int64(4)}, {"epoch": np.int64(-5)}, {"epoch": np.int64(0)},
        {"epoch": np.array([3, 3])}, {"epoch": np.float64(2.5)}, {"fingerprint": np.array("x")},
        {"more": items}, {"fingerprint": np.array("0" * 64)},
    ]  # fmt: skip
    written = []
    for change in changes:
        stream = io.BytesIO()
        np.savez(stream, **(good | change))
        written.append(stream.getvalue())
    written += [arrays for arrays, _ in hostile_arrays(armed_canary).values()] + [bomb(2**26)]
    for content in written:
        file.write_bytes(content)
        caplog.clear()
        assert_same(fit("als", tmp_path), expected)
        assert "starting from scratch" in caplog.text
    stream = io.BytesIO()
    np.savez(stream, **(good | {"items": items * 2, "epoch": np.int64(3)}))
    file.write_bytes(stream.getvalue())
    twice = fit("als", tmp_path)["item_vectors"]  # a fitting one is trusted
    assert np.abs(twice).sum() > 1.5 * np.abs(expected["item_vectors"]).sum()


@dataclass
class Checkpoint:
    """A good checkpoint of Mult-VAE, and the result of its training."""

    root: Path
    expected: dict[str, np.ndarray[Any, Any]]

    def __post_init__(self) -> None:
        self.folder = self.root / "mult_vae"
        self.pointer = json.loads((self.folder / "checkpoint.json").read_text())
        self.file = self.folder / self.pointer["arrays"]
        self.arrays = load_file(self.file)

    def tensors(self, **changes: torch.Tensor | None) -> bytes:
        """Return the checkpoint's file with changed tensors; `__` stands for a dot in a name."""
        path = self.root / "changed"
        tensors = {**self.arrays, **{key.replace("__", "."): value for key, value in changes.items()}}
        save_file({key: value.clone() for key, value in tensors.items() if value is not None}, path)
        return path.read_bytes()

    def require_fresh_start(self, content: bytes, pointer: bytes, caplog: pytest.LogCaptureFixture) -> None:
        """Require that a checkpoint of these two files is not used, with a warning."""
        for old in self.folder.glob("epoch-*"):
            old.unlink()
        self.file.write_bytes(content)
        (self.folder / "checkpoint.json").write_bytes(pointer)
        caplog.clear()
        assert_same(fit("mult_vae", self.root), self.expected)
        assert "starting from scratch" in caplog.text, (content[:100], pointer[:1000])


@pytest.fixture
def checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Checkpoint:
    """Return a checkpoint that training uses; hostile ones differ from it."""
    caplog.set_level(logging.WARNING)
    checkpoint = Checkpoint(tmp_path, fit("mult_vae", tmp_path))
    caplog.clear()
    assert_same(fit("mult_vae", tmp_path), checkpoint.expected)
    assert not caplog.text
    return checkpoint


def test_malicious_arrays_of_a_trainers_checkpoint_are_not_used(
    checkpoint: Checkpoint, armed_canary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors, output = checkpoint.tensors, checkpoint.arrays["module.output"]
    huge = b'{"module.output":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,8]}}'
    files = [
        tensors(module__output=output[:-1].contiguous()), tensors(module__output=output.double()),
        tensors(module__output=output * math.nan), tensors(best__output=output * math.inf),
        tensors(module__output=None), tensors(other=output), tensors(module__more=output),
        tensors(optimizer__0__exp_avg=output[:-1].contiguous()),
        tensors(optimizer__99__exp_avg=output),
        tensors(optimizer__x=output),
        pickle.dumps(Payload(armed_canary)), saved_by_torch(Payload(armed_canary)), b"", b"\xff" * 100,
        struct.pack("<Q", 2**62) + b"{}", struct.pack("<Q", len(huge)) + huge + bytes(8),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ]  # fmt: skip
    for content in files:
        pointer = checkpoint.pointer | {"sha256": hashlib.sha256(content).hexdigest()}
        checkpoint.require_fresh_start(content, json.dumps(pointer).encode(), caplog)
        assert not armed_canary.exists()


def test_a_malicious_pointer_to_a_trainers_checkpoint_is_not_followed(
    checkpoint: Checkpoint, armed_canary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = checkpoint.root / "outside.safetensors"
    outside.write_bytes(checkpoint.file.read_bytes())
    good = checkpoint.tensors()
    pointer = checkpoint.pointer | {"sha256": hashlib.sha256(good).hexdigest()}
    state, names = pointer["state"], ("..", ".", "", 7, None, [], "\0", "x" * 5000, "/dev/zero")
    changes: list[dict[str, Any]] = [
        *({"arrays": name} for name in ("../outside.safetensors", str(outside), *names)),
        *({"fingerprint": value} for value in (None, 7, "0" * 64)),
        *({"sha256": value} for value in (None, 7, "0" * 64)),
        *({"state": value} for value in (None, [], {}, "x", state | {"more": 1})),
        *({"state": state | {"epoch": value}} for value in (0, -1, 2, 99, "3", 3.5, None)),
        *({"state": state | {"losses": value}} for value in ([], ["x"], None, [1.0] * 99)),
        {"state": state | {"best_epoch": 99}},
    ]
    for change in changes:
        checkpoint.require_fresh_start(good, json.dumps(pointer | change).encode(), caplog)
    documents = [json.dumps(value).encode() for value in ([], 7, "x", None, {})]
    for text in (*documents, b"", b"{", b"[" * 200_000, b"\xff", pickle.dumps(Payload(armed_canary))):
        checkpoint.require_fresh_start(good, text, caplog)
        assert not armed_canary.exists()

"""Malicious artefacts: rejected with a message, without execution or large allocations.

Where possible, each carries code that would write a canary file if it were run.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.hostile_arrays import bomb, hostile_arrays
from worlds.payload import Payload
from worlds.small_models import MODELS, WORLD

from models import artefact, registry
from models.array_file import describe_arrays
from models.errors import ModelError
from models.options import TrainingOptions

ALLOCATED = 64 * 2**20  # bytes that refusing a file may take at most; the bombs ask for much more


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, bytes]]:
    """Return what gives the files of an artefact."""
    made: dict[str, dict[str, bytes]] = {}

    def files(name: str) -> dict[str, bytes]:
        if name not in made:
            options = TrainingOptions(device="cpu", seed=3, threads=1)
            model = registry.create(name, MODELS[name]).fit(WORLD, options)
            folder = artefact.save(model, tmp_path_factory.mktemp(name))
            made[name] = {path.name: path.read_bytes() for path in folder.iterdir()}
        return made[name]

    return files


def sealed(files: dict[str, bytes], packed: bytes | None = None, **changes: Any) -> dict[str, bytes]:
    """Return a changed artefact with matching hashes, as a careful attacker would make it."""
    packed = files["arrays.npz"] if packed is None else packed
    content = json.loads(files["artefact.json"]) | {"sha256": hashlib.sha256(packed).hexdigest()} | changes
    content = {key: value for key, value in content.items() if key != "digest" and value is not ...}
    content["digest"] = artefact.digest_of(content)
    return {"arrays.npz": packed, "artefact.json": json.dumps(content).encode()}


def refused(folder: Path, files: dict[str, bytes]) -> str:
    """Return the error message for an artefact; assert little memory and no written file."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    before = sorted(folder.parent.rglob("*"))
    tracemalloc.start()
    try:
        with pytest.raises(ModelError) as refusal:
            artefact.load(folder)
        assert tracemalloc.get_traced_memory()[1] < ALLOCATED
    finally:
        tracemalloc.stop()
    assert sorted(folder.parent.rglob("*")) == before
    assert len(str(refusal.value)) < 3000
    return str(refusal.value)


def test_a_malicious_file_of_arrays_is_rejected(
    trained: Callable[[str], dict[str, bytes]], tmp_path: Path, armed_canary: Path
) -> None:
    files = trained("popularity")
    hostile = hostile_arrays(armed_canary)
    for number, (what, (arrays, claimed)) in enumerate(hostile.items()):
        for agreeing in (True, False):
            changes = {"arrays": claimed} if agreeing else {}
            message = refused(tmp_path / f"{number}-{agreeing}", sealed(files, arrays, **changes))
            assert "expected" in message, what
        assert not armed_canary.exists(), what
    assert len(hostile) >= 40


@pytest.mark.parametrize("size", [2**28, pytest.param(2**32, marks=pytest.mark.torture)])
def test_a_bomb_is_rejected_before_it_is_unpacked(
    size: int, trained: Callable[[str], dict[str, bytes]], tmp_path: Path
) -> None:
    packed = bomb(size)
    assert len(packed) < size / 500
    claimed = {"trained_items": {"shape": [size], "dtype": "|b1"}}
    files = sealed(trained("popularity"), packed, arrays=claimed, n_items=size)
    assert "a compressed array" in refused(tmp_path / "bomb", files)


@pytest.mark.parametrize("name", registry.known())
def test_arrays_of_the_wrong_shape_or_type_or_with_nan_are_rejected(
    name: str, trained: Callable[[str], dict[str, bytes]], tmp_path: Path, armed_canary: Path
) -> None:
    """Each array of each model in turn, with matching hashes and descriptions."""
    files = trained(name)
    with np.load(io.BytesIO(files["arrays.npz"])) as stored:
        arrays = dict(stored)
    tried = 0
    for target, array in arrays.items():
        wrong = {
            "wider": np.concatenate([array, array]),
            "shorter": array[:-1],
            "deeper": array[..., None],
            "empty": array[:0],
            "another kind": array.astype(np.float64 if array.dtype != np.float64 else np.float32),
            "numbers as text": array.astype("U8"),
            "missing": None,
        }
        if array.dtype.kind == "f":
            for value in (math.nan, math.inf, -math.inf):
                wrong[str(value)] = array.copy()
                wrong[str(value)].flat[-1] = value
        for what, changed in wrong.items():
            kept = {key: value for key, value in (arrays | {target: changed}).items() if value is not None}
            stream = io.BytesIO()
            np.savez(stream, **kept)
            folder = tmp_path / str(tried)
            tried += 1
            message = refused(folder, sealed(files, stream.getvalue(), arrays=describe_arrays(kept)))
            assert "expected" in message, (target, what)
    assert tried >= 2 * 7


def test_a_malicious_manifest_is_rejected(
    trained: Callable[[str], dict[str, bytes]], tmp_path: Path, armed_canary: Path
) -> None:
    files = trained("mult_vae")
    changes: list[dict[str, Any]] = [
        {key: value}
        for key, values in {
            "n_items": [..., None, True, -1, 0, 2**60, 10**400, "20", 20.0, [20], {}],
            "model": [..., None, "../../x", "os:system", "als", "models.base:Model", "", [], "x" * 10**5],
            "config": [..., None, [], "x", {"hidden": 2**40}, {"hidden": 9}, {"unknown": 1}, {"latent": "4"}],
            "arrays": [..., None, [], {}, {"x": 1}, {"../x": {"shape": [1], "dtype": "<f4"}}],
            "sha256": [..., None, 7, "", "0" * 64],
            "report": [..., None, [], 1],
            "format": [..., 2, "1", None],
        }.items()
        for value in values
    ]
    for number, change in enumerate(changes):
        assert "expected" in refused(tmp_path / str(number), sealed(files, **change)) or number, change
    texts = {
        "a pickle": pickle.dumps(Payload(armed_canary)),
        "a deep list": b"[" * 200_000,
        "deep objects": b'{"a":' * 200_000,
        "a long one": b'{"format": 1, "x": "' + b"x" * (17 * 2**20) + b'"}',
        "a long number": b'{"format": ' + b"1" * 100_000 + b"}",
        "no text": b"\xff\xfe{}",
        "a list": b"[]",
        "nothing": b"",
    }
    for what, text in texts.items():
        message = refused(tmp_path / what.replace(" ", "-"), files | {"artefact.json": text})
        assert "expected" in message, what


def test_a_device_or_a_pipe_is_not_an_artefact(
    trained: Callable[[str], dict[str, bytes]], tmp_path: Path
) -> None:
    for name in ("arrays.npz", "artefact.json"):
        for kind in ("device", "pipe", "folder"):
            folder = tmp_path / f"{name}-{kind}"
            folder.mkdir()
            for other, content in trained("popularity").items():
                (folder / other).write_bytes(content)
            (folder / name).unlink()
            if kind == "device":
                (folder / name).symlink_to("/dev/zero")
            elif kind == "pipe":
                os.mkfifo(folder / name)
            else:
                (folder / name).mkdir()
            with pytest.raises(ModelError, match=r"no such file|no artefact\.json"):
                artefact.load(folder)

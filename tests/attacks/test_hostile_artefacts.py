"""Artefacts and checkpoints by somebody who means harm: refused in words, nothing run, nothing allocated.

Each carries, where it can, code that would write a canary file if it were run.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import artefact, registry
from models.array_file import kinds_of
from models.contract.worlds import random_world
from models.errors import ModelError
from models.factors import als_checkpoint
from models.options import TrainingOptions

ALLOCATED = 64 * 2**20  # bytes that refusing a file may take at most; the bombs ask for much more
MODELS: dict[str, dict[str, Any]] = {
    "als": {"factors": 4, "iterations": 3},
    "blend": {"settings": {"als": {"factors": 4, "iterations": 3}, "item_knn": {"neighbours": 5}}},
    "item_knn": {"neighbours": 5},
    "mult_vae": {"hidden": 8, "latent": 4, "epochs": 1, "checkpoint_seconds": 0.0},
    "popularity": {},
    "random": {},
    "recent_popularity": {},
}
WORLD = random_world(n_users=40, n_items=20)


class Payload:
    """What a pickle is refused for: unpickling it writes the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.canary}'",)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Give a file that is there only if something was executed."""
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(Payload(canary)))  # noqa: S301 - it works, so that its absence says something
    assert canary.exists()
    canary.unlink()
    yield canary
    assert not canary.exists()


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


def npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def headed(text: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Return an array's file with a header of our own."""
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes(version) + length + text.encode() + b"\n" + data


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def sealed(files: dict[str, bytes], packed: bytes | None = None, **changes: Any) -> dict[str, bytes]:
    """Return an artefact whose hashes agree with what was changed, as one who tampers with care makes it."""
    packed = files["arrays.npz"] if packed is None else packed
    content = json.loads(files["artefact.json"]) | {"sha256": hashlib.sha256(packed).hexdigest()} | changes
    content = {key: value for key, value in content.items() if key != "digest" and value is not ...}
    content["digest"] = artefact.digest_of(content)
    return {"arrays.npz": packed, "artefact.json": json.dumps(content).encode()}


def refused(folder: Path, files: dict[str, bytes]) -> str:
    """Return the message of the refusal of an artefact, once it took little memory and wrote nothing."""
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


def bomb(size: int) -> bytes:
    """Return a small file of one compressed array of `size` zeros."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("trained_items.npy", "w", force_zip64=True) as member,
    ):
        member.write(headed(f"{{'descr': '|b1', 'fortran_order': False, 'shape': ({size},)}}"))
        for _ in range(size // 2**24):
            member.write(bytes(2**24))
    return stream.getvalue()


def hostile_arrays(canary: Path) -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Return files of arrays by what is wrong with them, each with a manifest's description that agrees."""
    payload = Payload(canary)
    objects = np.array([payload, payload], dtype=object)
    plain = npy(np.zeros(3))
    claims = "{{'descr': '{}', 'fortran_order': False, 'shape': {}}}"
    code = f"__import__('os').system('touch {canary}')"
    members = {
        "a header of 2^60 elements": headed(claims.format("<f4", f"({2**60},)"), bytes(64)),
        "a header of 2^64 elements": headed(claims.format("<f4", f"({2**32}, {2**32})"), bytes(64)),
        "a negative shape": headed(claims.format("<f4", "(-1,)"), bytes(64)),
        "a shape of truth": headed(claims.format("<f4", "(True, 'x')"), bytes(64)),
        "a header that is code": headed(code, bytes(64)),
        "a dtype that is code": headed(claims.format(code.replace("'", '"'), "(2,)"), bytes(64)),
        "a header of brackets": headed("(" * 60_000),
        "a header of signs": headed("-" * 60_000 + "1"),
        "a long header": headed(claims.format("<f4", "(2,)") + " " * 60_000, bytes(8)),
        "a header of another version": headed(claims.format("<f4", "(2,)"), bytes(8), (2, 0)),
        "a header that does not end": b"\x93NUMPY\x01\x00\xff\xff{",
        "more bytes than claimed": npy(np.zeros(3)) + bytes(100),
        "fewer bytes than claimed": npy(np.zeros(3))[:-1],
        "a pickle as a member": pickle.dumps(payload),
        "objects": npy(objects),
        "a record of objects": npy(np.array([(payload,)], dtype=[("x", object)])),
        "records": npy(np.zeros(2, dtype=[("a", "<f4"), ("b", "<i8")])),
        "arrays in an array": headed(
            claims.format("<f4", "(2,)").replace("'<f4'", "('<f4', (2,))"), bytes(16)
        ),
        "moments": npy(np.zeros(2, dtype="datetime64[s]")),
        "complex numbers": npy(np.zeros(2, dtype=np.complex64)),
        "nothing": b"",
    }
    files = {
        name: (zipped({"x.npy": content}), {"x": _claimed(content)}) for name, content in members.items()
    }
    for name in (
        "../../escape", "/etc/escape", "..\\escape", "a/b", "", ".", "..", "x\n", "é", "a" * 1000,
        "__class__\u202e", "C:escape", "%2e%2e%2fescape", "~/escape", "$HOME",
    ):  # fmt: skip
        files[f"the name {name!r:.20}"] = (zipped({f"{name}.npy": plain}), {name: _claimed(plain)})
    files["a name that is no array's"] = (zipped({"x.pkl": pickle.dumps(payload)}), {"x": _claimed(plain)})
    twice = zipped({"x.npy": plain, "y.npy": plain}).replace(b"y.npy", b"x.npy")
    files["an array that is there twice"] = (twice, {"x": _claimed(plain)})
    files["a compressed array"] = (zipped({"x.npy": plain}, zipfile.ZIP_DEFLATED), {"x": _claimed(plain)})
    whole = zipped({"x.npy": plain})
    files["a file cut in the middle"] = (whole[: len(whole) // 2], {"x": _claimed(plain)})
    at = whole.index(plain[-24:])
    files["a byte that was changed"] = (whole[:at] + b"\xff" + whole[at + 1 :], {"x": _claimed(plain)})
    files["a pickle"] = (pickle.dumps(payload), {"x": _claimed(plain)})
    files["a pickled dictionary of arrays"] = (pickle.dumps({"x": objects}), {"x": _claimed(plain)})
    files["a file of torch"] = (_saved_by_torch(payload), {"x": _claimed(plain)})
    files["one array without a zip"] = (plain, {"x": _claimed(plain)})
    files["nothing at all"] = (b"", {"x": _claimed(plain)})
    return files


def _claimed(content: bytes) -> Any:
    """Return what a manifest would have to say of a member for it to agree, as far as it says anything."""
    try:
        found = np.lib.format.read_magic(io.BytesIO(content))
        stream = io.BytesIO(content[8:] if found else b"")
        length = struct.unpack("<H", stream.read(2))[0]
        header = eval(stream.read(length), {"__builtins__": {}})  # noqa: S307 - our own header, without code
        return {"shape": list(header["shape"]), "dtype": header["descr"]}
    except Exception:
        return {"shape": [3], "dtype": "<f8"}


def _saved_by_torch(payload: Payload) -> bytes:
    stream = io.BytesIO()
    torch.save(payload, stream)
    return stream.getvalue()


def test_a_file_of_arrays_that_means_harm_is_refused(
    trained: Callable[[str], dict[str, bytes]], tmp_path: Path, canary: Path
) -> None:
    files = trained("popularity")
    hostile = hostile_arrays(canary)
    for number, (what, (arrays, claimed)) in enumerate(hostile.items()):
        for agreeing in (True, False):
            changes = {"arrays": claimed} if agreeing else {}
            message = refused(tmp_path / f"{number}-{agreeing}", sealed(files, arrays, **changes))
            assert "expected" in message, what
        assert not canary.exists(), what
    assert len(hostile) >= 40


@pytest.mark.parametrize("size", [2**28, pytest.param(2**32, marks=pytest.mark.torture)])
def test_a_bomb_is_refused_before_it_is_unpacked(
    size: int, trained: Callable[[str], dict[str, bytes]], tmp_path: Path
) -> None:
    packed = bomb(size)
    assert len(packed) < size / 500
    claimed = {"trained_items": {"shape": [size], "dtype": "|b1"}}
    files = sealed(trained("popularity"), packed, arrays=claimed, n_items=size)
    assert "it is compressed" in refused(tmp_path / "bomb", files)


@pytest.mark.parametrize("name", registry.known())
def test_arrays_of_another_shape_or_kind_or_without_a_value_are_refused(
    name: str, trained: Callable[[str], dict[str, bytes]], tmp_path: Path, canary: Path
) -> None:
    """Each array of each model in turn, with hashes and descriptions that agree."""
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
            kept = {key: one for key, one in (arrays | {target: changed}).items() if one is not None}
            stream = io.BytesIO()
            np.savez(stream, **kept)
            folder = tmp_path / str(tried)
            tried += 1
            message = refused(folder, sealed(files, stream.getvalue(), arrays=kinds_of(kept)))
            assert "expected" in message, (target, what)
    assert tried >= 2 * 7


def test_a_manifest_that_means_harm_is_refused(
    trained: Callable[[str], dict[str, bytes]], tmp_path: Path, canary: Path
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
        "a pickle": pickle.dumps(Payload(canary)),
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


def test_an_artefact_that_is_a_device_or_a_pipe_is_no_artefact(
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


def fit(name: str, checkpoints: Path | None = None, **settings: Any) -> dict[str, np.ndarray[Any, Any]]:
    options = TrainingOptions(device="cpu", seed=3, threads=1, checkpoints=checkpoints)
    return registry.create(name, MODELS[name] | settings).fit(WORLD, options)._arrays()


def assert_same(one: dict[str, np.ndarray[Any, Any]], other: dict[str, np.ndarray[Any, Any]]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_a_checkpoint_of_als_that_means_harm_is_not_used(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(als_checkpoint, "SECONDS", 0.0)
    expected = fit("als", tmp_path)
    file = tmp_path / "als" / "checkpoint.npz"
    with np.load(file) as stored:
        good = dict(stored)
    vectors = good["vectors"]
    nan = vectors.copy()
    nan[0, 0] = math.nan
    caplog.clear()
    assert_same(fit("als", tmp_path), expected)
    assert not caplog.text  # the good one is used, and the cases below differ from it
    changes: list[dict[str, Any]] = [
        {"vectors": vectors[:-1]}, {"vectors": vectors.astype(np.float64)}, {"vectors": nan},
        {"vectors": vectors[:, :-1]}, {"epoch": np.int64(4)}, {"epoch": np.int64(-5)}, {"epoch": np.int64(0)},
        {"epoch": np.array([3, 3])}, {"epoch": np.float64(2.5)}, {"fingerprint": np.array("x")},
        {"more": vectors}, {"fingerprint": np.array("0" * 64)},
    ]  # fmt: skip
    written = []
    for change in changes:
        stream = io.BytesIO()
        np.savez(stream, **(good | change))
        written.append(stream.getvalue())
    written += [arrays for arrays, _ in hostile_arrays(canary).values()] + [bomb(2**26)]
    for content in written:
        file.write_bytes(content)
        caplog.clear()
        assert_same(fit("als", tmp_path), expected)
        assert "starting afresh" in caplog.text
    stream = io.BytesIO()
    np.savez(stream, **(good | {"vectors": vectors * 0, "epoch": np.int64(3)}))
    file.write_bytes(stream.getvalue())
    assert not fit("als", tmp_path)["item_vectors"].any()  # one that fits is believed: it is no signature


def test_a_checkpoint_of_the_trainer_that_means_harm_is_not_used(
    tmp_path: Path, canary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    expected = fit("mult_vae", tmp_path)
    folder = tmp_path / "mult_vae"
    pointer = json.loads((folder / "checkpoint.json").read_text())
    arrays = load_file(folder / pointer["arrays"])
    (tmp_path / "outside.safetensors").write_bytes((folder / pointer["arrays"]).read_bytes())

    def tensors(**changes: torch.Tensor | None) -> bytes:
        path = tmp_path / "changed"
        both = {**arrays, **{key.replace("__", "."): value for key, value in changes.items()}}
        save_file({key: value.clone() for key, value in both.items() if value is not None}, path)
        return path.read_bytes()

    output, state = arrays["module.output"], pointer["state"]
    huge = b'{"module.output":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,8]}}'
    files = [
        tensors(module__output=output[:-1].contiguous()), tensors(module__output=output.double()),
        tensors(module__output=output * math.nan), tensors(best__output=output * math.inf),
        tensors(module__output=None), tensors(other=output), tensors(module__more=output),
        tensors(optimizer__0__exp_avg=output[:-1].contiguous()),
        tensors(optimizer__99__exp_avg=output),
        tensors(optimizer__x=output),
        pickle.dumps(Payload(canary)), _saved_by_torch(Payload(canary)), b"", b"\xff" * 100,
        struct.pack("<Q", 2**62) + b"{}", struct.pack("<Q", len(huge)) + huge + bytes(8),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ]  # fmt: skip
    pointers: list[Any] = [
        pointer | {"arrays": "../outside.safetensors"},
        pointer | {"arrays": str(tmp_path / "outside.safetensors")},
        *(pointer | {"arrays": name} for name in ("..", ".", "", 7, None, [], "\0", "x" * 5000, "/dev/zero")),
        *(pointer | {"fingerprint": value} for value in (None, 7, "0" * 64)),
        *(pointer | {"sha256": value} for value in (None, 7, "0" * 64)),
        *(pointer | {"state": value} for value in (None, [], {}, "x", state | {"more": 1})),
        *(pointer | {"state": state | {"epoch": value}} for value in (0, -1, 2, 99, "3", 3.5, None)),
        *(pointer | {"state": state | {"losses": value}} for value in ([], ["x"], None, [1.0] * 99)),
        pointer | {"state": state | {"best_epoch": 99}},
        [], 7, "x", None, {},
    ]  # fmt: skip

    caplog.clear()
    assert_same(fit("mult_vae", tmp_path), expected)
    assert not caplog.text  # the good one is used, and the cases below differ from it

    def require_afresh(name: str, content: bytes, pointed: bytes) -> None:
        for old in folder.glob("epoch-*"):
            old.unlink()
        (folder / pointer["arrays"]).write_bytes(content)
        (folder / "checkpoint.json").write_bytes(pointed)
        caplog.clear()
        assert_same(fit("mult_vae", tmp_path), expected)
        assert "starting afresh" in caplog.text, name
        assert not canary.exists(), name

    for number, content in enumerate(files):
        told = pointer | {"sha256": hashlib.sha256(content).hexdigest()}
        require_afresh(f"arrays {number}", content, json.dumps(told).encode())
    good = tensors()
    told = {"sha256": hashlib.sha256(good).hexdigest()}
    for number, changed in enumerate(pointers):
        both = told | changed if isinstance(changed, dict) and "sha256" not in changed else changed
        require_afresh(f"pointer {number}", good, json.dumps(both).encode())
    for text in (b"", b"{", b"[" * 200_000, b"\xff", pickle.dumps(Payload(canary))):
        require_afresh(f"text {text[:9]!r}", good, text)

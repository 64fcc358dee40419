"""Malicious files of arrays."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worlds.payload import Payload


def npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def headed(text: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Return an array's file with a given header."""
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes(version) + length + text.encode() + b"\n" + data


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def bomb(size: int) -> bytes:
    """Return a small file with a compressed array of `size` zeros."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("trained_items.npy", "w", force_zip64=True) as member,
    ):
        member.write(headed(f"{{'descr': '|b1', 'fortran_order': False, 'shape': ({size},)}}"))
        for _ in range(size // 2**24):
            member.write(bytes(2**24))
    return stream.getvalue()


Hostile = dict[str, tuple[bytes, dict[str, Any]]]
"""Files of arrays by their fault, each with a matching description for a manifest."""


def hostile_arrays(canary: Path) -> Hostile:
    """Return hostile files: members, names of members, and archives."""
    payload = Payload(canary)
    members = _hostile_members(payload, f"__import__('os').system('touch {canary}')")
    files = {
        name: (zipped({"x.npy": content}), {"x": _claimed(content)}) for name, content in members.items()
    }
    return files | _hostile_names() | _hostile_archives(payload)


def _hostile_members(payload: Payload, code: str) -> dict[str, bytes]:
    """Return members that are not arrays, or are unexpected arrays."""
    claims = "{{'descr': '{}', 'fortran_order': False, 'shape': {}}}"
    return {
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
        "objects": npy(np.array([payload, payload], dtype=object)),
        "a record of objects": npy(np.array([(payload,)], dtype=[("x", object)])),
        "records": npy(np.zeros(2, dtype=[("a", "<f4"), ("b", "<i8")])),
        "arrays in an array": headed(
            claims.format("<f4", "(2,)").replace("'<f4'", "('<f4', (2,))"), bytes(16)
        ),
        "moments": npy(np.zeros(2, dtype="datetime64[s]")),
        "complex numbers": npy(np.zeros(2, dtype=np.complex64)),
        "nothing": b"",
    }


def _hostile_names() -> Hostile:
    """Return archives whose only member has an escaping or unknown name."""
    plain, files = npy(np.zeros(3)), {}
    for name in (
        "../../escape", "/etc/escape", "..\\escape", "a/b", "", ".", "..", "x\n", "é", "a" * 1000,
        "__class__\u202e", "C:escape", "%2e%2e%2fescape", "~/escape", "$HOME",
    ):  # fmt: skip
        files[f"the name {name!r:.20}"] = (zipped({f"{name}.npy": plain}), {name: _claimed(plain)})
    return files


def _hostile_archives(payload: Payload) -> Hostile:
    """Return archives with wrong content, damaged archives, and other files that claim an array."""
    plain = npy(np.zeros(3))
    whole = zipped({"x.npy": plain})
    start = whole.index(plain[-24:])
    files = {
        "a name that is no array's": zipped({"x.pkl": pickle.dumps(payload)}),
        "an array that is there twice": zipped({"x.npy": plain, "y.npy": plain}).replace(b"y.npy", b"x.npy"),
        "a compressed array": zipped({"x.npy": plain}, zipfile.ZIP_DEFLATED),
        "a file cut in the middle": whole[: len(whole) // 2],
        "a byte that was changed": whole[:start] + b"\xff" + whole[start + 1 :],
        "a pickle": pickle.dumps(payload),
        "a pickled dictionary of arrays": pickle.dumps({"x": np.array([payload, payload], dtype=object)}),
        "a file of torch": saved_by_torch(payload),
        "one array without a zip": plain,
        "nothing at all": b"",
    }
    return {name: (content, {"x": _claimed(plain)}) for name, content in files.items()}


def _claimed(content: bytes) -> Any:
    """Return the description with which a manifest would match a member, if any."""
    try:
        magic = np.lib.format.read_magic(io.BytesIO(content))
        stream = io.BytesIO(content[8:] if magic else b"")
        length = struct.unpack("<H", stream.read(2))[0]
        header = eval(stream.read(length), {"__builtins__": {}})  # noqa: S307 - a header that the test wrote
        return {"shape": list(header["shape"]), "dtype": header["descr"]}
    except Exception:
        return {"shape": [3], "dtype": "<f8"}


def saved_by_torch(payload: Payload) -> bytes:
    stream = io.BytesIO()
    torch.save(payload, stream)
    return stream.getvalue()

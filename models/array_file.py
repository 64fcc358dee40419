"""Arrays in an .npz file, read without trusting it: checked before anything is allocated, never unpickled.

numpy's own reader believes what a header claims and unpacks whatever was compressed, so a file of a kilobyte
can ask for all memory. Here each header is compared with what is expected, and with the bytes that are there.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

Arrays = dict[str, npt.NDArray[Any]]
SUFFIX: Final = ".npy"
KINDS: Final = "biufU"
"""Kinds of dtype that a file may hold: truth values, numbers and text of a fixed length."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}(?:[.][A-Za-z_][A-Za-z0-9_]{0,99}){0,2}")
_LONGEST: Final = 500  # characters of a description in a message


def kinds_of(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return shape and dtype of each array, as JSON has them."""
    return {name: {"shape": list(a.shape), "dtype": a.dtype.str} for name, a in sorted(arrays.items())}


def read_arrays(stream: BinaryIO, expected: Mapping[str, Any], where: object) -> Arrays:
    """Return the arrays of a file as ``numpy.savez`` writes it; ``expected`` is what `kinds_of` gave of them.

    Raises
    ------
    ModelError
        When it is not exactly these arrays, plain and uncompressed: a pickle, an object array, another name,
        shape or dtype, or a header that claims more than the file holds.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            found = {_name(info): _kind(archive, info) for info in archive.infolist()}
            if len(found) != len(archive.infolist()):
                raise ValueError("an array that is there twice")
            if found != expected:
                said = str(dict(expected))[:_LONGEST]
                raise ModelError(f"expected the arrays {said} in {where}, got {str(found)[:_LONGEST]}")
            for name, kind in found.items():
                if np.dtype(kind["dtype"]).kind not in KINDS:
                    raise ValueError(f"{name}: {kind['dtype'][:100]}, which is no number")
            return {name: _array(archive, f"{name}{SUFFIX}") for name in found}
    except ModelError:
        raise
    except (
        ValueError, TypeError, OSError, EOFError, RecursionError, NotImplementedError, RuntimeError,
        MemoryError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise ModelError(f"expected plain arrays in {where}, got {str(error)[:_LONGEST]}") from error


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name of an array; ValueError for what is none, such as a path."""
    name = info.filename.removesuffix(SUFFIX)
    if name == info.filename or not _NAME.fullmatch(name):
        raise ValueError(f"the name {info.filename[:100]!r}")
    return name


def _kind(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    """Return shape and dtype that a header claims; ValueError unless the file holds just that much."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError(f"{info.filename}: it is compressed")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ValueError(f"{info.filename}: a header of version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        size, held = math.prod(shape) * dtype.itemsize, info.file_size - member.tell()
    if min(shape, default=0) < 0 or size != held:
        raise ValueError(f"{info.filename}: a header that claims {size} bytes, where there are {held}")
    return {"shape": list(shape), "dtype": dtype.str}


def _array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    with archive.open(name) as member:
        array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array

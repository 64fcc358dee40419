"""Arrays in an untrusted .npz file: checked before anything is allocated, and never unpickled.

numpy's reader trusts headers and decompresses anything, so a file of a kilobyte can demand all
memory. Here, each header is compared with the expected array and with the number of bytes in the
file.
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
"""Kinds of dtype allowed in a file: booleans, numbers and text of fixed length."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}(?:[.][A-Za-z_][A-Za-z0-9_]{0,99}){0,2}")
_LONGEST: Final = 500  # characters of a description in a message


def describe_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return the shape and dtype of each array as JSON values."""
    return {name: {"shape": list(a.shape), "dtype": a.dtype.str} for name, a in sorted(arrays.items())}


def read_arrays(stream: BinaryIO, expected: Mapping[str, Any], source: object) -> Arrays:
    """Return the arrays of a ``numpy.savez`` file; ``expected`` is the result of `describe_arrays`.

    ``source`` names the file in messages.

    Raises
    ------
    ModelError
        When the file does not hold exactly these arrays, plain and uncompressed. A pickle, an
        object array, another name, shape or dtype, or a header that claims more than the file holds
        is an error.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            described = {_name(info): _describe(archive, info) for info in archive.infolist()}
            if len(described) != len(archive.infolist()):
                raise ValueError("the same array twice")
            if described != expected:
                arrays = str(dict(expected))[:_LONGEST]
                raise ModelError(f"expected the arrays {arrays} in {source}, got {str(described)[:_LONGEST]}")
            for name, description in described.items():
                if np.dtype(description["dtype"]).kind not in KINDS:
                    raise ValueError(f"{name}: {description['dtype'][:100]}, which is not a number")
            return {name: _array(archive, f"{name}{SUFFIX}") for name in described}
    except ModelError:
        raise
    except (
        ValueError, TypeError, OSError, EOFError, RecursionError, NotImplementedError, RuntimeError,
        MemoryError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise ModelError(f"expected plain arrays in {source}, got {str(error)[:_LONGEST]}") from error


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name of an array; ValueError for anything else, such as a path."""
    name = info.filename.removesuffix(SUFFIX)
    if name == info.filename or not _NAME.fullmatch(name):
        raise ValueError(f"the name {info.filename[:100]!r}")
    return name


def _describe(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    """Return shape and dtype from a header; ValueError unless the file holds exactly that much."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError(f"{info.filename}: a compressed array")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ValueError(f"{info.filename}: a header of version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        size, held = math.prod(shape) * dtype.itemsize, info.file_size - member.tell()
    if min(shape, default=0) < 0 or size != held:
        raise ValueError(f"{info.filename}: a header that claims {size} bytes instead of {held}")
    return {"shape": list(shape), "dtype": dtype.str}


def _array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    with archive.open(name) as member:
        array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array

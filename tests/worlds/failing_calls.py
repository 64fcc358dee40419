"""Calls of the C library that fail, or kill the process, at the n-th in a folder: see failing_calls.c.

The library must be there when a program begins (`environment`), and does nothing until it is armed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from worlds.paths import IMPORTABLE

COUNT, FAIL, KILL, FULL, READ_ONLY = range(5)
"""At the n-th call: nothing, an error, or SIGKILL; from the n-th call on: no room, or no right to write."""
SOURCE = Path(__file__).with_suffix(".c")


def environment(folder: Path) -> dict[str, str]:
    """Compile the library and return the environment of programs that have it; without a compiler, skip."""
    library, compiler = folder / "failing_calls.so", shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc to have calls of the system fail")
    words = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(words, check=True)
    return os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": IMPORTABLE, "OMP_NUM_THREADS": "1"}


def arm(folder: Path, but: Path | str, log: Path, *, how: int, at: int, error: int) -> None:
    """Count the calls below a folder, `but` for one in it; at the `at`-th, from 1, do what `how` says.

    The calls are logged: name, path, and the other path of a rename, with tabs between.
    """
    folders = [str(folder).encode(), str(but).encode()]
    ctypes.CDLL(None).faults_arm(*folders, how, ctypes.c_long(at), error, str(log).encode())


def disarm() -> int:
    """Let all calls through again; return how many there were."""
    calls = ctypes.CDLL(None).faults_disarm
    calls.restype = ctypes.c_long
    return int(calls())


def logged(log: Path) -> list[list[str]]:
    """Return the calls in their order."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [line.split("\t") for line in lines]

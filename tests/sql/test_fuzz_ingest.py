"""Fuzzed files: nothing but our own errors, no hang, no crash, and an outcome for every line."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORMATS = ("csv", "jsonl", "parquet")
SECONDS = float(os.environ.get("NIGHTSHELF_FUZZ_SECONDS", "600"))


def fuzz(form: str, seconds: float, folder: Path, seed: int) -> dict[str, int]:
    """Fuzz a format in a process of its own; return what became of the files."""
    seed = int(os.environ.get("NIGHTSHELF_FUZZ_SEED", seed))
    words = [sys.executable, str(Path(__file__).with_name("fuzz_ingest.py")), form, str(seconds), str(folder)]
    done = subprocess.run(
        [*words, str(seed)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=seconds + 300,
        check=False,
    )
    left = [path.name for path in folder.glob("log.*")]
    assert done.returncode == 0, f"NIGHTSHELF_FUZZ_SEED={seed}, {folder}: {left}\n{done.stderr[-6000:]}"
    assert "Traceback" not in done.stderr, done.stderr[-6000:]  # one that a library only printed
    print(f"{form}: {done.stdout.strip()}, seed {seed}")
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("form", FORMATS)
def test_fuzzed_files_are_landed_or_refused(form: str, tmp_path: Path) -> None:
    found = fuzz(form, 9.0 / len(FORMATS), tmp_path, seed=1)
    assert found["landed"] > 10
    assert found["examples"] == found["landed"] + found["refused"] + found.get("taken in", 0)


@pytest.mark.torture
@pytest.mark.parametrize("form", FORMATS)
def test_fuzzed_files_are_landed_or_refused_for_ten_minutes(form: str, tmp_path: Path) -> None:
    seed = random.randrange(1, 2**31)  # noqa: S311
    found = fuzz(form, SECONDS / len(FORMATS), tmp_path, seed)
    assert found["landed"] > SECONDS
    assert found["refused"] > 0
    assert found["taken in"] > 0

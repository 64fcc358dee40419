"""Fuzzed files: only our own errors, no hang, no crash, and an outcome for every line."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.fuzz_ingest import require_every_line
from worlds.paths import IMPORTABLE, WORLDS

from sql.errors import SourceError
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted
from sql.reading import Reading

FORMATS = ("csv", "jsonl", "parquet", "arrow", "avro", "orc", "sheets")
SECONDS = float(os.environ.get("NIGHTSHELF_FUZZ_SECONDS", "600"))


def fuzz(form: str, seconds: float, folder: Path, seed: int) -> dict[str, int]:
    """Fuzz a format in a separate process; return the number of files by outcome."""
    seed = int(os.environ.get("NIGHTSHELF_FUZZ_SEED", seed))
    arguments = [sys.executable, str(WORLDS / "fuzz_ingest.py"), form, str(seconds), str(folder)]
    finished = subprocess.run(
        [*arguments, str(seed)],
        env=os.environ | {"PYTHONPATH": IMPORTABLE},
        capture_output=True,
        text=True,
        timeout=seconds + 300,
        check=False,
    )
    leftovers = [path.name for path in folder.glob("log.*")]
    assert finished.returncode == 0, (
        f"NIGHTSHELF_FUZZ_SEED={seed}, {folder}: {leftovers}\n{finished.stderr[-6000:]}"
    )
    assert "Traceback" not in finished.stderr, finished.stderr[-6000:]
    print(f"{form}: {finished.stdout.strip()}, seed {seed}")
    return dict(json.loads(finished.stdout))


@pytest.mark.parametrize("form", FORMATS)
def test_fuzzed_files_are_landed_or_rejected(form: str, tmp_path: Path) -> None:
    outcomes = fuzz(form, 10.0 / len(FORMATS), tmp_path, seed=1)
    assert outcomes["landed"] > 10
    assert outcomes["examples"] == outcomes["landed"] + outcomes["refused"] + outcomes.get("ingested", 0)


def tables() -> Iterator[bytes]:
    """Yield small Parquet files of several kinds."""
    columns = {"user": ["a", "b", "c"], "item": ["i"] * 3, "time": ["2026-03-01"] * 3}
    more = {"n": [1, 2, None], "f": [0.5, None, 1.5], "tags": [["x"], None, []]}
    for options in (
        {},
        {"write_page_checksum": True},
        {"use_dictionary": False, "compression": "none", "store_schema": False},
        {"data_page_version": "2.0", "compression": "zstd"},
    ):
        out = io.BytesIO()
        pq.write_table(pa.table(columns | more), out, **options)
        yield out.getvalue()


@pytest.mark.parametrize("step", [61, pytest.param(1, marks=pytest.mark.torture)])
def test_a_parquet_file_with_any_bit_flipped_is_landed_or_refused(step: int, tmp_path: Path) -> None:
    (tmp_path / "landed").mkdir()
    path, flips = tmp_path / "log.parquet", 0
    for data in tables():
        for bit in range(0, len(data) * 8, step):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            flips += 1
            try:
                landed = land_file(
                    RawFile(1, path, path.name), Reading(), Wanted(("user",)), tmp_path / "landed"
                )
            except SourceError:
                continue
            require_every_line(landed, path, bytes(flipped), {})
    print(f"{flips:,} flips")
    assert flips > 40_000 / step


@pytest.mark.torture
@pytest.mark.parametrize("form", FORMATS)
def test_fuzzed_files_are_landed_or_refused_for_ten_minutes(form: str, tmp_path: Path) -> None:
    seed = random.randrange(1, 2**31)  # noqa: S311
    outcomes = fuzz(form, SECONDS / len(FORMATS), tmp_path, seed)
    assert outcomes["landed"] > SECONDS
    assert outcomes["refused"] > 0
    assert outcomes["ingested"] > 0

"""Bombs: small files that unpack to large ones, ingested within limits of memory and time."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.command_calls import MAIN
from worlds.paths import IMPORTABLE, WORLDS

MIB = 1 << 20
BUDGET = 512 * MIB
SECONDS = 120.0  # for each, with room for other work on the machine
T = "2026-03-01 10:00:00"
HEADER = b"user,item,time\n"
GOOD = f"u1,i1,{T}\nu2,i2,{T}\n".encode()
CONFIGURATION = """
[engine]
memory = "512MiB"
threads = 1
[source]
path = "logs"
[source.columns]
user = "user"
item = "item"
timestamp = "time"
"""

OUTCOMES = ("accepted", "excluded", "quarantined", "duplicates")
Write = Callable[[Path, int], object]


@dataclass(frozen=True)
class Bomb:
    """A file of `size` bytes once unpacked, with its outcome.

    It is rejected with `message`, or its rows are counted under `rules`. Bombs that take seconds at
    64 MiB are not `quick`, and only `make torture` runs them.
    """

    name: str
    write: Write
    message: str = ""
    rules: dict[str, int] | None = None
    quick: bool = True


def packed(head: bytes, piece: bytes) -> Write:
    """Return a function that writes a gzip file of a head and many copies of a piece."""

    def write(path: Path, size: int) -> None:
        with gzip.open(path, "wb", compresslevel=9) as file:
            _repeat(file, head, piece, size)

    return write


def plain(head: bytes, piece: bytes, tail: bytes = b"") -> Write:
    def write(path: Path, size: int) -> None:
        with path.open("wb") as file:
            _repeat(file, head, piece, size)
            file.write(tail)

    return write


def _repeat(file: IO[bytes] | Any, head: bytes, piece: bytes, size: int) -> None:
    file.write(head)
    block = piece * (MIB // len(piece))
    for _ in range(size // len(block)):
        file.write(block)


def open_quotes(path: Path, size: int) -> None:
    """Write lines of which every third opens a quote, so that all are quarantined."""
    plain(HEADER, b'a",b,"d\n' + GOOD)(path, size // 16)


def names(count: int, before: bytes = b"") -> Write:
    """Return a function that writes a line of many names; made late, as not every run needs it."""
    return lambda path, _: path.write_bytes(before + b",".join(b"c%d" % n for n in range(count)) + b"\n")


def keys(count: int, known: dict[str, str]) -> Write:
    """Return a function that writes an object, and then one of many keys."""
    return lambda path, _: path.write_bytes(
        OBJECT + json.dumps(known | dict.fromkeys(map(str, range(count)), "1")).encode()
    )


def deep(path: Path, _: int) -> None:
    path.write_bytes(OBJECT + b'{"user":' * 100_000 + b"1" + b"}" * 100_000)


def few_bytes(path: Path, table: pa.Table, **options: Any) -> None:
    pq.write_table(
        table,
        path,
        compression="zstd",
        store_schema=False,
        write_statistics=False,
        row_group_size=1 << 30,
        **options,
    )


def repeated(value: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([value]))


def long_values(path: Path, size: int) -> None:
    """Write rows that all have the same value of 1 MB."""
    rows = size // 1_000_000
    few_bytes(
        path,
        pa.table(
            {"user": repeated("x" * 1_000_000, rows), "item": repeated("i", rows), "time": repeated(T, rows)}
        ),
    )


def many_rows(path: Path, size: int) -> None:
    """Write equal rows of 24 bytes."""
    rows = size // 24
    columns = {"user": repeated("u1", rows), "item": repeated("i1", rows), "time": repeated(T, rows)}
    few_bytes(path, pa.table(columns), max_rows_per_page=1 << 30)


def long_list(path: Path, size: int) -> None:
    """Write a row with a list of equal numbers."""
    numbers = pa.array(np.zeros(size // 8, np.int64))
    lists = pa.ListArray.from_arrays(pa.array([0, len(numbers)], pa.int32()), numbers)
    few_bytes(path, pa.table({"user": ["u"], "item": ["i"], "time": [T], "tags": lists}))


def many_columns(path: Path, size: int) -> None:
    few_bytes(path, pa.table({"user": [1]} | {f"c{n}": [1] for n in range(20_000)}))


OBJECT = json.dumps({"user": "u1", "item": "i1", "time": T}).encode() + b"\n"
KEYS = {"user": "u2", "item": "i2", "time": T}
OUT_OF_PROPORTION = "over 200 times as many; if the file is genuine, raise max_expansion"
NO_LOG = "is the file a log in the configured format?"
BOMBS = [
    Bomb("zeros.csv.gz", packed(HEADER, b"\0"), OUT_OF_PROPORTION),
    Bomb("zeros-alone.csv.gz", packed(b"", b"\0"), "expected a header line, got line_too_long in line 1"),
    Bomb("one-line.csv.gz", packed(HEADER + b"u,", b"x"), OUT_OF_PROPORTION),
    Bomb("blank-lines.csv.gz", packed(HEADER, b"\n"), OUT_OF_PROPORTION),
    Bomb(
        "blank-lines-alone.csv.gz", packed(b"", b"\r\n"), "expected a header line, got 1 MiB of blank lines"
    ),
    Bomb("short-lines.csv.gz", packed(HEADER, b"a\n"), NO_LOG),
    Bomb("quotes.csv.gz", packed(HEADER, b'"'), OUT_OF_PROPORTION),
    Bomb("quoted-lines.csv.gz", packed(HEADER, b'""\n'), NO_LOG, quick=False),
    Bomb("equal-rows.csv.gz", packed(HEADER, GOOD), OUT_OF_PROPORTION),
    Bomb("equal-objects.jsonl.gz", packed(b"", OBJECT), OUT_OF_PROPORTION, quick=False),
    Bomb("one-object.jsonl.gz", packed(OBJECT + b'{"user": "', b"x"), OUT_OF_PROPORTION),
    Bomb("empty-lines.jsonl.gz", packed(OBJECT, b"\n"), OUT_OF_PROPORTION, quick=False),
    Bomb(
        "long-line.csv",
        plain(HEADER + GOOD + b"u3,", b"x", b"\n" + GOOD.replace(b"u", b"v")),
        rules={"line_too_long": 1},
    ),
    Bomb(
        "long-header.csv",
        plain(b"user,", b"x", b"\n" + GOOD),
        "expected a header line, got line_too_long",
    ),
    Bomb(
        "long-object.jsonl",
        plain(OBJECT + b'{"user": "', b"x", b'"}\n'),
        rules={"line_too_long": 1},
    ),
    Bomb("long-blank.csv", plain(HEADER + GOOD, b"\n"), rules={}, quick=False),
    Bomb("open-quotes.csv", open_quotes, rules=None, quick=False),
    Bomb("opened-quotes.csv", plain(HEADER, b'a",b,"d\n'), NO_LOG),
    Bomb("million-columns.csv", names(1_000_000), "expected a header line, got line_too_long"),
    Bomb("many-columns.csv", names(100_000), "expected at most 20,000 columns, got 100,000"),
    Bomb("million-fields.csv", names(1_000_000, HEADER + GOOD), rules={"line_too_long": 1}),
    Bomb("many-fields.csv", names(100_000, HEADER + GOOD), rules={"ragged_line": 1}),
    Bomb("million-keys.jsonl", keys(1_000_000, {}), rules={"line_too_long": 1}),
    Bomb("many-keys.jsonl", keys(60_000, KEYS), rules={}),
    Bomb("deep.jsonl", deep, rules={"malformed_json": 1}),
    Bomb("long-values.parquet", long_values, OUT_OF_PROPORTION),
    Bomb("many-rows.parquet", many_rows, OUT_OF_PROPORTION),
    Bomb("long-list.parquet", long_list, OUT_OF_PROPORTION),
    Bomb("many-columns.parquet", many_columns, "expected at most 20,000 columns, got 20,001"),
]
QUICK = [bomb for bomb in BOMBS if bomb.quick]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a bomb: error message or account of rows, peak memory (bytes) and seconds."""

    message: str
    counts: dict[str, Any]
    peak: int
    seconds: float


def logs_of(folder: Path) -> Path:
    """Write a configuration into a folder; return the folder of its logs."""
    (folder / "logs").mkdir(parents=True)
    (folder / "nightshelf.toml").write_text(CONFIGURATION)
    return folder / "logs"


def ingest_folders(folders: list[Path]) -> list[Outcome]:
    """Ingest the logs of folders in a process; folders not finished in time have no outcome."""
    arguments = [sys.executable, str(WORLDS / "bombs_child.py"), *map(str, folders)]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            out, _ = child.communicate(timeout=SECONDS * 4)
        except subprocess.TimeoutExpired:
            child.kill()
            out, _ = child.communicate()
    return [Outcome(**json.loads(line)) for line in out.splitlines()]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """Ingest two good rows, and then bombs of 64 MiB one after the other."""
    root = tmp_path_factory.mktemp("bombs")
    (logs_of(root / "usual") / "clean.csv").write_bytes(HEADER + GOOD)
    for bomb in QUICK:
        bomb.write(logs_of(root / bomb.name) / bomb.name, 64 * MIB)
    names = ["usual", *(bomb.name for bomb in QUICK)]
    yield dict(zip(names, ingest_folders([root / name for name in names]), strict=False))
    shutil.rmtree(root)


def require_bounded(bomb: Bomb, outcome: Outcome, usual: int, folder: Path) -> None:
    """Require that a bomb was rejected or ingested, within memory and time."""
    result = outcome.message or outcome.counts
    print(f"{bomb.name}: {outcome.peak / MIB:.0f} MiB, {outcome.seconds:.1f} s; {result}")
    assert outcome.seconds < SECONDS
    assert outcome.peak < usual + BUDGET
    if bomb.message:
        assert outcome.message.startswith(f"{folder}/logs/{bomb.name}: ")
        assert bomb.message in outcome.message
        assert "\n" not in outcome.message
        assert not list((folder / "nightshelf-store").rglob("*.parquet"))
        return
    counts = outcome.counts
    assert outcome.message == ""
    assert counts["read"] == sum(counts[name] for name in OUTCOMES) > 0
    if bomb.rules is not None:
        assert counts["rules"] == bomb.rules


@pytest.mark.parametrize("bomb", QUICK, ids=lambda bomb: bomb.name)
def test_a_bomb_is_rejected_or_ingested_within_limits(outcomes: dict[str, Outcome], bomb: Bomb) -> None:
    assert bomb.name in outcomes, "it did not end in time"
    messages = filter(None, (outcome.message for outcome in outcomes.values()))
    (folder,) = {Path(message.partition("/logs/")[0]).parent for message in messages}
    require_bounded(bomb, outcomes[bomb.name], outcomes["usual"].peak, folder / bomb.name)


@pytest.mark.torture
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.name)
def test_a_bomb_of_1_gib_is_rejected_or_ingested_within_limits(bomb: Bomb, tmp_path: Path) -> None:
    (logs_of(tmp_path / "usual") / "clean.csv").write_bytes(HEADER + GOOD)
    path = logs_of(tmp_path / "bomb") / bomb.name
    bomb.write(path, 1024 * MIB)
    print(f"{path.stat().st_size:,} bytes")
    usual, *outcomes = ingest_folders([tmp_path / "usual", tmp_path / "bomb"])
    shutil.rmtree(tmp_path / "bomb" / "logs")
    assert outcomes, "it did not end in time"
    require_bounded(bomb, outcomes[0], usual.peak, tmp_path / "bomb")


def test_the_command_rejects_a_bomb_with_a_message(tmp_path: Path) -> None:
    bomb = next(bomb for bomb in BOMBS if bomb.name == "long-values.parquet")
    bomb.write(logs_of(tmp_path) / bomb.name, 64 * MIB)
    command = [*MAIN, "ingest", "--config", str(tmp_path / "nightshelf.toml"), "--as-of", "2026-03-02"]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    options: dict[str, Any] = {"env": environment, "capture_output": True, "text": True}
    finished = subprocess.run(command, timeout=SECONDS, check=False, **options)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.count("error: ") == 1
    assert bomb.message in finished.stderr
    assert "Traceback" not in finished.stderr

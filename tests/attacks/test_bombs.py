"""Bombs: small files that make themselves large, taken in by a process whose memory and time are measured."""

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
SECONDS = 120.0  # for each, of which some seconds are work, on a machine that does other work too
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
Write = Callable[[Path, int], None]


@dataclass(frozen=True)
class Bomb:
    """A file of `size` bytes once it is unfolded; `said` is in the refusal, or else `rules` were counted.

    Those that take seconds of work at 64 MiB are not `quick`, and left to `make torture`.
    """

    name: str
    write: Write
    said: str = ""
    rules: dict[str, int] | None = None
    quick: bool = True


def packed(head: bytes, piece: bytes) -> Write:
    """Return what writes a gz of a head and one piece again and again."""

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
    """Write lines of which every third opens a quote; each is quarantined, which takes its time."""
    plain(HEADER, b'a",b,"d\n' + GOOD)(path, size // 16)


def content(data: bytes) -> Write:
    return lambda path, size: path.write_bytes(data) and None  # type: ignore[func-returns-value]


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
    """Write rows of which each has the same value of 1 MB."""
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
    """Write one row with a list of equal numbers."""
    numbers = pa.array(np.zeros(size // 8, np.int64))
    lists = pa.ListArray.from_arrays(pa.array([0, len(numbers)], pa.int32()), numbers)
    few_bytes(path, pa.table({"user": ["u"], "item": ["i"], "time": [T], "tags": lists}))


def many_columns(path: Path, size: int) -> None:
    few_bytes(path, pa.table({f"c{n}": [1] for n in range(20_000)}))


def names(count: int) -> bytes:
    return ",".join(f"c{n}" for n in range(count)).encode()


OBJECT = json.dumps({"user": "u1", "item": "i1", "time": T}).encode() + b"\n"
KEYS = {"user": "u2", "item": "i2", "time": T}
OUT_OF_PROPORTION = "over 200 times as many; if that is no bomb, raise max_expansion"
NO_LOG = "is it a log in the configured format?"
BOMBS = [
    Bomb("zeros.csv.gz", packed(HEADER, b"\0"), OUT_OF_PROPORTION),
    Bomb("zeros-alone.csv.gz", packed(b"", b"\0"), "expected a header line, got line_too_long in line 1"),
    Bomb("one-line.csv.gz", packed(HEADER + b"u,", b"x"), OUT_OF_PROPORTION),
    Bomb("blank-lines.csv.gz", packed(HEADER, b"\n"), OUT_OF_PROPORTION),
    Bomb("blank-lines-alone.csv.gz", packed(b"", b"\r\n"), "expected a header line, got blank lines"),
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
    Bomb(
        "million-columns.csv", content(names(1_000_000) + b"\n"), "expected a header line, got line_too_long"
    ),
    Bomb("many-columns.csv", content(names(100_000) + b"\n"), "expected at most 1,000 columns, got 100,000"),
    Bomb("million-fields.csv", content(HEADER + GOOD + names(1_000_000) + b"\n"), rules={"line_too_long": 1}),
    Bomb("many-fields.csv", content(HEADER + GOOD + names(100_000) + b"\n"), rules={"ragged_line": 1}),
    Bomb(
        "million-keys.jsonl",
        content(OBJECT + json.dumps(dict.fromkeys(map(str, range(1_000_000)), 1)).encode()),
        rules={"line_too_long": 1},
    ),
    Bomb(
        "many-keys.jsonl",
        content(OBJECT + json.dumps(KEYS | dict.fromkeys(map(str, range(60_000)), 1)).encode()),
        rules={},
    ),
    Bomb(
        "deep.jsonl",
        content(OBJECT + b'{"user":' * 100_000 + b"1" + b"}" * 100_000),
        rules={"malformed_json": 1},
    ),
    Bomb("long-values.parquet", long_values, OUT_OF_PROPORTION),
    Bomb("many-rows.parquet", many_rows, OUT_OF_PROPORTION),
    Bomb("long-list.parquet", long_list, OUT_OF_PROPORTION),
    Bomb("many-columns.parquet", many_columns, "expected at most 1,000 columns, got 20,000"),
]
QUICK = [bomb for bomb in BOMBS if bomb.quick]


@dataclass(frozen=True)
class Taken:
    """What came of a bomb: the message of its refusal or its accounting, peak memory (bytes) and seconds."""

    said: str
    counts: dict[str, Any]
    peak: int
    seconds: float


def logs_of(folder: Path) -> Path:
    """Make a folder with a configuration; return that of its logs."""
    (folder / "logs").mkdir(parents=True)
    (folder / "nightshelf.toml").write_text(CONFIGURATION)
    return folder / "logs"


def take_in(folders: list[Path]) -> list[Taken]:
    """Take in the logs of folders in one process; what is not done in time is not among the answers."""
    words = [sys.executable, str(WORLDS / "bombs_child.py"), *map(str, folders)]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            out, _ = child.communicate(timeout=SECONDS * 4)
        except subprocess.TimeoutExpired:
            child.kill()
            out, _ = child.communicate()
    return [Taken(**json.loads(line)) for line in out.splitlines()]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Taken]]:
    """Take in two good rows, and then bombs of 64 MiB one after the other."""
    root = tmp_path_factory.mktemp("bombs")
    (logs_of(root / "usual") / "clean.csv").write_bytes(HEADER + GOOD)
    for bomb in QUICK:
        bomb.write(logs_of(root / bomb.name) / bomb.name, 64 * MIB)
    names = ["usual", *(bomb.name for bomb in QUICK)]
    yield dict(zip(names, take_in([root / name for name in names]), strict=False))
    shutil.rmtree(root)


def require_bounded(bomb: Bomb, done: Taken, usual: int, folder: Path) -> None:
    """Require that a bomb was refused or taken in, within memory and time."""
    print(f"{bomb.name}: {done.peak / MIB:.0f} MiB, {done.seconds:.1f} s; {done.said or done.counts}")
    assert done.seconds < SECONDS
    assert done.peak < usual + BUDGET
    if bomb.said:
        assert done.said.startswith(f"{folder}/logs/{bomb.name}: ")
        assert bomb.said in done.said
        assert "\n" not in done.said
        assert not list((folder / "nightshelf-store").rglob("*.parquet"))
        return
    counts = done.counts
    assert done.said == ""
    assert counts["read"] == sum(counts[name] for name in OUTCOMES) > 0
    if bomb.rules is not None:
        assert counts["rules"] == bomb.rules


@pytest.mark.parametrize("bomb", QUICK, ids=lambda bomb: bomb.name)
def test_a_bomb_is_refused_or_taken_in_within_memory_and_time(taken: dict[str, Taken], bomb: Bomb) -> None:
    assert bomb.name in taken, "it did not end in time"
    (folder,) = {Path(done.said.partition("/logs/")[0]).parent for done in taken.values() if done.said}
    require_bounded(bomb, taken[bomb.name], taken["usual"].peak, folder / bomb.name)


@pytest.mark.torture
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.name)
def test_a_bomb_of_1_gib_is_refused_or_taken_in_within_memory_and_time(bomb: Bomb, tmp_path: Path) -> None:
    (logs_of(tmp_path / "usual") / "clean.csv").write_bytes(HEADER + GOOD)
    bomb.write(logs_of(tmp_path / "bomb") / bomb.name, 1024 * MIB)
    size = (tmp_path / "bomb" / "logs" / bomb.name).stat().st_size
    usual, *done = take_in([tmp_path / "usual", tmp_path / "bomb"])
    shutil.rmtree(tmp_path / "bomb" / "logs")
    assert done, "it did not end in time"
    print(f"{size:,} bytes")
    require_bounded(bomb, done[0], usual.peak, tmp_path / "bomb")


def test_the_command_says_that_it_refuses_a_bomb(tmp_path: Path) -> None:
    bomb = next(bomb for bomb in BOMBS if bomb.name == "long-values.parquet")
    bomb.write(logs_of(tmp_path) / bomb.name, 64 * MIB)
    words = [*MAIN, "ingest", "--config", str(tmp_path / "nightshelf.toml"), "--as-of", "2026-03-02"]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("error: ") == 1
    assert bomb.said in done.stderr
    assert "Traceback" not in done.stderr

"""Seeded demo logs of any size: a file per day, the catalogues, and an exact count of the dirt.

A day's file depends only on the seed, the world (start, users, items, events per day) and the day.
Further nights leave earlier files byte-identical, and days can be written in parallel.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
import pyarrow.parquet as pq

from tasks.demo.catalogue import Texts, build_texts, write_catalogues
from tasks.demo.dirt import CODES, FLAWS, dirty_rows
from tasks.demo.events import Rows
from tasks.demo.render import COLUMNS, SCHEMA, columns, csv_lines, json_lines, table
from tasks.demo.world import World, build_world
from tasks.runtime.errors import ConfigurationError

DemoFormat = Literal["csv", "csv.gz", "jsonl", "parquet"]
Write = Callable[[Rows], None]


@dataclass(frozen=True)
class DemoDay:
    """A written file, its records without the header, and their number for each flaw of FLAWS."""

    path: Path
    rows: int
    planted: dict[str, int]


@dataclass(frozen=True)
class DemoSummary:
    """The result of `write_demo_logs`."""

    days: tuple[DemoDay, ...]
    users: Path
    items: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The log files, by day."""
        return tuple(day.path for day in self.days)

    @property
    def rows(self) -> int:
        """Records in all files, without headers."""
        return sum(day.rows for day in self.days)

    @property
    def planted(self) -> dict[str, int]:
        """Records by flaw; `clean` counts the rest, so the values add up to `rows`."""
        return {name: sum(day.planted[name] for day in self.days) for name in FLAWS}


def write_demo_logs(
    folder: Path,
    *,
    start: date,
    days: int,
    users: int,
    items: int,
    events_per_day: int,
    seed: int = 7,
    dirty_share: float = 0.01,
    format: DemoFormat = "csv",  # noqa: A002
    progress: Callable[[int, int], None] | None = None,
) -> DemoSummary:
    """Write `days` log files from `start` on, and users.csv and items.csv of the last day.

    `users` and `items` count the whole world: 85 % exist at the start, and the rest arrive in the
    120 days after it. `events_per_day` is a mean. About `dirty_share` of each day's rows have a
    flaw, including valid ones such as late rows. `progress` is called with the days done and the
    total. Files are replaced atomically.

    Raises
    ------
    ConfigurationError
        A size is too small, the share is not in [0, 0.5], or the format is unknown.
    """
    if days < 1:
        raise ConfigurationError(f"expected days of at least 1, got {days}")
    world = build_world(start=start, users=users, items=items, events_per_day=events_per_day, seed=seed)
    texts = build_texts(world)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for day in range(days):
        written.append(write_demo_day(folder, world, texts, day, dirty_share=dirty_share, format=format))
        if progress is not None:
            progress(day + 1, days)
    return DemoSummary(tuple(written), *write_catalogues(world, texts, folder, days - 1))


def write_demo_day(
    folder: Path,
    world: World,
    texts: Texts,
    day: int,
    *,
    dirty_share: float,
    format: DemoFormat,  # noqa: A002
) -> DemoDay:
    """Write the log of a day, counted from the world's start; errors as in `write_demo_logs`."""
    if not 0 <= dirty_share <= 0.5:
        raise ConfigurationError(f"expected dirty_share in [0, 0.5], got {dirty_share}")
    if format not in get_args(DemoFormat):
        raise ConfigurationError(f"unknown format {format!r}; known: {', '.join(get_args(DemoFormat))}")
    path = folder / f"events-{world.start + timedelta(days=day)}.{format}"
    part = path.with_name(path.name + ".part")
    shelf, before = world.shelf(day), world.shelf(day - 1) if day else None
    counts = np.zeros(len(FLAWS), dtype=np.int64)
    with _sink(part, world, texts, day, format) as write:
        for chunk in range(world.chunks):
            rows = dirty_rows(world, shelf, before, chunk=chunk, share=dirty_share)
            if format == "parquet":
                rows = rows[rows["flaw"] != CODES["ragged"]]
            if len(rows):
                write(rows)
            counts += np.bincount(rows["flaw"], minlength=len(FLAWS))
    part.replace(path)
    return DemoDay(path, int(counts.sum()), dict(zip(FLAWS, counts.tolist(), strict=True)))


@contextmanager
def _sink(part: Path, world: World, texts: Texts, day: int, form: DemoFormat) -> Iterator[Write]:
    """Open a file of a format; yield a function that writes rows to it."""
    if form == "parquet":
        queries = texts.encoded_queries("plain")
        with pq.ParquetWriter(part, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
            yield lambda rows: writer.write_table(table(columns(world, texts, day, rows), rows, queries))
        return
    lines = json_lines if form == "jsonl" else csv_lines
    queries = texts.encoded_queries("json" if form == "jsonl" else "csv")
    with part.open("wb") as raw, _compressed(raw, form) as file:
        if form != "jsonl":
            file.write((",".join(COLUMNS) + "\n").encode())
        yield lambda rows: _write_lines(file, lines(columns(world, texts, day, rows), rows, queries))


@contextmanager
def _compressed(raw: IO[bytes], form: DemoFormat) -> Iterator[Any]:
    if form != "csv.gz":
        yield raw
        return
    with gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=raw, mtime=0) as file:
        yield file


def _write_lines(file: IO[bytes], lines: Any) -> None:
    offsets = np.frombuffer(lines.buffers()[1], dtype=np.int32)[lines.offset :]
    file.write(memoryview(lines.buffers()[2])[int(offsets[0]) : int(offsets[len(lines)])])

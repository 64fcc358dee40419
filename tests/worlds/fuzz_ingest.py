"""A program that fuzzes the landing and the ingest of a format for some seconds.

A crash of a library or a hang ends the process and leaves the file that caused it in the folder.
"""

from __future__ import annotations

import faulthandler
import gzip
import io
import json
import shutil
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sql.engines.duckdb_engine import DuckDBEngine
from sql.errors import SourceError
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted, is_ascii_based
from sql.landing.objects.json_rows import is_array
from sql.landing.row_writer import LandedFile
from sql.reading import Reading
from tasks.configuration.configuration import Configuration
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import InputError
from tasks.store.layout import Store
from worlds.fuzz_files import FILES, MAPPED

PATIENCE = 60.0  # seconds for an example, with room for other work on the machine
SOURCE = {"columns": {"user": "user", "item": "item", "timestamp": "time"}, "attributes": {"more": "more"}}
ROWS = 100  # examples between two checks of the time


class Fuzzer:
    """Lands files and ingests some of them; counts the outcomes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, Counter[str]()
        self.engine = DuckDBEngine(folder / "engine", 2**28, 1)
        (folder / "landed").mkdir()

    def check(self, name: str, data: bytes, reading: dict[str, Any], whole: bool) -> None:
        """Land a file, or ingest it if `whole`; errors other than our own are raised."""
        path = self.folder / name
        path.write_bytes(data)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        self.count["examples"] += 1
        if whole:
            self._ingest(path, reading)
        else:
            self._land(path, data, reading)
        faulthandler.cancel_dump_traceback_later()
        path.unlink()

    def _land(self, path: Path, data: bytes, reading: dict[str, Any]) -> None:
        try:
            landed = land_file(
                RawFile(1, path, path.name), Reading(**reading), Wanted(tuple(MAPPED)), self.folder / "landed"
            )
        except SourceError as error:
            require_one_line(path, str(error))
            self.count["refused"] += 1
            return
        self.count["landed"] += 1
        require_every_line(landed, path, data, reading)

    def _ingest(self, path: Path, reading: dict[str, Any]) -> None:
        store = Store(self.folder / "store").create()
        source = {**SOURCE, **reading, "path": str(path)}
        configuration = Configuration.model_validate({"source": source, "store": {"path": store.root}})
        try:
            ingested = ingest(configuration, store, self.engine, date(2026, 3, 2))
        except InputError as error:
            require_one_line(path, str(error))
            self.count["refused"] += 1
        else:
            self.count["ingested"] += 1
            assert ingested.counts.residual() == 0
            stored = sum(pq.read_metadata(part).num_rows for part in Ledger.read(store).parts())
            kept = sum(pq.read_metadata(part).num_rows for part in store.quarantine.rglob("*.parquet"))
            assert (stored, kept) == (ingested.counts.accepted, ingested.counts.quarantined)
        shutil.rmtree(store.root)


def require_one_line(path: Path, message: str) -> None:
    """Require that an error message names the file and is a single line."""
    assert path.name in message
    assert len(message.splitlines()) == 1, message


def require_every_line(landed: LandedFile, path: Path, data: bytes, reading: dict[str, Any]) -> None:
    """Require that every line is in a row, a reject, the header or blank; in Parquet, every row."""
    rows = [] if landed.path is None else pq.read_table(landed.path).to_pylist()
    rejects = [] if landed.rejects is None else pq.read_table(landed.rejects).to_pylist()
    assert len(rows) == landed.rows
    assert Counter(row["rule"] for row in rejects) == landed.rejected
    numbers = [row["line"] for row in rows] + [row["line"] for row in rejects]
    if ".json" in path.name and is_array(RawFile(1, path, path.name), Reading(**reading)):
        return  # a line can hold several records
    assert len(set(numbers)) == len(numbers), "a line has two outcomes"
    if path.suffix == ".xlsx":
        return
    if path.suffix == ".parquet":
        assert sorted(numbers) == list(range(1, pq.read_metadata(io.BytesIO(data)).num_rows + 1))
        return
    if path.suffix in {".arrow", ".avro", ".orc"}:
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        return
    plain = gzip.decompress(data) if path.suffix == ".gz" else data
    encoding = reading.get("encoding", "utf-8")
    if not is_ascii_based(encoding):
        plain = plain.decode(encoding).encode()
    accounted = set(numbers)
    if ".csv" in path.name:
        for row in rows:
            texts = [text for name, text in row.items() if name.startswith("c") and text]
            accounted.update(range(row["line"], row["line"] + 1 + sum(text.count("\n") for text in texts)))
    missing = [
        line
        for number, line in enumerate(plain.split(b"\n"), 1)
        if number not in accounted
        and line.removeprefix(b"\xef\xbb\xbf").strip(b"\r" if ".csv" in path.name else b" \t\r")
    ]
    if ".csv" in path.name:
        missing = missing[1:]  # the header
    assert missing == [], "lines without an outcome"


def main(form: str, seconds: float, folder: Path, start: int) -> None:
    """Fuzz a format until the time is up; print the number of files by outcome."""
    fuzzer, until, turn = Fuzzer(folder), time.monotonic() + seconds, start

    @settings(
        max_examples=ROWS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(FILES[form], st.integers(0, 9).map(lambda number: number == 7))
    def fuzz(file: tuple[str, bytes, dict[str, Any]], whole: bool) -> None:
        fuzzer.check(*file, whole)

    while time.monotonic() < until:
        seed(turn)(fuzz)()
        turn += 1
    print(json.dumps(fuzzer.count))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))

"""Arrow IPC: every way of writing gives the same rows, and damage ends in a message, never in a crash."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather, ipc

from sql.errors import SourceError
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted
from sql.reading import Reading

WANTED = Wanted(("user", "item"), ids=frozenset(["user", "item"]))
TABLE = pa.table(
    {
        "user": pa.array(["ann", None, "漢", "ann"]).dictionary_encode(),
        "item": pa.array([1, 2, 2**60, -4]),
        "large": pa.array(["a", "", None, "b"], pa.large_string()),
        "view": pa.array(["a", None, "a longer text than twelve bytes", "b"], pa.string_view()),
        "lists": [[1], [], None, [2, 3]],
        "inner": [{"a": 1}, None, {"a": None}, {"a": 4}],
        "time": pa.array([0, 1, None, 3], pa.timestamp("ms", "Europe/Berlin")),
        "day": pa.array([0, 1, None, 3], pa.date32()),
        "none": pa.nulls(4),
        "number": [0.5, 2.0, None, float("nan")],
    }
)


def write(path: Path, how: str, table: Any) -> Path:
    if how == "stream":
        with ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    else:
        feather.write_feather(table, path, compression=how, chunksize=3)
    return path


def landed(path: Path, wanted: Wanted = WANTED) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    folder = path.parent / f"landed-{path.name}"
    folder.mkdir()
    file = land_file(RawFile(1, path, path.name), Reading(), wanted, folder)
    return file.columns, pq.read_table(file.path).to_pylist()


@pytest.mark.parametrize("how", ["uncompressed", "lz4", "zstd", "stream"])
def test_a_table_has_the_rows_that_it_has_as_parquet(how: str, tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet")
    assert landed(write(tmp_path / "a.arrow", how, TABLE)) == landed(tmp_path / "a.parquet")


def test_a_large_record_batch_is_read_in_slices(tmp_path: Path) -> None:
    rows = 300_000  # more than a slice
    table = pa.table({"user": np.arange(rows), "item": np.arange(rows)})
    feather.write_feather(table, tmp_path / "a.arrow", compression="uncompressed", chunksize=rows)
    _, found = landed(tmp_path / "a.arrow")
    assert [row["line"] for row in found] == list(range(1, rows + 1))
    assert [found[0]["c0"], found[-1]["c1"]] == ["0", str(rows - 1)]


def test_files_of_other_programs_need_no_mark_at_the_end_of_a_stream(tmp_path: Path) -> None:
    write(tmp_path / "a.arrow", "stream", TABLE)
    content = (tmp_path / "a.arrow").read_bytes()
    assert content.endswith(b"\xff\xff\xff\xff\0\0\0\0")
    (tmp_path / "b.arrow").write_bytes(content[:-8])
    assert landed(tmp_path / "b.arrow") == landed(tmp_path / "a.arrow")


def test_compressed_text_of_a_columnar_file_is_not_unpacked(tmp_path: Path) -> None:
    out = io.BytesIO()
    feather.write_feather(TABLE, out)
    (tmp_path / "a.arrow.gz").write_bytes(out.getvalue())
    with pytest.raises(SourceError, match=r"expected \.csv"):
        landed(tmp_path / "a.arrow.gz")

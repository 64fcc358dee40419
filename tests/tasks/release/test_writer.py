"""Writing tables: the same rows give the same bytes, and rows that do not fit leave no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.release_world import World

from tasks.release.tables import TABLES, IdTypes
from tasks.release.writer import TableWriter
from tasks.runtime.errors import UserError


@pytest.mark.parametrize("text", [False, True])
def test_the_same_rows_give_the_same_bytes_however_they_are_cut(tmp_path: Path, text: bool) -> None:
    world = World(tmp_path, text=text)
    for folder, block in (("a", 1), ("b", 1000)):
        world.write(tmp_path / folder, block)
    for name in TABLES:
        one, other = (tmp_path / folder / f"{name}.parquet" for folder in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_row_groups_do_not_depend_on_the_blocks_and_pages_have_checksums(tmp_path: Path) -> None:
    rows = 250_000
    table = pa.table(
        {
            "item_id": pa.array(range(rows)),
            "rank": pa.array([1] * rows, pa.int32()),
            "similar_item_id": pa.array(range(1, rows + 1)),
            "score": pa.array([0.5] * rows, pa.float32()),
            "source": pa.array(["als"] * rows).dictionary_encode(),
        }
    )
    for folder, block in (("a", 70_000), ("b", rows)):
        with TableWriter(tmp_path / folder, "similar_items", IdTypes()) as writer:
            for start in range(0, rows, block):
                writer.write(table.slice(start, block))
    one, other = (tmp_path / folder / "similar_items.parquet" for folder in "ab")
    assert one.read_bytes() == other.read_bytes()
    metadata = pq.read_metadata(one)
    assert [metadata.row_group(i).num_rows for i in range(3)] == [100_000, 100_000, 50_000]
    content = bytearray(one.read_bytes())
    content[metadata.row_group(1).column(2).data_page_offset + 200] ^= 1
    one.write_bytes(content)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(one, page_checksum_verification=True)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rank": [1]}, "expected columns item_id, rank"),
        ({"item_id": [None]}, "expected no null in similar_items.item_id"),
        ({"item_id": ["x"]}, "rows do not fit the table similar_items"),
        ({"rank": [2**40]}, "rows do not fit the table similar_items"),
    ],
)
def test_rows_that_do_not_fit_leave_no_file(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    good = {"item_id": [1], "rank": [1], "similar_item_id": [2], "score": [0.5], "source": ["als"]}
    block = columns if "expected columns" in message else good | columns

    def write() -> None:
        with TableWriter(tmp_path, "similar_items", IdTypes()) as writer:
            writer.write(good)
            writer.write(block)

    with pytest.raises(UserError, match=message):
        write()
    assert list(tmp_path.iterdir()) == []

"""All hostile files, and those that Spark ingests in each run of the tests."""

from __future__ import annotations

from worlds.hostile_files.formats import FORMATS
from worlds.hostile_files.json_lines import JSON_LINES
from worlds.hostile_files.lines import LINES
from worlds.hostile_files.parquet import PARQUET
from worlds.hostile_files.rows import ROWS
from worlds.hostile_files.times import TIMES

CASES = [*LINES, *ROWS, *TIMES, *JSON_LINES, *PARQUET, *FORMATS]

QUICK = {"bom.csv", "nul.csv", "nl.csv", "order.csv", "zeros.csv", "emoji.csv", "range.csv", "offset.csv"}
QUICK |= {
    "nested.jsonl",
    "ints.parquet",
    "utf8.parquet",
    "bit.csv.gz",
    "bit.parquet",
    "rows.avro",
    "book.xlsx",
}
"""Files of the cases that Spark ingests whenever tests run: each takes it a second."""

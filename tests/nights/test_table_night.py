"""Nights on a Delta table that replaces its files: this is told, and is no warning."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.night_world import FIRST, QUICK, SECOND, Night, shop, write_logs

from flows.night.run import run_night
from flows.output.run import print_run
from tasks.report.markdown import night_page


def events(night: Night, day: date) -> pa.Table:
    """Return the whole lines of a day's log, all as texts."""
    (path,) = night.logs.glob(f"events-{day}.csv")
    header, *lines = csv.reader(path.read_text(encoding="utf-8").splitlines())
    whole = [line for line in lines if len(line) == len(header)]
    return pa.table(dict(zip(header, zip(*whole, strict=True), strict=True)))


def test_replaced_files_are_told_and_are_no_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night, table = shop(tmp_path / "shop", write_logs(tmp_path / "logs")), tmp_path / "table"
    text = night.config.read_text(encoding="utf-8").replace('file_date = "%Y-%m-%d"\n', "")
    night.config.write_text(text.replace(f"{night.logs}/events-*.csv", str(table)), encoding="utf-8")
    write_deltalake(table, events(night, FIRST))
    before = run_night(night.configured(**QUICK), FIRST).station("interactions").facts["arrived"]
    (replaced,) = table.glob("*.parquet")
    both = pa.concat_tables([events(night, FIRST), events(night, SECOND)])
    write_deltalake(table, both, mode="overwrite")
    # most rows that arrive are those of the first night: the gate would ask about them
    record = run_night(night.configured(**QUICK, gate__max_duplicate_share=0.9), SECOND)
    arrived = record.station("interactions").facts["arrived"]
    assert arrived["duplicates"] >= before["accepted"] > 0
    assert arrived["accepted"] > 0
    assert not [warning for warning in record.warnings if "not read" in warning]
    told = f"1 no longer part of the Delta table ({replaced})"
    print_run(record)
    assert f"Not read: {told}" in capsys.readouterr().out
    (line,) = (
        line for line in night_page(night.store, record).splitlines() if line.startswith("| not read |")
    )
    assert replaced.name in line

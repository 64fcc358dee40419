"""Folders that tell a date or a column, as Hive and Spark partition files."""

from __future__ import annotations

from datetime import date

import pytest
from worlds.log_world import Logs

from tasks.interactions.ledger import Ledger
from tasks.interactions.source_files import day_in, partitions
from tasks.runtime.errors import InputError


def test_folders_with_an_equals_sign_tell_columns() -> None:
    told = partitions(
        "s3://bucket/t/day=2026-01-05/country=C%C3%B4te%20d%27Ivoire/x=__HIVE_DEFAULT_PARTITION__/a=b.csv"
    )
    assert told == {"day": "2026-01-05", "country": "Côte d'Ivoire", "x": None}
    assert partitions("/logs/=1/ =2/plain/a.csv") == {}


@pytest.mark.parametrize(
    ("name", "pattern", "day"),
    [
        ("t/day=2026-01-05/part-0.csv", "%Y-%m-%d", date(2026, 1, 5)),
        ("t/day=2026-01-05/2026-01-06.csv", "%Y-%m-%d", date(2026, 1, 6)),
        ("t/2026/01/05/part-0.csv", "%Y/%m/%d", date(2026, 1, 5)),
        ("t/year=2026/month=1/part-0.csv", "year=%Y/month=%m", date(2026, 1, 1)),
    ],
)
def test_the_date_of_a_file_can_be_in_its_folders(name: str, pattern: str, day: date) -> None:
    assert day_in(name, pattern) == day


def test_a_date_in_a_folder_of_another_kind_is_not_taken() -> None:
    with pytest.raises(InputError, match=r"part-0.csv: expected a date like %Y-%m-%d"):
        day_in("backup-2026-01-05/part-0.csv", "%Y-%m-%d")


def test_equal_files_in_two_folders_are_two_files(tmp_path, duckdb_engine) -> None:
    logs = Logs(tmp_path, duckdb_engine)
    for kind in ("view", "buy"):
        (logs.folder / f"kind={kind}").mkdir()
        logs.write(f"kind={kind}/a.csv", "u,i,2026-01-05")
    columns = {"user": "user", "item": "item", "timestamp": "time", "event_type": "kind"}
    for _ in range(2):
        logs.ingest(columns=columns)
    assert sorted(logs.rows("user_id, event_type")) == [("u", "buy"), ("u", "view")]
    assert len(Ledger.read(logs.store).files()) == 2

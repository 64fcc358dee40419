"""The checks of the logs: each of several sources, and files that two of them claim."""

from __future__ import annotations

from pathlib import Path

from tasks.configuration.configuration import load
from tasks.monitoring import readiness

SOURCES = """
[[source]]
name = "clicks"
path = "logs/*.csv"
file_date = "%Y-%m-%d"
columns = { user = "u", item = "i", timestamp = "t" }
[[source]]
name = "orders"
path = "logs/*2.csv"
columns = { user = "u", item = "i", timestamp = "x" }
"""


def test_each_source_is_checked_and_a_file_of_two_is_a_problem(tmp_path: Path) -> None:
    config = tmp_path / "nightshelf.toml"
    config.write_text(SOURCES, encoding="utf-8")
    (tmp_path / "logs").mkdir()
    for day in (1, 2, 3):
        (tmp_path / "logs" / f"2026-01-0{day}.csv").write_text("u,i,t\n")
    found = [(check.name, check.found) for check in readiness.source_checks(load(config))]
    assert found == [
        ("logs of clicks", "3 files, 18 B, 2026-01-01 to 2026-01-03"),
        ("logs of orders", "1 file, 6 B"),
    ]
    overlap, clicks, orders = readiness.rows_checks(load(config))
    assert (overlap.name, overlap.state) == ("logs", "problem")
    assert (
        "2026-01-02.csv: expected a file of one source, got one under the paths of clicks and"
        in overlap.found
    )
    assert (clicks.name, clicks.state) == ("rows of clicks", "ok")
    assert (orders.name, orders.state) == ("rows of orders", "problem")
    assert orders.advice.startswith("correct [source.orders]")

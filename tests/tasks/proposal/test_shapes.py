"""Files by the shape of their names, and the globs for them."""

from __future__ import annotations

import pytest

from tasks.proposal.shapes import date_pattern, shapes_of
from tasks.sources.source_files import SourceFile

UUID = "6f1c2e5e-7d3a-4c7b-9a56-0123456789a"


def files(*names: str) -> list[SourceFile]:
    return [SourceFile(f"/logs/{name}", 1, "", None, local=True) for name in names]


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["a-2026-11-01.csv", "a-2026-11-02.csv", "b.csv"], ["/logs/a-*.csv", "/logs/b.csv"]),
        (["events.1.csv.gz", "events.2.csv.gz"], ["/logs/events.*.csv.gz"]),
        (["2026/11/30/x.json", "2026/11/29/x.json"], ["/logs/*/*/*/x.json"]),
        (["d=1/part-0.parquet", "d=2/part-1.parquet"], ["/logs/d=*/part-*.parquet"]),
        (
            [f"part-{number}-{UUID}{number}.csv" for number in (1, 2)],
            ["/logs/part-*.csv"],
        ),
        (["events-2026-11-30.csv"], ["/logs/events-*.csv"]),
        (["[old] 1.csv", "[old] 2.csv"], ["/logs/[[]old] *.csv"]),
        (["movielens1m.csv"], ["/logs/movielens1m.csv"]),
    ],
)  # fmt: skip
def test_names_that_differ_in_figures_have_one_glob(names: list[str], patterns: list[str]) -> None:
    assert sorted(shape.pattern for shape in shapes_of(files(*names))) == sorted(patterns)


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["a-2026-11-01.csv"], "%Y-%m-%d"),
        (["a_20261101.csv", "a_20261102.csv"], "%Y%m%d"),
        (["2026/11/01/a.csv"], "%Y/%m/%d"),
        (["01-11-2026.csv", "30-11-2026.csv"], "%d-%m-%Y"),
        (["a-2026-11-01.csv", "b.csv"], None),
        (["a-12345678.csv"], None),
    ],
)
def test_the_date_of_all_names_is_recognised(names: list[str], pattern: str | None) -> None:
    assert date_pattern(files(*names)) == pattern

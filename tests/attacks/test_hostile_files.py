"""Hostile input files: each has its documented outcome and loses no row, on both engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from worlds.hostile_files.case import COLUMNS, HOURS, SOURCES, Case, in_london
from worlds.hostile_files.cases import CASES, QUICK
from worlds.log_world import Logs
from worlds.paths import ROOT

from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import InputError

TAKEN = [case for case in CASES if not case.refused]
REFUSED = [case for case in CASES if case.refused]
PAGE = ROOT / "docs" / "input.md"


@pytest.fixture(scope="module")
def ingested(
    engine_of: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Logs]:
    """Return a function that ingests all files of a kind of source, once for each engine."""

    @cache
    def ingest_all(engine: str, source: str, quick: bool = False) -> Logs:
        folder = tmp_path_factory.mktemp(f"{engine}-{source}")
        logs = Logs(folder, engine_of(engine), **{"columns": COLUMNS, **SOURCES[source]})
        for case in TAKEN:
            if case.source == source and (case.file in QUICK or not quick):
                case.write(logs.folder)
        logs.ingest()
        return logs

    return ingest_all


def on_both(cases: list[Case]) -> list[Any]:
    """Return cases for both engines; on Spark, slow cases run only in `make torture`."""
    parameters = []
    for case in cases:
        long = [] if case.file in QUICK else [pytest.mark.torture]
        parameters += [
            pytest.param("duckdb", case, id=f"duckdb-{case_name(case)}"),
            pytest.param("spark", case, id=f"spark-{case_name(case)}", marks=[pytest.mark.spark, *long]),
        ]
    return parameters


def case_name(case: Case) -> str:
    return case.name.replace(" ", "-")


@pytest.mark.parametrize(("engine", "case"), on_both(TAKEN))
def test_every_row_of_a_file_has_its_outcome(ingested: Callable[..., Logs], engine: str, case: Case) -> None:
    logs = ingested(engine, case.source, engine == "spark" and case.file in QUICK)
    (file,) = [file for file in Ledger.read(logs.store).files() if file.address.endswith(f"/{case.file}")]
    raw, counts = case.count(case.data), file.counts
    assert counts.read == raw
    assert counts.rules == dict(case.rules)
    assert (counts.quarantined, counts.excluded, counts.duplicates) == (case.quarantined, 0, case.duplicates)
    assert raw - counts.accepted - counts.excluded - counts.quarantined - counts.duplicates == 0
    stored = [row[0] for row in logs.rows("user_id, file_id") if row[1] == file.file_id]
    assert len(stored) == counts.accepted == sum(file.days.values())
    assert sorted(map(repr, case.kept or stored)) == sorted(map(repr, stored))
    rules = Counter(row[0] for row in logs.quarantine("rule, file_id") if row[1] == file.file_id)
    assert rules == counts.rules


@pytest.mark.parametrize(("engine", "case"), on_both(REFUSED))
def test_a_rejected_file_is_named_and_leaves_nothing(
    engine_of: Callable[[str], Any], engine: str, case: Case, tmp_path: Path
) -> None:
    logs = Logs(tmp_path, engine_of(engine), **{"columns": COLUMNS, **SOURCES[case.source]})
    path = case.write(logs.folder)
    with pytest.raises(InputError) as refused:
        logs.ingest(path=str(path))
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert case.refused in message
    assert "\n" not in message
    assert Ledger.read(logs.store).manifests == []
    assert not list(logs.store.root.rglob("*.parquet"))


@pytest.mark.parametrize(
    "engine", ["duckdb", pytest.param("spark", marks=[pytest.mark.spark, pytest.mark.torture])]
)
def test_a_skipped_or_repeated_hour_is_read_as_python_does(
    ingested: Callable[..., Logs], engine: str
) -> None:
    stored = dict(ingested(engine, "London").rows("user_id, timestamp"))
    assert stored == {f"h{n}": in_london(hour) for n, hour in enumerate(HOURS)}
    assert stored["h8"] == datetime(2026, 10, 25, 0, 15)  # noqa: DTZ001 - the first 01:15, in UTC


def test_the_page_about_input_lists_every_outcome() -> None:
    assert len(CASES) >= 60
    page = PAGE.read_text(encoding="utf-8")
    missing = [case.name for case in CASES if f"| {case.name} | {case.outcome} |" not in page]
    assert missing == []


def test_names_and_files_of_cases_differ() -> None:
    assert max(Counter(case.name for case in CASES).values()) == 1
    assert max(Counter((case.source, case.file) for case in CASES).values()) == 1

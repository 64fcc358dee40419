"""The summary of a run: rows add up, only equal metrics are compared, text is escaped."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.release_world import World

from tasks.report import summary
from tasks.report.markdown import LONGEST, markdown, night_page
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, Station

DAY = date(2026, 3, 2)
ARRIVED = {"read": 10, "accepted": 6, "excluded": 1, "quarantined": 2, "duplicates": 1}
ARRIVED_RULES = {"bots": 1, "ragged_line": 1, "item_null": 1}
TOTAL = {"read": 110, "accepted": 104, "excluded": 1, "quarantined": 4, "duplicates": 1}
TOTAL_RULES = {"bots": 1, "ragged_line": 1, "item_null": 3}


def station(kind: str, model: str | None = None, **facts: Any) -> Station:
    return Station(kind=kind, model=model, rows=10, seconds=1.25, peak_memory=2**20, facts=facts)


def metric(
    model: str = "als", split: str = "temporal", metric: str = "ndcg", k: int = 10, value: float = 0.5
) -> Any:
    return {"model": model, "split": split, "metric": metric, "k": k, "value": value}


def a_run(*stations: Station, **fields: Any) -> RunRecord:
    started_at = "2026-03-03T02:30:00+00:00"
    return RunRecord(run_id="r1", as_of=DAY, started_at=started_at, stations=list(stations), **fields)


def ingested() -> Station:
    arrived, total = ARRIVED | {"rules": ARRIVED_RULES}, TOTAL | {"rules": TOTAL_RULES}
    return station("interactions", arrived=arrived, total=total, exclude_rules=["bots"])


def test_the_account_lists_each_rule_under_its_outcome_and_adds_up() -> None:
    rows = summary.accounting_rows(a_run(ingested()))
    assert [(row["outcome"], row["rule"], row["this run"], row["all so far"]) for row in rows] == [
        ("read", "", 10, 110),
        ("accepted", "", 6, 104),
        ("excluded", "", 1, 1),
        ("excluded", "bots", 1, 1),
        ("quarantined", "", 2, 4),
        ("quarantined", "item_null", 1, 3),
        ("quarantined", "ragged_line", 1, 1),
        ("duplicates", "", 1, 1),
        ("unaccounted for", "", 0, 0),
    ]


@pytest.mark.parametrize(
    ("value", "before", "expected"),
    [
        (0.5, 0.4, "↑ +0.1000"),
        (0.4, 0.5, "↓ -0.1000"),
        (0.5, 0.5, "="),
        (0.50001, 0.5, "="),
        (0.50004, 0.50006, "↓ -0.0001"),  # differs as displayed
        (0.5, None, ""),
        (-0.1, 0.1, "↓ -0.2000"),
    ],
)
def test_a_change_is_that_of_the_displayed_figures(value: float, before: float | None, expected: str) -> None:
    assert summary.change(value, before) == expected


@pytest.mark.parametrize(
    "difference", [{"model": "ease"}, {"split": "users"}, {"metric": "recall"}, {"k": 20}]
)
def test_only_like_is_compared_with_like(difference: dict[str, Any]) -> None:
    record = a_run(station("measure", "als", metrics=[metric()]))
    (same,) = summary.metric_rows(record, [metric(value=0.25)])
    assert (same["before"], same["change"]) == (0.25, "↑ +0.2500")
    (unlike,) = summary.metric_rows(record, [metric(**difference)])
    assert (unlike["before"], unlike["change"]) == (None, "")


def test_the_main_metrics_have_one_row_per_model_the_best_first() -> None:
    rows = [metric(model="popularity", value=0.1), metric(value=0.3), metric(k=7, value=0.9)]
    record = a_run(station("measure", "als", metrics=rows))
    main = summary.main_metric_rows(summary.metric_rows(record, [metric(value=0.2)]))
    assert main == [
        {"model": "als", "ndcg@10": "0.3000 ↑ +0.1000"},
        {"model": "popularity", "ndcg@10": "0.1000"},
    ]
    assert summary.main_metric_rows([]) == []


def test_the_compared_release_is_the_gates_choice(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = (world.publish(day) for day in ("2026-02-27", "2026-02-28"))

    def before(**fields: Any) -> str | None:
        return summary.compared_release(world.store, a_run(**fields))

    assert before(compared_with=first.release_id) == first.release_id
    assert before(compared_with=None) is None  # the gate had nothing to compare with
    assert before() == second.release_id  # no gate: its rule
    kept = summary.kept_release(world.store, first.release_id)
    assert kept is not None
    assert kept.release_id == first.release_id
    assert summary.kept_release(world.store, "2026-02-26-r1") is None  # removed meanwhile
    assert summary.kept_release(world.store, None) is None


def test_without_a_gate_the_compared_release_is_of_an_earlier_date(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert summary.compared_release(world.store, a_run()) is None
    earlier = world.publish("2026-03-01")
    for run_id in ("r1", "r2"):  # the same date, published twice
        done = world.publish(str(DAY), run_id)
        assert summary.compared_release(world.store, a_run(release_id=done.release_id)) == earlier.release_id
    world.publish("2026-03-03")
    assert summary.compared_release(world.store, a_run()) == earlier.release_id


def test_a_run_without_any_station_has_a_page(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    record = a_run(state="failed", message="no files\nin https://user:hunter2@host/logs", warnings=["<b>"])
    page = night_page(store, record)
    assert page.startswith(f"# Night {DAY}: failed: no files\n")
    assert "hunter2" not in page
    assert "- &lt;b&gt;\n" in page
    assert "| compared with | no earlier release |" in page
    assert "## Rows" not in page
    for rows in (
        summary.accounting_rows(record),
        summary.check_rows(store, record),
        summary.station_rows(record),
    ):
        assert rows == []
    assert summary.sample_rows(store, record) == []


def test_stations_are_summed() -> None:
    *_, last = summary.station_rows(a_run(station("a"), station("b", device="cuda")))
    assert last == {"station": "all", "rows": None, "seconds": 2.5, "peak memory": "1.0 MiB", "device": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r"a\|b"),
        ("`x`\n# y", r"\`x\` # y"),
        ("# y", r"\# y"),
        ("- y", r"\- y"),
        ("1. y", r"1\. y"),
        (">= 1", "&gt;= 1"),
        ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
        ("![x](javascript:1)", r"!\[x\](javascript:1)"),
        ("http://a.b me@a.b www.a.b", r"http\://a.b me\@a.b www\.a.b"),
        ("a\u202eb\x1b[0m\u200b", r"a b \[0m"),
        ("s3://key:hunter2@bucket", r"s3\://\*\*\*\@bucket"),
        (1234567, "1,234,567"),
        (None, ""),
    ],
)
def test_a_value_is_displayed_literally(text: Any, expected: str) -> None:
    assert markdown(text) == expected


@given(st.text(max_size=400))
def test_no_text_leaves_its_cell(text: str) -> None:
    shown = markdown(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert len(shown) <= 5 * LONGEST
    bare = shown.replace("\\\\", "")
    for special in "|`*_[]":
        assert bare.count(special) == bare.count(f"\\{special}")

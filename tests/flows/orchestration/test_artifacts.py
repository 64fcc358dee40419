"""A run in the Prefect UI, read back from a real server: names, tags, artifacts, log, progress."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from worlds.backfill_world import dates_of
from worlds.night_world import ALS, FIRST, SECOND, THIRD, Night, shop, write_logs

from tasks.store.runs import RunRecord

pytestmark = pytest.mark.prefect

HOSTILE = "a|b `c` <img src=x onerror=alert(1)> **d** [e](https://evil.example) www.evil.example"
SAFE = (
    r"a\|b \`c\` &lt;img src=x onerror=alert(1)&gt; \*\*d\*\* \[e\](https\://evil.example) www\.evil.example"
)
TABLES = {"rows", "checks", "metrics", "stations", "samples", "releases"}
MOMENT = 20.0  # seconds until the server must have received the log

Shown = tuple[Night, list[uuid.UUID], list[RunRecord]]


@pytest.fixture(scope="module")
def shown(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Return a shop with hostile titles after two nights and a refused one, flow runs, records."""
    from flows.run_nightly import nightly

    folder = tmp_path_factory.mktemp("shown")
    night = shop(folder / "My Shop", write_logs(folder / "logs"), models=ALS)
    catalogue = night.logs / "items.csv"
    head, *lines = catalogue.read_text(encoding="utf-8").splitlines()
    at = head.split(",").index("title")
    fields = [line.split(",") for line in lines]
    titled = [",".join([*line[:at], HOSTILE, *line[at + 1 :]]) for line in fields]
    catalogue.write_text("\n".join([head, *titled]) + "\n", encoding="utf-8")
    runs = []
    for day, overrides in (
        (FIRST, []),
        (SECOND, []),
        (THIRD, ["gate.min_events=1000000", "report.enabled=true"]),
    ):
        state = nightly(str(night.config), str(day), overrides, return_state=True)
        assert state.is_completed() == (not overrides), state.message
        runs.append(state.state_details.flow_run_id)
    return night, runs, night.records()


def query_server(request: Callable[[Any], Any]) -> Any:
    """Send a request to the server."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return request(client)


def artifacts_of(flow_run: uuid.UUID) -> list[Any]:
    """Return the artifacts of a flow run and of its tasks."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
    return list(query_server(lambda client: client.read_artifacts(artifact_filter=only)))


def kinds(flow_run: uuid.UUID) -> dict[str, Any]:
    """Return a flow run's artifacts by the first word of their key; progress by the whole key."""
    artifacts = artifacts_of(flow_run)
    return {
        artifact.key if artifact.type == "progress" else artifact.key.partition("-")[0]: artifact
        for artifact in artifacts
    }


def table(flow_run: uuid.UUID, kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(kinds(flow_run)[kind].data)
    return rows


def test_a_run_is_named_and_tagged_by_its_date_and_store(shown: Shown) -> None:
    _, runs, _ = shown
    run = query_server(lambda client: client.read_flow_run(runs[1]))
    assert run.name == f"nightly {SECOND}"
    assert set(run.tags) == {"nightly", str(SECOND), "store My Shop/store"}


def test_a_run_for_yesterday_has_its_date_in_the_name(shown: Shown) -> None:
    from flows.run_nightly import nightly

    night, _, _ = shown
    before = datetime.now(ZoneInfo("UTC")).date()
    state = nightly(str(night.config), overrides=["source.path=/nowhere/*.csv"], return_state=True)
    after = datetime.now(ZoneInfo("UTC")).date()
    run = query_server(lambda client: client.read_flow_run(state.state_details.flow_run_id))
    assert run.name in {f"nightly {day - timedelta(days=1)}" for day in (before, after)}
    page = kinds(run.id)["night"].data
    assert ": failed" in page.splitlines()[0]
    assert "no files there" in page
    assert set(kinds(run.id)) == {"night"}


def test_artifact_keys_are_the_same_every_night(shown: Shown) -> None:
    _, runs, _ = shown
    first, second = ({artifact.key for artifact in artifacts_of(run)} for run in runs[:2])
    assert first == second
    assert {key.partition("-")[0] for key in first} == {"night", "training", *TABLES}
    assert all(
        re.fullmatch(r"[a-z]+-my-shop-store-[0-9a-f]{6}(-train-als|-measure-als)?", key) for key in first
    )


def test_the_page_shows_the_release_the_rows_and_the_metrics(shown: Shown) -> None:
    _, runs, records = shown
    record = records[1]
    page = kinds(runs[1])["night"].data
    assert page.startswith(f"# Night {SECOND}: published\n")
    assert f"| release | {record.release_id} |" in page
    assert f"| compared with | {records[0].release_id} |" in page
    assert "Active: readers get this release." in page
    total = record.station("interactions").facts["total"]
    arrived = record.station("interactions").facts["arrived"]
    assert f"| read |  | {arrived['read']:,} | {total['read']:,} |" in page
    for station in record.stations:
        assert re.search(rf"^\| {station.name} \| .* [MG]iB \|".replace("_", r"\\_"), page, re.MULTILINE)
    assert "unaccounted for |  | 0 | 0 |" in page
    assert re.search(r"^\| als \| 0\.\d{4} (=|[↑↓] [+-]0\.\d{4}) \|", page, re.MULTILINE)


def test_the_page_is_the_only_artifact_of_the_flow_itself_so_the_ui_shows_it_first(shown: Shown) -> None:
    _, runs, _ = shown
    for run, what in ((runs[1], "published"), (runs[2], "refused: ")):
        (first,) = (artifact for artifact in artifacts_of(run) if artifact.task_run_id is None)
        assert first.key.startswith("night-")
        assert first.description.startswith(what)


def test_a_refused_night_says_first_what_was_checked_observed_and_expected(shown: Shown) -> None:
    _, runs, _ = shown
    title, table = kinds(runs[2])["night"].data.split("\n\n")[:2]
    assert re.fullmatch(rf"# Night {THIRD}: refused: min\\_events [\d,]+, .*1,?000,?000.*", title), title
    assert table.splitlines()[2].startswith(r"| min\_events | "), table


def test_metrics_are_compared_with_the_night_before(shown: Shown) -> None:
    _, runs, _ = shown
    assert {row["before"] for row in table(runs[0], "metrics")} == {None}
    first = {(row["model"], row["metric"], row["k"]): row["value"] for row in table(runs[0], "metrics")}
    second = table(runs[1], "metrics")
    assert {row["model"] for row in second} == {"als", "popularity"}
    for row in second:
        assert row["before"] == first[row["model"], row["metric"], row["k"]]
        sign = (row["value"] > row["before"]) - (row["value"] < row["before"])
        assert row["change"][0] == "=↑↓"[sign]
    assert len({row["change"][0] for row in second}) > 1


def test_a_hostile_title_is_text_in_the_samples(shown: Shown) -> None:
    _, runs, _ = shown
    rows = table(runs[1], "samples")
    assert {row["history"].partition(",")[0] for row in rows} == {"heavy", "middle", "light"}
    assert {row["title"] for row in rows} == {SAFE}


def test_a_refused_night_is_shown_up_to_its_refusal(shown: Shown) -> None:
    night, runs, _ = shown
    artifacts = kinds(runs[2])
    assert set(artifacts) == {"night", "rows", "checks", "stations", "releases"}
    page = artifacts["night"].data
    assert page.startswith(rf"# Night {THIRD}: refused: min\_events ")
    assert "expected at least 1,000,000 events" in page
    assert "Nothing was published" in page
    assert f"| compared with | {night.published()[1]} |" in page
    checks = table(runs[2], "checks")
    assert [row["check"] for row in checks if row["result"] == "✗ failed"] == [r"min\_events"]
    assert checks[0]["threshold"] == "&gt;= 1000000"
    assert "data\\_docs/index.html" in artifacts["checks"].description


def test_the_releases_and_the_refused_night_are_listed_the_newest_first(shown: Shown) -> None:
    night, runs, records = shown
    lines = kinds(runs[2])["releases"].data.splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert [row[0] for row in cells[2:]] == [str(day) for day in (THIRD, SECOND, FIRST)]
    assert [row[1:3] for row in cells[2:]] == [["refused", ""], ["current", "als"], ["kept", "als"]]
    assert cells[3][3].startswith(r"NDCG\@")
    refused, second, _ = (line for line in lines if line.startswith("- "))
    report = f"runs/{THIRD}/{records[2].run_id}/report.html"
    assert re.fullmatch(rf"- {THIRD}, refused; min\\_events .*1,?000,?000; report `{report}`", refused), (
        refused
    )
    assert (night.store.root / report).is_file()
    assert second.startswith(f"- {SECOND}, current; published 20")


def test_training_moves_a_bar_to_its_end(shown: Shown) -> None:
    _, runs, _ = shown
    bars = {key: artifact for key, artifact in kinds(runs[0]).items() if artifact.type == "progress"}
    assert [key.rpartition("-")[0].rpartition("-")[2] for key in sorted(bars)] == ["measure", "train"]
    assert {float(artifact.data) for artifact in bars.values()} == {100.0}
    assert all(artifact.task_run_id is not None for artifact in bars.values())


def test_log_lines_reach_the_flow_run_with_the_run_id(shown: Shown) -> None:
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    _, runs, records = shown
    record = records[0]
    only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[runs[0]]))
    expected = f"train als [run_id {record.run_id}, as_of {FIRST}, station train als]"
    until = time.monotonic() + MOMENT
    while True:
        lines = query_server(lambda client: client.read_logs(log_filter=only, limit=200))
        ours = [line.message for line in lines if line.name == "nightshelf"]
        if expected in ours or time.monotonic() > until:
            break
        time.sleep(0.2)
    assert expected in ours
    assert all(record.run_id in line for line in ours)


def test_a_server_that_refuses_an_artifact_does_not_fail_the_night(
    shown: Shown, caplog: pytest.LogCaptureFixture
) -> None:
    from prefect import flow

    from flows.orchestration.artifacts import create_table, try_to_show

    @flow(name="refused")
    def refused() -> str:
        try_to_show("a table", lambda: create_table("A KEY THAT IS NONE", [{"a": 1}], "about"))
        return "done"

    assert refused() == "done"
    assert "a table is not shown in Prefect: " in caplog.text


def test_every_date_of_a_backfill_is_shown(shown: Shown) -> None:
    from flows.run_backfill import backfill

    night, _, _ = shown
    state = backfill(
        start=THIRD,
        end=THIRD,
        dry_run=False,
        models=["als"],
        config=str(night.config),
        return_state=True,
    )
    assert state.is_completed(), state.message
    (date,) = dates_of(state.state_details.flow_run_id)
    assert (date.name, date.state_name) == (f"backfill {THIRD}", "Completed")
    page = kinds(date.id)["night"]
    assert page.data.startswith(f"# Night {THIRD}: published\n")
    assert page.task_run_id is None

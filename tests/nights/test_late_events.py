"""Late, repeated, unordered, changed and missing events: their effect, and the dates listed."""

from __future__ import annotations

import random
import shlex
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.command_line import app
from tasks.configuration.configuration import load
from tasks.interactions.late_events import LateEvents
from tasks.report.markdown import night_page
from tasks.report.page import write_report
from tasks.report.summary import late_events_of
from tasks.store.files import sha256_of
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, last_night

DAYS = [date(2026, 3, 2) + timedelta(days=number) for number in range(5)]
TEXT = """
[engine]
memory = "512MiB"
threads = 1
[store]
keep_runs = 20
keep_releases = 20
[gate]
max_duplicate_share = 0.9
[source]
path = "logs"
file_date = "%Y-%m-%d"
[source.columns]
user = "user"
item = "item"
timestamp = "time"
[top_n]
n = 3
similar = 2
[popular]
n = 5
windows = [0]
fallback_window = 0
[train]
models = ["popularity"]
serve = "popularity"
[evaluation]
enabled = false
[quality]
enabled = false
[report]
enabled = false
"""


def events(day: date, count: int = 40, first: int = 0) -> list[str]:
    return [
        f"u{n % 5},i{(n * 7) % 6},{day}T{n // 60:02d}:{n % 60:02d}:00Z" for n in range(first, first + count)
    ]


@dataclass(frozen=True)
class Shop:
    """A folder with a configuration, dated logs and a store."""

    folder: Path

    @property
    def store(self) -> Store:
        return Store(self.folder / "nightshelf-store")

    def deliver(self, day: date, rows: list[str], name: str = "events") -> Path:
        path = self.folder / "logs" / f"{name}-{day}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["user,item,time", *rows]) + "\n")
        return path

    def call(self, *arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.folder / "nightshelf.toml")])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def run(self, day: date, *options: str) -> Any:
        return self.call("run", "--as-of", str(day), "--no-prefect", *options)

    def record(self, day: date) -> RunRecord:
        record = last_night(self.store, day)
        assert record is not None
        return record

    def late(self, day: date) -> LateEvents:
        return late_events_of(self.record(day))

    def lists(self, day: date) -> str:
        release = self.record(day).release_id
        assert release is not None
        return sha256_of(self.store.release(release) / "recommendations.parquet")


def shop(folder: Path) -> Shop:
    folder.mkdir(exist_ok=True)
    (folder / "nightshelf.toml").write_text(TEXT)
    return Shop(folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, dict[str, Any]]:
    """Run nights with late and missing files; return the shop and the reports."""
    world, results = shop(tmp_path_factory.mktemp("late")), {}
    world.deliver(DAYS[0], events(DAYS[0]))
    assert world.run(DAYS[0]).exit_code == 0
    results["first"] = world.late(DAYS[0])
    world.deliver(DAYS[1], events(DAYS[1]))
    assert world.run(DAYS[1]).exit_code == 0
    results["second"] = world.late(DAYS[1])
    world.deliver(DAYS[2], [*events(DAYS[2]), *events(DAYS[0], 3, first=50)])
    results["output"] = world.run(DAYS[2]).stdout
    results["third"], results["page"] = (
        world.late(DAYS[2]),
        night_page(world.store, world.record(DAYS[2])),
    )
    path = write_report(world.store, world.record(DAYS[2]), load(world.folder / "nightshelf.toml"))
    results["report"] = path.read_text(encoding="utf-8")
    results["missing"] = world.run(DAYS[3])  # its file is missing
    return world, results


def test_nights_in_order_have_nothing_late(results: tuple[Shop, dict[str, Any]]) -> None:
    assert results[1]["first"] == results[1]["second"] == LateEvents()
    assert str(results[1]["first"]) == ""


def test_late_events_are_listed_with_the_dates_to_run_again(results: tuple[Shop, dict[str, Any]]) -> None:
    late = results[1]["third"]
    assert late.days == {str(DAYS[0]): 3}
    assert late.dates == DAYS[:2]  # events of the first day also belong to the second day's release
    sentence = "3 events arrived late, of 2026-03-02 (3). Dates to run again: 2026-03-02, 2026-03-03."
    command = "nightshelf backfill --mode all --start 2026-03-02 --end 2026-03-03 --run"
    assert str(late) == sentence
    assert late.commands == [command]
    for shown, line in (("output", f"\n{command}\n"), ("page", f"\n{command}\n"), ("report", f">{command}<")):
        assert sentence in results[1][shown]
        assert line in results[1][shown]


def test_a_missing_day_is_refused_and_listed_when_it_arrives(results: tuple[Shop, dict[str, Any]]) -> None:
    world, refused = results[0], results[1]["missing"]
    assert refused.exit_code == 1
    assert "events_on_as_of" in refused.stderr
    world.deliver(DAYS[3], events(DAYS[3]))
    world.deliver(DAYS[4], events(DAYS[4]))
    ingested = world.call("ingest", "--as-of", str(DAYS[4]))
    assert "Dates to run again: 2026-03-05." in ingested.stdout
    assert "nightshelf backfill --mode all --start 2026-03-05 --end 2026-03-05 --run" in ingested.stdout


def test_the_listed_command_makes_the_release_of_punctual_logs(
    results: tuple[Shop, dict[str, Any]], tmp_path: Path
) -> None:
    world, late = results[0], results[1]["third"]
    before = world.lists(DAYS[0])
    program, *arguments = shlex.split(late.commands[0])
    assert program == "nightshelf"
    ingested = world.call(*arguments, "--no-prefect")
    assert ingested.exit_code == 0, ingested.stderr
    in_time = shop(tmp_path / "in-time")
    in_time.deliver(DAYS[0], [*events(DAYS[0]), *events(DAYS[0], 3, first=50)])
    assert in_time.run(DAYS[0]).exit_code == 0
    assert world.lists(DAYS[0]) == in_time.lists(DAYS[0]) != before
    assert world.late(DAYS[0]) == LateEvents()  # nothing new was ingested


def test_a_changed_file_lists_the_dates_built_from_it(tmp_path: Path) -> None:
    world = shop(tmp_path / "changed")
    path = world.deliver(DAYS[0], events(DAYS[0]))
    assert world.run(DAYS[0]).exit_code == 0
    world.deliver(DAYS[1], events(DAYS[1]))
    world.deliver(DAYS[0], events(DAYS[0], 39))
    refused = world.run(DAYS[1])
    assert refused.exit_code == 1
    assert f"{path}: changed since it was ingested" in refused.stderr
    assert "--replace-changed" in refused.stderr
    assert world.run(DAYS[1], "--replace-changed").exit_code == 0
    assert world.late(DAYS[1]).dates == [DAYS[0]]


@pytest.mark.torture
def test_order_and_repeats_change_nothing(tmp_path: Path) -> None:
    ordered, shuffled = shop(tmp_path / "ordered"), shop(tmp_path / "shuffled")
    rows = events(DAYS[0], 90)
    ordered.deliver(DAYS[0], rows)
    mixed = random.Random(7).sample(rows, len(rows))  # noqa: S311
    shuffled.deliver(DAYS[0], [*mixed, *rows[:10]])
    shuffled.deliver(DAYS[0], rows, name="again")
    (shuffled.folder / "logs" / f"copy-{DAYS[0]}.csv").write_bytes(
        (shuffled.folder / "logs" / f"again-{DAYS[0]}.csv").read_bytes()
    )
    for world in (ordered, shuffled):
        assert world.run(DAYS[0]).exit_code == 0
    assert shuffled.lists(DAYS[0]) == ordered.lists(DAYS[0])
    account = shuffled.record(DAYS[0]).station("interactions").facts["total"]
    assert (account["read"], account["accepted"], account["duplicates"]) == (190, 90, 100)


def test_dates_with_gaps_get_separate_commands() -> None:
    late = LateEvents(dates=[DAYS[0], DAYS[1], DAYS[3]])
    assert [command.split("--start ")[1] for command in late.commands] == [
        "2026-03-02 --end 2026-03-03 --run",
        "2026-03-05 --end 2026-03-05 --run",
    ]
    assert str(late).startswith("Files were replaced.")

"""Hostile names in commands and logs: rejected with a message, or shown as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner
from worlds.hostile_names import hostile_names
from worlds.night_world import Night, shop

from flows.command_line import app
from flows.night.run import run_night
from tasks.release.releases import current
from tasks.runtime.errors import UserError

DATES = ["2026-03-02 10:00:00", "2026-03-01 10:00:00"]
FIRST_DAY = date(2026, 3, 2)
ITEMS = 'id = "id", title = "title", null_values = [""]'
FOLDER = 'it\'s [a] *store {b} %2e%2e "q" ; $(touch canary) <b>'


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the path of a file that exists only if a name was executed."""
    canary = tmp_path_factory.mktemp("canary") / "canary"
    yield canary
    assert not canary.exists()
    assert not Path("canary").exists()


@pytest.fixture(scope="module")
def names(canary: Path) -> list[str]:
    return hostile_names(canary)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> Night:
    """Return a shop after a night, with hostile names for its folder and everything named."""
    folder = tmp_path_factory.mktemp("hostile")
    logs = folder / FOLDER / "logs"
    logs.mkdir(parents=True)
    kept = [name for name in names if name.strip() and "\0" not in name]
    for number, name in enumerate(name for name in kept if "/" not in name and 1 < len(name) < 60):
        part = kept[number::40] or kept[:1]
        columns = {"user": part, "item": part[::-1], "type": part, "land": part}
        table = pa.table({**columns, "time": [DATES[number % 2]] * len(part)})
        pq.write_table(table, logs / f"{number}-{name}.parquet")
    people = {"id": kept, "title": kept, "land": kept}
    pq.write_table(pa.table(people), folder / FOLDER / "items.parquet")
    night = shop(folder / FOLDER / "shop", logs, "")
    weights = ", ".join(f"{toml(name)} = 1" for name in kept)
    night.config.write_text(
        f"""
store.path = {toml(str(night.store.root))}
engine = {{memory = "1GiB", threads = 1}}
items = {{path = {toml(str(folder / FOLDER / "items.parquet"))}, {ITEMS}}}
users = {{attributes = {{land = "land"}}}}
top_n = {{n = 5, similar = 3}}
popular = {{n = 300, windows = [0], fallback_window = 0, segments = ["land"], fallback_segment = "land"}}
report = {{enabled = true, sample_users = 10}}
gate = {{max_duplicate_share = 1.0}}
train = {{models = ["popularity"], serve = "popularity"}}
evaluation = {{enabled = false}}
quality = {{enabled = false}}
[source]
null_values = [""]
path = {toml(str(logs))}
columns = {{user = "user", item = "item", timestamp = "time", event_type = "type"}}
attributes = {{land = "land"}}
event_weights = {{{weights}}}
exclude = [{{name = "evil", where = "land = '<script>alert(1)</script>'"}}]
""",
        encoding="utf-8",
    )
    run_night(night.configured(), FIRST_DAY)
    return night


def toml(text: str) -> str:
    """Return a text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class Tags(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {str(value) for name, value in attrs if name in {"href", "src", "action"}}


def pages(night: Night) -> list[Path]:
    """Return the pages that a night wrote: its report and the pages of the gate."""
    written = sorted(night.store.root.rglob("*.html"))
    assert len(written) >= 6
    return written


def test_no_name_becomes_an_element_or_a_link_of_a_page(night: Night) -> None:
    for page in pages(night):
        parsed = Tags(page.read_text(encoding="utf-8"))
        assert not {"script", "img", "iframe", "object", "embed", "base", "form", "b"} & parsed.tags, page
        assert not [name for name in parsed.attributes if name.startswith("on")], page
        assert not [link for link in parsed.links if "javascript:" in link.lower()], page
        assert "default-src 'none'" in page.read_text(encoding="utf-8")


def test_a_browser_runs_nothing_and_sends_no_requests(night: Night, browser: Any) -> None:
    dialogs: list[str] = []
    requests: list[str] = []
    context = browser.new_context(bypass_csp=True)  # this tests the pages without the policy
    page = context.new_page()
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    seen = pages(night)
    for path in seen:
        page.goto(path.as_uri())
    context.close()
    assert dialogs == []
    assert [url for url in requests if not url.startswith("file://")] == []
    assert len(requests) == len(seen)


def test_the_night_keeps_every_name_unchanged(night: Night, names: list[str]) -> None:
    kept = {name for name in names if name.strip() and "\0" not in name}
    release = current(night.store)
    users = {*pq.read_table(release.table("recommendations"))["user_id"].to_pylist()}
    assert users == kept - {"<script>alert(1)</script>"}
    assert night.store.root.is_relative_to(night.folder)
    outside = {path.name for path in night.folder.parent.iterdir()}
    assert outside == {"logs", "items.parquet", "shop"}


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "query --release": lambda name: ["query", "SELECT 1", "--release", name],
    "query": lambda name: ["query", name],
    "show user": lambda name: ["show", "user", name, "--release", "2026-03-01-none"],
    "show item": lambda name: ["show", "item", name, "--release", name],
    "show popular": lambda name: ["show", "popular", "--segment", name, "--value", name],
    "rollback": lambda name: ["rollback", "--to", name],
    "publish": lambda name: ["publish", name],
    "publish --force": lambda name: ["publish", name, "--force", "--reason", name],
    "report --run": lambda name: ["report", "--run", name],
    "report --release": lambda name: ["report", "--release", name],
    "tune": lambda name: ["tune", name, "--as-of", "2026-03-02"],
    "run --engine": lambda name: ["run", "--no-prefect", "--engine", name],
    "run --as-of": lambda name: ["run", "--no-prefect", "--as-of", name],
}


@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.torture)])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_given_to_a_command_is_rejected_with_a_message(
    command: str, step: int, names: list[str], night: Night
) -> None:
    before = sorted(str(path) for path in night.folder.parent.rglob("*"))
    answered = []
    for name in names[list(COMMANDS).index(command) :: step]:  # each command gets different names
        arguments = [*COMMANDS[command](name), "--config", str(night.config)]
        result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), (name, result.exception)
        assert "Traceback" not in result.output
        assert "\x1b" not in result.output
        if result.exit_code == 0:
            answered.append(name)
    assert command in {"query"} or not [name for name in answered if name not in {"--help", "-h"}], answered
    assert sorted(str(path) for path in night.folder.parent.rglob("*")) == before


@pytest.mark.prefect
@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.torture)])
def test_a_name_given_to_a_flow_fails_it_with_a_message(step: int, names: list[str], night: Night) -> None:
    """The flows' functions get what a form sends, after the server has accepted it."""
    from flows.flip_release import publish, rollback
    from flows.orchestration.parameters import day_of
    from flows.run_nightly import nightly
    from tasks.configuration.configuration import load
    from tasks.configuration.overrides import overrides_of

    config = str(night.config)
    before = sorted(str(path) for path in night.folder.parent.rglob("*"))
    for name in names[::step]:
        failed = [
            publish.fn(release_id=name, reason=name or "x", config=config),
            publish.fn(release_id=name, reason=name or "x", config=config, force=True),
            rollback.fn(release_id=f"2026-03-01-{name}", reason="x", config=config),
            publish.fn(release_id="2026-03-01-r1", reason="x", config=name),
            nightly.fn(config=name, as_of="2026-03-02"),
            nightly.fn(config=config, as_of=name),
        ]
        for state in failed:
            assert state.is_failed(), name
            assert state.message, name
        with pytest.raises(UserError):
            day_of(name, night.configured(), datetime.now(UTC))
        with suppress(UserError):
            load(night.config, overrides_of((name, f"{name}={name}", f"engine.name={name}")))
    assert sorted(str(path) for path in night.folder.parent.rglob("*")) == before

"""A folder with a configuration and logs, and the command line run on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from typer.testing import CliRunner

from flows.command_line import app
from tasks.store.layout import Store

DATE = date(2026, 3, 2)
DAY = str(DATE)
TEXT = """
[engine]
memory = "512MiB"
threads = 1
[source]
path = "logs"
[source.columns]
user = "user"
item = "item"
timestamp = "time"
value = "value"
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
"""
HEADER = "user,item,time,value"
GOOD = [f"u{n % 5},i{(n * 7) % 6},{DAY}T10:{n:02d}:00Z,{n % 5 + 1}" for n in range(40)]


@dataclass(frozen=True)
class Workspace:
    """A folder with a configuration and logs, and the command line run on it."""

    folder: Path

    @property
    def store(self) -> Store:
        return Store(self.folder / "nightshelf-store")

    @property
    def config(self) -> Path:
        return self.folder / "nightshelf.toml"

    def logs(self, *lines: str, header: str = HEADER, name: str = "events.csv") -> Path:
        path = self.folder / "logs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    def configure(self, *changes: tuple[str, str]) -> None:
        """Write the configuration with some of its text replaced."""
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.config.write_text(text, encoding="utf-8")

    def arguments(self, *options: str) -> list[str]:
        return ["run", "--config", str(self.config), "--as-of", DAY, "--no-prefect", *options]

    def run(self, *options: str) -> Any:
        """Run a night in this process; a traceback would be an exception here."""
        result = CliRunner().invoke(app, self.arguments(*options))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def refused(self, *options: str) -> str:
        """Return the only message of a night that is refused."""
        result = self.run(*options)
        assert result.exit_code == 1
        assert result.stdout == ""
        return self.message(result.stderr)

    def message(self, stderr: str) -> str:
        """Return the only message on stderr; assert that nothing is published or left over."""
        assert "Traceback" not in stderr
        assert stderr.count("error: ") == 1
        assert not self.store.pointer.exists()
        assert not list(self.store.releases.glob("*"))
        assert not list(self.store.runs.glob(".*"))
        return stderr.split("error: ")[1]

    def quarantined(self) -> list[tuple[Any, ...]]:
        """Return file, line and rule of every row in quarantine."""
        files = [str(path) for path in self.store.quarantine.rglob("*.parquet")]
        return duckdb.sql(f"SELECT file, line, rule FROM read_parquet({files}) ORDER BY ALL").fetchall()

"""Bad input, each through the real command line: exit code 1, one clear message, and nothing published."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner
from worlds.command_calls import MAIN
from worlds.paths import IMPORTABLE

from flows.command_line import app
from flows.night.retries import directly
from flows.night.run import run_night
from tasks.configuration.configuration import load
from tasks.monitoring.verification import verify_store
from tasks.release.pointer import read_pointer
from tasks.release.releases import current
from tasks.runtime.errors import EXPECTED
from tasks.store.layout import Store
from tasks.store.runs import last_run

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
class Place:
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

    def words(self, *options: str) -> list[str]:
        return ["run", "--config", str(self.config), "--as-of", DAY, "--no-prefect", *options]

    def run(self, *options: str) -> Any:
        """Run a night in this process; a traceback would be an exception here."""
        result = CliRunner().invoke(app, self.words(*options))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def refused(self, *options: str) -> str:
        """Return the one message of a night that is refused."""
        result = self.run(*options)
        assert result.exit_code == 1
        assert result.stdout == ""
        return self.message(result.stderr)

    def message(self, stderr: str) -> str:
        """Return the one message on stderr, once nothing is published or left over."""
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


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place where everything is right."""
    place = Place(tmp_path)
    place.configure()
    place.logs(*GOOD)
    return place


def test_what_is_right_is_published(place: Place) -> None:
    assert place.run().exit_code == 0
    assert current(place.store).as_of.isoformat() == DAY


def test_missing_file(place: Place) -> None:
    place.configure(('path = "logs"', 'path = "logs/none.csv"'))
    assert f"[source] path = {place.folder}/logs/none.csv: no such file or folder" in place.refused()


def test_empty_folder(place: Place) -> None:
    (place.folder / "logs" / "events.csv").unlink()
    message = place.refused()
    assert f"{place.folder}/logs: no files there; expected .csv" in message


def test_files_with_a_header_and_nothing_else(place: Place) -> None:
    place.logs()
    message = place.refused()
    assert "min_events" in message


def test_missing_configuration(place: Place) -> None:
    place.config.unlink()
    assert "nightshelf.toml: cannot read the configuration: No such file" in place.refused()


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_truncated_gz(place: Place, cut: float) -> None:
    whole = gzip.compress("\n".join([HEADER, *GOOD * 50]).encode())
    (place.folder / "logs" / "events.csv").unlink()
    (place.folder / "logs" / "more.csv.gz").write_bytes(whole[: int(len(whole) * cut)])
    message = place.refused()
    assert f"{place.folder}/logs/more.csv.gz" in message
    assert message.count("\n") == 1


def test_gz_with_one_flipped_bit(place: Place) -> None:
    whole = bytearray(gzip.compress("\n".join([HEADER, *GOOD * 50]).encode()))
    whole[-6] ^= 1  # of the checksum
    (place.folder / "logs" / "more.csv.gz").write_bytes(whole)
    assert "more.csv.gz" in place.refused()


def test_wrong_column_name(place: Place) -> None:
    place.configure(('item = "item"', 'item = "itm"'))
    message = place.refused()
    assert "'itm'" in message or "itm" in message
    assert "user, item, time, value" in message or all(name in message for name in ("user", "time", "value"))


def test_text_where_numbers_are_expected_is_quarantined(place: Place) -> None:
    path = place.logs(*GOOD, f"u1,i1,{DAY}T12:00:00Z,many")
    result = place.run()
    assert result.exit_code == 0
    assert place.quarantined() == [(str(path), 42, "value_unreadable")]
    assert "value_unreadable" in result.stdout


def test_ids_of_the_wrong_type_close_the_gate(place: Place) -> None:
    place.configure(('path = "logs"', 'path = "logs"\nuser_id_type = "int64"'))
    message = place.refused()
    assert "max_quarantined_share" in message
    assert "user_unreadable" in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("[top_n]\nn = 3", "[top_n]\nnn = 3"), "unknown key 'nn' in [top_n] (did you mean 'n'?); known: "),
        (("[engine]", "[engines]"), "unknown key 'engines' (did you mean 'engine'?); known: "),
        (('user = "user"', 'users = "user"'), "unknown key 'users' in [source.columns]"),
        (("threads = 1", "threads = many"), "not valid TOML"),
        (('memory = "512MiB"', 'memory = "lots"'), "expected a size such as 512MiB or 4GiB, got 'lots'"),
        (("n = 3", "n = 0"), "top_n.n"),
    ],
)
def test_mistakes_in_the_configuration(place: Place, changes: tuple[str, str], said: str) -> None:
    place.configure(changes)
    message = place.refused()
    assert said in message
    assert "nightshelf.toml" in message
    assert not place.store.root.exists()


def test_unknown_model(place: Place) -> None:
    place.configure(('models = ["popularity"]\nserve = "popularity"', 'models = ["asl"]\nserve = "asl"'))
    assert "unknown model 'asl'; known: als, " in place.refused()


def test_unknown_setting_of_a_model(place: Place) -> None:
    place.config.write_text(TEXT + "[models.als]\nfactor = 8\n", encoding="utf-8")
    assert "unknown key 'factor' in models.als" in place.refused()


@pytest.mark.parametrize("value", ["NaN", "nan", "inf", "-Infinity", "1e400"])
def test_values_that_are_not_finite_are_quarantined(place: Place, value: str) -> None:
    path = place.logs(*GOOD[:20], f"u1,i1,{DAY}T12:00:00Z,{value}", *GOOD[20:])
    assert place.run().exit_code == 0
    ((file, line, rule),) = place.quarantined()
    assert (file, line) == (str(path), 22)
    assert rule in {"value_not_finite", "value_unreadable"}
    assert read_pointer(place.store) is not None


@pytest.mark.parametrize(
    ("stamp", "told"),
    [("1772445600", "iso"), ("1772445600000", "epoch_s"), ("1772445600", "epoch_ms"), ("02/03/2026", "iso")],
)
def test_timestamps_in_another_unit(place: Place, stamp: str, told: str) -> None:
    place.configure(('path = "logs"', f'path = "logs"\ntimestamp_format = "{told}"'))
    place.logs(*[f"u{n % 5},i{(n * 7) % 6},{stamp},{n}" for n in range(40)])
    message = place.refused()
    assert f"is source.timestamp_format = '{told}' right?" in message
    assert "epoch_s, epoch_ms" in message


def test_a_date_without_events(place: Place) -> None:
    result = CliRunner().invoke(app, [*place.words()[:-2], "2026-03-05", "--no-prefect"])
    assert result.exit_code == 1
    message = place.message(result.stderr)
    assert "events_on_as_of" in message
    assert "2026-03-05" in message


def test_a_date_before_all_events(place: Place) -> None:
    result = CliRunner().invoke(app, [*place.words()[:-2], "2025-01-01", "--no-prefect"])
    assert result.exit_code == 1
    assert "min_events" in place.message(result.stderr)


def test_a_date_that_is_none(place: Place) -> None:
    result = CliRunner().invoke(app, [*place.words()[:-2], "02.03.2026"])
    assert result.exit_code == 2
    assert "02.03.2026" in result.stderr


def test_one_user_only(place: Place) -> None:
    place.logs(*[f"u1,i{n % 6},{DAY}T10:{n:02d}:00Z,1" for n in range(40)])
    assert "min_users" in place.refused()


def test_one_item_only(place: Place) -> None:
    place.logs(*[f"u{n % 5},i1,{DAY}T10:{n:02d}:00Z,1" for n in range(40)])
    assert "min_items" in place.refused()


def test_lists_longer_than_the_catalogue(place: Place) -> None:
    place.configure(("n = 3", "n = 7"))
    message = place.refused()
    assert "7" in message
    assert "6" in message  # items there are


def test_spark_without_java(place: Place) -> None:
    nothing = place.folder / "nothing"
    nothing.mkdir()
    environment = os.environ | {"PYTHONPATH": IMPORTABLE, "JAVA_HOME": str(nothing), "PATH": str(nothing)}

    def night(engine: str) -> subprocess.CompletedProcess[str]:
        words = [*MAIN, *place.words("--engine", engine)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    done = night("spark")
    assert done.returncode == 1
    assert "the Spark engine needs Java 17 or newer, got no Java: install" in place.message(done.stderr)
    assert night("duckdb").returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 1 MiB; mounting one takes root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", "size=1m", "none", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a file system: {done.stderr.strip()}")


def test_no_disk_space_at_the_start(place: Place, small_disk: Path) -> None:
    full = Place(small_disk)
    full.configure(('path = "logs"', f'path = "{place.folder}/logs"'))
    message = full.refused()
    assert f"not enough disk space in {small_disk}/nightshelf-store: needed 512.0 MiB, free " in message


@pytest.mark.parametrize("limit", [2_000, 20_000])
def test_no_room_for_a_file(place: Place, limit: int) -> None:
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from flows.command_line import main\n"
        "main()"
    )
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    words = [sys.executable, "-c", code, *place.words()]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    message = place.message(done.stderr)
    assert "File too large" in message or "the file is larger than the system allows" in message


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a place with a release, and a log that came after it."""
    place = Place(tmp_path_factory.mktemp("yesterday"))
    place.configure()
    place.logs(*GOOD)
    assert place.run().exit_code == 0
    place.logs(f"u9,i1,{DAY}T11:00:00Z,1", name="more.csv")
    return place


def with_a_release(yesterday: Place, disk: Path) -> Place:
    """Return a place on a disk of 600 MiB with the logs of another and its release."""
    _mount("-o", "remount,size=600m", str(disk))
    there = Place(disk)
    there.configure(('path = "logs"', f'path = "{yesterday.folder}/logs"'))
    shutil.copytree(yesterday.store.root, there.store.root)
    return there


@pytest.mark.parametrize("station", ["interactions", "dataset", "recommendations", "release"])
def test_no_disk_space_in_the_middle(yesterday: Place, small_disk: Path, station: str) -> None:
    full = with_a_release(yesterday, small_disk)
    before = current(full.store)

    def step(name: str, work: Callable[[], Any]) -> Any:
        if name == station:
            disk = os.statvfs(small_disk)
            used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
            _mount("-o", f"remount,size={used + 8192}", str(small_disk))
        return directly(name, work)

    with pytest.raises(EXPECTED, match=r"[Nn]o space left on (the disk|device)|disk is full"):
        run_night(load(full.config), DATE, step=step)
    assert last_run(full.store).state in {"failed", "running"}  # the last if even that could not be written
    assert current(full.store) == before
    assert verify_store(full.store).damaged == []
    assert not left_over(full.store)
    _mount("-o", "remount,size=600m", str(small_disk))
    assert full.run().exit_code == 0
    assert current(full.store) != before
    assert verify_store(full.store).damaged == []


def left_over(store: Store) -> list[Path]:
    """Return what is half-written or in the way: all of it has a name with a dot."""
    return [path for path in store.root.rglob(".*") if path.name not in {".lock", ".locks"}]


@pytest.mark.parametrize("command", ["run", "ingest"])
def test_a_store_that_became_read_only_still_serves_its_release(
    yesterday: Place, small_disk: Path, command: str
) -> None:
    there = with_a_release(yesterday, small_disk)
    before = current(there.store)
    _mount("-o", "remount,ro", str(small_disk))
    words = [command, "--config", str(there.config), "--as-of", DAY]
    refused = CliRunner().invoke(app, [*words, "--no-prefect"] if command == "run" else words)
    assert (refused.exit_code, refused.stdout) == (1, "")
    message = f"error: cannot write {there.store.root}"
    assert refused.stderr.startswith(message)
    assert refused.stderr.endswith("the file system is read-only\n")
    for reading in (["verify"], ["query", "FROM release_info"]):
        read = CliRunner().invoke(app, [*reading, "--store", str(there.store.root)])
        assert read.exit_code == 0, read.output
    assert current(there.store) == before


def test_store_that_cannot_be_written(place: Place, small_disk: Path) -> None:
    read_only = Place(small_disk)
    read_only.configure(('path = "logs"', f'path = "{place.folder}/logs"'))
    _mount("-o", "remount,ro", str(small_disk))
    message = read_only.refused()
    assert f"cannot write {small_disk}/nightshelf-store: the file system is read-only" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_store_without_permission(place: Place) -> None:
    place.folder.chmod(0o555)
    assert "permission denied" in place.refused()
    place.folder.chmod(0o755)


def test_store_where_a_file_stands(place: Place) -> None:
    place.store.root.write_text("not a folder")
    result = place.run()
    assert result.exit_code == 1
    assert "a file stands where a folder is needed" in result.stderr

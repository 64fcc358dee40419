"""The command init: a file, the first rows as they would be classified, the next commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.command_calls import call

ROWS = (
    "customer,sku,created_at\nu1,i1,2026-11-29 10:00:00\n,i2,2026-11-30 10:00:00\nu2,i2,2026-11-30 11:00:00\n"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(ROWS)
    return path


def test_init_writes_a_configuration_and_shows_rows_and_next_commands(log: Path) -> None:
    config = log.parent / "shop.toml"
    output = call("init", str(log), "--output", str(config)).stdout
    assert f"{config} written" in output
    lines = [line.split() for line in output.splitlines()]
    assert ["orders.csv", "2", "u1", "i1", "2026-11-29", "10:00:00", "accepted"] in lines
    assert ["orders.csv", "3", "i2", "2026-11-30", "10:00:00", "quarantined:", "user_missing"] in lines
    assert "2 of 3 rows would be accepted; user_missing 1." in output
    assert "check: time_zone: the timestamps name no zone" in output
    assert "check: 33% of the rows would be quarantined" in output
    assert f"nightshelf run --config {config} --as-of 2026-11-30" in output
    assert 'path = "orders.csv"' in config.read_text()


def test_init_shows_the_first_rows_of_each_source(log: Path) -> None:
    clicks = "visitor_id;product_id;time\n" + "".join(
        f"v{n % 2};p{n % 3};2026-12-0{n}\n" for n in range(1, 5)
    )
    (log.parent / "clicks.csv").write_text(clicks)
    config = log.parent / "shop.toml"
    output = call("init", str(log), str(log.parent / "clicks.csv"), "--output", str(config)).stdout
    assert f"{config} written, from 2 files of 2 kinds, a source each." in output
    assert "The first rows of orders" in output
    assert "orders: 2 of 3 rows would be accepted; user_missing 1." in output
    assert "check: 33% of the rows of orders would be quarantined" in output
    assert "clicks: 4 of 4 rows would be accepted." in output
    lines = [line.split() for line in output.splitlines()]
    assert ["clicks.csv", "2", "v1", "p1", "2026-12-01", "00:00:00", "clicks", "accepted"] in lines
    assert f"nightshelf run --config {config} --as-of 2026-12-04" in output
    assert config.read_text().count("[[source]]") == 2


def test_init_replaces_a_file_only_by_force(log: Path) -> None:
    config = log.parent / "nightshelf.toml"
    config.write_text("mine")
    result = call("init", str(log), "--output", str(config), code=1)
    assert "exists already" in result.stderr
    assert config.read_text() == "mine"
    call("init", str(log), "--output", str(config), "--force")
    assert "[source.columns]" in config.read_text()


def test_init_writes_what_it_knows_and_names_the_lines_to_fill_in(log: Path) -> None:
    log.write_text("a,b,created_at\nx,y,2026-11-29 10:00:00\n")
    config = log.parent / "nightshelf.toml"
    (error,) = call("init", str(log), "--output", str(config), code=1).stderr.splitlines()
    assert "Fill in line" in error
    assert "user (columns: a, b)" in error
    number = int(error.partition("Fill in line ")[2].partition(":")[0])
    assert config.read_text().splitlines()[number - 1].startswith("# user = ")


@pytest.mark.parametrize(
    ("sample", "output", "message"),
    [
        ("none.csv", "a.toml", "got no such path"),
        ("empty", "a.toml", "no files there"),
        ("orders.csv", "none/a.toml", "expected an existing folder"),
        ("orders.csv", "empty", "got a folder"),
    ],
)
def test_a_mistake_is_one_message_and_writes_nothing(
    log: Path, sample: str, output: str, message: str
) -> None:
    (log.parent / "empty").mkdir()
    result = call("init", str(log.parent / sample), "--output", str(log.parent / output), code=1)
    assert message in result.stderr
    assert not list(log.parent.rglob("*.toml"))

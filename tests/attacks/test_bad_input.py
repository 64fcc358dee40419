"""Bad logs through the real command line: exit code 1, a clear message, nothing published."""

from __future__ import annotations

import gzip

import pytest
from typer.testing import CliRunner
from worlds.workspace import DAY, GOOD, HEADER, Workspace

from flows.command_line import app
from tasks.release.pointer import read_pointer
from tasks.release.releases import current


def test_good_input_is_published(workspace: Workspace) -> None:
    assert workspace.run().exit_code == 0
    assert current(workspace.store).as_of.isoformat() == DAY


def test_missing_file(workspace: Workspace) -> None:
    workspace.configure(('path = "logs"', 'path = "logs/none.csv"'))
    assert f"[source] path = {workspace.folder}/logs/none.csv: no such file or folder" in workspace.refused()


def test_empty_folder(workspace: Workspace) -> None:
    (workspace.folder / "logs" / "events.csv").unlink()
    message = workspace.refused()
    assert f"{workspace.folder}/logs: no files there; expected .csv" in message


def test_files_with_only_a_header(workspace: Workspace) -> None:
    workspace.logs()
    message = workspace.refused()
    assert "min_events" in message


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_truncated_gz(workspace: Workspace, cut: float) -> None:
    whole = gzip.compress("\n".join([HEADER, *GOOD * 50]).encode())
    (workspace.folder / "logs" / "events.csv").unlink()
    (workspace.folder / "logs" / "more.csv.gz").write_bytes(whole[: int(len(whole) * cut)])
    message = workspace.refused()
    assert f"{workspace.folder}/logs/more.csv.gz" in message
    assert message.count("\n") == 1


def test_gz_with_one_flipped_bit(workspace: Workspace) -> None:
    whole = bytearray(gzip.compress("\n".join([HEADER, *GOOD * 50]).encode()))
    whole[-6] ^= 1  # part of the checksum
    (workspace.folder / "logs" / "more.csv.gz").write_bytes(whole)
    assert "more.csv.gz" in workspace.refused()


def test_text_where_numbers_are_expected_is_quarantined(workspace: Workspace) -> None:
    path = workspace.logs(*GOOD, f"u1,i1,{DAY}T12:00:00Z,many")
    result = workspace.run()
    assert result.exit_code == 0
    assert workspace.quarantined() == [(str(path), 42, "value_unreadable")]
    assert "value_unreadable" in result.stdout


def test_ids_of_the_wrong_type_close_the_gate(workspace: Workspace) -> None:
    workspace.configure(('path = "logs"', 'path = "logs"\nuser_id_type = "int64"'))
    message = workspace.refused()
    assert "max_quarantined_share" in message
    assert "user_unreadable" in message


@pytest.mark.parametrize("value", ["+nan", "inf", "-Infinity", "1e400"])
def test_values_that_are_not_finite_are_quarantined(workspace: Workspace, value: str) -> None:
    path = workspace.logs(*GOOD[:20], f"u1,i1,{DAY}T12:00:00Z,{value}", *GOOD[20:])
    assert workspace.run().exit_code == 0
    ((file, line, rule),) = workspace.quarantined()
    assert (file, line) == (str(path), 22)
    assert rule in {"value_not_finite", "value_unreadable"}
    assert read_pointer(workspace.store) is not None


@pytest.mark.parametrize(
    ("stamp", "unit"),
    [("1772445600", "iso"), ("1772445600000", "epoch_s"), ("1772445600", "epoch_ms"), ("02/03/2026", "iso")],
)
def test_timestamps_in_another_unit(workspace: Workspace, stamp: str, unit: str) -> None:
    workspace.configure(('path = "logs"', f'path = "logs"\ntimestamp_format = "{unit}"'))
    workspace.logs(*[f"u{n % 5},i{(n * 7) % 6},{stamp},{n}" for n in range(40)])
    message = workspace.refused()
    assert f"is source.timestamp_format = '{unit}' right?" in message
    assert "epoch_s, epoch_ms" in message


def test_a_date_without_events(workspace: Workspace) -> None:
    result = CliRunner().invoke(app, [*workspace.arguments()[:-2], "2026-03-05", "--no-prefect"])
    assert result.exit_code == 1
    message = workspace.message(result.stderr)
    assert "events_on_as_of" in message
    assert "2026-03-05" in message


def test_a_date_before_all_events(workspace: Workspace) -> None:
    result = CliRunner().invoke(app, [*workspace.arguments()[:-2], "2025-01-01", "--no-prefect"])
    assert result.exit_code == 1
    assert "min_events" in workspace.message(result.stderr)


def test_one_user_only(workspace: Workspace) -> None:
    workspace.logs(*[f"u1,i{n % 6},{DAY}T10:{n:02d}:00Z,1" for n in range(40)])
    assert "min_users" in workspace.refused()


def test_one_item_only(workspace: Workspace) -> None:
    workspace.logs(*[f"u{n % 5},i1,{DAY}T10:{n:02d}:00Z,1" for n in range(40)])
    assert "min_items" in workspace.refused()

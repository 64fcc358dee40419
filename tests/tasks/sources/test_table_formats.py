"""Tables among files: found by their logs, and refused in parts, or as a whole if nothing reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import write_deltalake
from worlds.paths import ROOT
from worlds.table_world import found, reasons, rows, users, write_log

from tasks.runtime.errors import InputError

HUDI = ".hoodie/hoodie.properties"


def test_tables_and_plain_files_lie_side_by_side(tmp_path: Path) -> None:
    for name in "ab":
        write_deltalake(tmp_path / "lake" / name, rows(name))
        write_deltalake(tmp_path / "lake" / name, rows(name * 2), mode="overwrite")
    (tmp_path / "lake" / "c.csv").write_text("user,item,time\n")
    assert [Path(file.address).suffix for file in found(tmp_path / "lake").files] == [
        ".parquet",
        ".parquet",
        ".csv",
    ]
    assert reasons(found(tmp_path / "lake")) == {"no longer part of the Delta table": 2}


@pytest.mark.parametrize("below", ["country=FR", "*/*.parquet", "country=FR/{name}"])
def test_a_part_of_a_table_is_refused(tmp_path: Path, below: str) -> None:
    table = tmp_path / "t"
    write_deltalake(table, rows("a"), partition_by=["country"])
    (file,) = table.glob("country=FR/*.parquet")
    with pytest.raises(
        InputError, match=rf"a part of the Delta table {table}, .*expected the table's folder$"
    ):
        found(table / below.format(name=file.name))


@pytest.mark.parametrize("glob", ["*/*.parquet", "**/*.parquet", "[a-z]/*"])
def test_a_glob_that_passes_by_a_log_is_refused(tmp_path: Path, glob: str) -> None:
    table = tmp_path / "lake" / "t"
    write_deltalake(table, rows("a"))
    write_deltalake(table, rows("b"), mode="overwrite")
    if glob == "[a-z]/*":  # this one finds the log
        assert users(found(table.parent / glob)) == ["b"]
        return
    with pytest.raises(InputError, match=rf"a part of the Delta table {table}, of which only some files"):
        found(table.parent / glob)


def test_a_hudi_table_is_refused_beside_a_delta_table(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "lake" / "d", rows("a"))
    write_log(tmp_path / "lake" / "t", HUDI)
    with pytest.raises(InputError, match="a Hudi table, of which only some files count"):
        found(tmp_path / "lake")


def test_a_delta_table_with_the_metadata_of_iceberg_is_read_by_its_own_log(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", rows("a"))
    (tmp_path / "t" / "metadata").mkdir()
    (tmp_path / "t" / "metadata" / "v1.metadata.json").write_text("{}")
    assert users(found(tmp_path / "t", format="parquet")) == ["a"]


def test_a_hudi_table_is_refused(tmp_path: Path) -> None:
    table = write_log(tmp_path / "t", HUDI)
    with pytest.raises(
        InputError, match=r"/t: a Hudi table, of which .*; expected a Delta or Iceberg table or"
    ):
        found(table)


@pytest.mark.parametrize(
    ("log", "kind", "expected"),
    [
        (HUDI, "Hudi", "plain files"),
        ("metadata/v1.metadata.json", "Iceberg", "the table's folder"),
        ("_delta_log/0.json", "Delta", "the table's folder"),
    ],
)
def test_a_part_of_any_table_is_refused(tmp_path: Path, log: str, kind: str, expected: str) -> None:
    table = write_log(tmp_path / "t", log)
    with pytest.raises(
        InputError, match=rf"a part of the {kind} table {table}, .* count; expected {expected}$"
    ):
        found(table / "data")


def test_the_library_of_a_table_is_imported_for_such_a_table_only(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item,time\n")
    code = (
        "import sys; from tasks.sources.discovery import Search, files_under\n"
        "assert len(files_under(sys.argv[1], Search('source', 'auto')).files) == 1\n"
        "print(*sorted({'pyiceberg', 'deltalake'} & sys.modules.keys()))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def imported() -> list[str]:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.split()

    assert imported() == []
    (tmp_path / "a.csv").unlink()
    write_deltalake(tmp_path / "t", rows("a"))
    assert imported() == ["deltalake"]

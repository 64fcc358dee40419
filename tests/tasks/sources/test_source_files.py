"""The files of a source: listed, dated, downloaded, and named without secrets."""

from __future__ import annotations

from datetime import date

import fsspec
import pytest
from worlds.log_world import AS_OF, Logs

from sql.source import Source
from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import InputError
from tasks.sources.discovery import discover
from tasks.sources.source_files import SourceFile, day_in, fetch, last_day, partitions, redacted

T = "2026-03-01 10:00:00"
COLUMNS = {"user": "user", "item": "item", "timestamp": "time"}


def source(path, **settings) -> Source:
    return Source(path=path, columns=COLUMNS, **settings)


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def names(files) -> list[str]:
    return [file.address.rsplit("/", 1)[-1] for file in files]


def test_the_logs_of_a_folder_are_sorted_by_name(tmp_path):
    for name in ("b.csv", "a.csv.gz", "sub/c.jsonl", "d.PARQUET", ".hidden.csv", "_SUCCESS", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert names(discover(source(str(tmp_path)), AS_OF).files) == [
        "a.csv.gz",
        "b.csv",
        "d.PARQUET",
        "c.jsonl",
    ]


def test_globs_and_several_paths_list_each_file_once(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x")
    assert names(discover(source([f"{tmp_path}/*.csv", f"{tmp_path}/b.csv"]), AS_OF).files) == [
        "a.csv",
        "b.csv",
    ]


@pytest.mark.parametrize("path", ["{}/nothing", "{}/*.csv", "{}", "nosuch://bucket/x"])
def test_no_files_is_an_error_that_names_the_path(tmp_path, path):
    with pytest.raises(InputError, match=r"\[source\] path = .*(no such file|no files there|cannot be read)"):
        discover(source(path.format(tmp_path)), AS_OF)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("%Y-%m-%d", "log-2026-03-02.csv"),
        ("%Y%m%d", "20260302.csv.gz"),
        ("%Y%m%d", "log20260302235959.csv"),
        ("log_%Y_%j", "log_2026_061.csv"),
        ("log_%Y_%j", "log_2026_61.csv"),
        ("%d.%m.%Y", "x-2.3.2026.csv"),
        ("%d.%m.%Y", "x-02.03.2026.csv"),
        ("%y%m%d", "x-260302.csv"),
        ("%b-%d-%Y", "log Mar-2-2026.csv"),
        ("%d %B %Y", "2 March 2026.jsonl"),
        ("%G-W%V", "log-2026-W10.csv"),
        ("%G%V", "log-202610.csv"),
        ("%G-W%V-%u", "log-2026-W10-1.csv"),
        ("(%Y)%%%m-%d.x", "a+(2026)%03-02.xyz.csv"),
    ],
)
def test_the_date_in_a_name_decides_whether_a_file_is_read(tmp_path, pattern, name):
    (tmp_path / name).write_text("x")
    assert len(discover(source(str(tmp_path), file_date=pattern), date(2026, 3, 2)).files) == 1
    assert discover(source(str(tmp_path), file_date=pattern), date(2026, 3, 1)).files == []


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("%d.%m", "no year"),
        ("%Y-%Q", "unknown %Q; known: %Y, %m"),
        ("%Y-%-d", "unknown %-"),
        ("%Y-%d", "it tells no day, week, month or year"),
        ("%Y-%Y", "redefinition"),
        ("%c", "unknown %c"),
        ("log", "no year"),
    ],
)
def test_a_pattern_that_no_name_could_fit_is_refused_with_the_configuration(tmp_path, pattern, problem):
    with pytest.raises(ValueError, match="expected a strptime pattern such as %Y-%m-%d") as caught:
        source(str(tmp_path), file_date=pattern)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "name", "last"),
    [
        ("%Y", "2026.csv", date(2026, 12, 31)),
        ("%Y-%m", "2026-02.csv", date(2026, 2, 28)),
        ("%b%y", "Feb24.csv", date(2024, 2, 29)),
        ("%G-W%V", "2026-W53.csv", date(2027, 1, 3)),
        ("%G-W%V-%u", "2026-W53-7.csv", date(2027, 1, 3)),
        ("%Y-%j", "2026-365.csv", date(2026, 12, 31)),
        ("%d.%m.%y", "31.1.26.csv", date(2026, 1, 31)),
        (None, "2026-02-01.csv", None),
    ],
)
def test_the_last_day_of_the_period_in_a_name(tmp_path, pattern, name, last):
    (tmp_path / name).write_text("x")
    (file,) = discover(source(str(tmp_path), file_date=pattern), date(2030, 1, 1)).files
    assert last_day(file, pattern) == last


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("%Y-%m-%d", "log.csv"),
        ("%Y-%m-%d", "log-2026-02-30.csv"),
        ("%d.%m.%Y", "log-111.11.2026.csv"),
        ("%Y-%m-%d", "log-2026-11-021.csv"),
        ("%G-W%V", "log-2026-W54.csv"),
        ("%G-W%V", "log-2025-W53.csv"),
        ("%Y-%j", "log-2026-366.csv"),
    ],
)
def test_a_name_without_its_date_is_an_error(tmp_path, pattern, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=rf"{name}: expected a date like {pattern} in the file's name"):
        discover(source(str(tmp_path), file_date=pattern), AS_OF)


def test_remote_files_with_equal_base_names_stay_apart(tmp_path, duckdb_engine, memory):
    memory.pipe("/bucket/first/events.csv", f"user,item,time\nu1,i1,{T}\n".encode())
    memory.pipe("/bucket/two/events.csv", f"user,item,time\nu2,i2,{T}\n".encode())
    logs = Logs(tmp_path, duckdb_engine, path="memory://bucket")
    assert logs.ingest().ingested == 2
    assert [row[0] for row in logs.rows()] == ["u1", "u2"]
    assert [file.address for file in Ledger.read(logs.store).files()] == [
        "memory:///bucket/first/events.csv",
        "memory:///bucket/two/events.csv",
    ]
    assert logs.ingest().ingested == 0
    assert not (logs.store.runs / ".ingest").exists()


def test_a_download_that_fails_names_the_file(tmp_path, memory):
    memory.pipe("/bucket/events.csv", b"x")
    [file] = discover(source("memory://bucket/events.csv"), AS_OF).files
    memory.rm("/bucket/events.csv")
    with pytest.raises(InputError, match=r"memory://.*events\.csv: cannot be downloaded"):
        fetch(file, tmp_path)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://bucket/log.csv", "s3://bucket/log.csv"),
        ("sftp://me:pa55word@host:22/log.csv", "sftp://host:22/log.csv"),
        ("sftp://me:p@55:word@host/log.csv", "sftp://host/log.csv"),
        ("https://host/log.csv?sig=s3cret&key=s3cret", "https://host/log.csv#"),
        ("cannot reach https://me:s3cret@host/a?token=s3cret now", "cannot reach https://host/a#"),
        ("/logs/what?.csv", "/logs/what?.csv"),
        ("/logs/me@home.csv", "/logs/me@home.csv"),
    ],
)
def test_names_of_files_have_no_secrets(address, expected):
    assert redacted(address).startswith(expected)
    assert "s3cret" not in redacted(address)
    assert "55" not in redacted(address)


def test_urls_that_differ_only_in_their_query_stay_different():
    assert redacted("https://host/get.csv?day=1") != redacted("https://host/get.csv?day=2")


def test_messages_have_no_secrets(monkeypatch):
    with pytest.raises(InputError) as failed:
        discover(source("https://me:s3cret@127.0.0.1:1/log.csv?sig=s3cret"), AS_OF)
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    ("pattern", "day", "expected"),
    [
        ("%Y-%m-%d", date(2026, 2, 28), date(2026, 2, 28)),
        ("%Y%j", date(2026, 12, 31), date(2026, 12, 31)),
        ("%Y-%m", date(2026, 2, 1), date(2026, 2, 28)),
        ("%Y-%m", date(2028, 12, 1), date(2028, 12, 31)),
        ("%Y", date(2026, 1, 1), date(2026, 12, 31)),
        (None, None, None),
    ],
)
def test_the_last_day_of_a_file_is_the_end_of_the_period_in_its_name(
    pattern: str | None, day: date | None, expected: date | None
) -> None:
    assert last_day(SourceFile("logs/x.csv", 1, "", day), pattern) == expected


def test_folders_with_an_equals_sign_tell_columns() -> None:
    told = partitions(
        "s3://bucket/t/day=2026-01-05/country=C%C3%B4te%20d%27Ivoire/x=__HIVE_DEFAULT_PARTITION__/a=b.csv"
    )
    assert told == {"day": "2026-01-05", "country": "Côte d'Ivoire", "x": None}
    assert partitions("/logs/=1/ =2/plain/a.csv") == {}
    assert partitions("/logs/my%20day=1/50% %=2/a.csv") == {"my day": "1", "50% %": "2"}


@pytest.mark.parametrize(
    ("name", "pattern", "day"),
    [
        ("t/day=2026-01-05/part-0.csv", "%Y-%m-%d", date(2026, 1, 5)),
        ("t/day=2026-01-05/2026-01-06.csv", "%Y-%m-%d", date(2026, 1, 6)),
        ("t/2026/01/05/part-0.csv", "%Y/%m/%d", date(2026, 1, 5)),
        ("t/year=2026/month=1/part-0.csv", "year=%Y/month=%m", date(2026, 1, 1)),
    ],
)
def test_the_date_of_a_file_can_be_in_its_folders(name: str, pattern: str, day: date) -> None:
    assert day_in(name, pattern) == day


def test_a_date_in_a_folder_of_another_kind_is_not_taken() -> None:
    with pytest.raises(InputError, match=r"part-0.csv: expected a date like %Y-%m-%d"):
        day_in("backup-2026-01-05/part-0.csv", "%Y-%m-%d")


def test_equal_files_in_two_folders_are_two_files(tmp_path, duckdb_engine) -> None:
    logs = Logs(tmp_path, duckdb_engine)
    for kind in ("view", "buy"):
        (logs.folder / f"kind={kind}").mkdir()
        logs.write(f"kind={kind}/a.csv", "u,i,2026-01-05")
    columns = {"user": "user", "item": "item", "timestamp": "time", "event_type": "kind"}
    for _ in range(2):
        logs.ingest(columns=columns)
    assert sorted(logs.rows("user_id, event_type")) == [("u", "buy"), ("u", "view")]
    assert len(Ledger.read(logs.store).files()) == 2

"""Which files of a source are read; nothing is passed over without a word."""

from __future__ import annotations

import gzip
import os
import time
from datetime import date
from pathlib import Path

import pytest
from worlds.log_world import Logs

from sql.source import Source
from tasks.runtime.errors import InputError
from tasks.sources.discovery import Discovered, LeftOut, discover

AS_OF = date(2026, 3, 10)
COLUMNS = {"user": "user", "item": "item", "timestamp": "time"}
HEAD = "user,item,time\n"
ROW = "u1,i1,2026-03-01 10:00:00\n"


def files(root: Path, *names: str, content: str = "x") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def found(root: Path, *paths: str, **keys: object) -> Discovered:
    path = tuple(f"{root}/{path}" for path in paths) if len(paths) > 1 else f"{root}/{''.join(paths)}"
    return discover(Source.model_validate({"path": path, "columns": COLUMNS, **keys}), AS_OF)


def read(root: Path, *paths: str, **keys: object) -> list[str]:
    return [os.path.relpath(file.address, root) for file in found(root, *paths, **keys).files]


def reasons(root: Path, *paths: str, **keys: object) -> dict[str, int]:
    return {part.reason: part.files for part in found(root, *paths, **keys).left_out}


def test_hidden_and_temporary_files_are_left_out_at_any_depth(tmp_path: Path) -> None:
    files(tmp_path, "_kept/a.csv", "_kept/.b.csv", "_kept/_temporary/0/c.csv", "_kept/.Trash-0/files/d.csv")
    files(tmp_path, "_kept/day/.ipynb_checkpoints/e.csv", "_kept/event_date=2026-03-01/f.csv")
    files(tmp_path, "_kept/lost+found/g.csv")
    for path in ("_kept", "_kept/**/*.csv", "_kept/*"):
        assert read(tmp_path, path) == ["_kept/a.csv", "_kept/event_date=2026-03-01/f.csv"], path
        assert reasons(tmp_path, path) == {"hidden or temporary": 4}, path
    hidden = found(tmp_path, "_kept").left_out[0]
    assert hidden.examples[0] == f"{tmp_path}/_kept/.Trash-0/"  # what is in it is not looked at


def test_bins_indexes_and_locks_of_other_systems_are_left_out(tmp_path: Path) -> None:
    folders = ("$RECYCLE.BIN", "RECYCLER", "#recycle", "@Recycle", "@eaDir", "System Volume Information")
    files(tmp_path, "a.csv", "#1.csv", "$b.csv", "~$orders.xlsx", *(f"{name}/x.csv" for name in folders))
    assert read(tmp_path, "") == ["#1.csv", "$b.csv", "a.csv"]
    assert reasons(tmp_path, "") == {"hidden or temporary": 7}
    assert read(tmp_path, "@eaDir") == ["@eaDir/x.csv"]  # named, it is wanted


def test_markers_of_other_programs_hold_no_rows_and_need_no_words(tmp_path: Path) -> None:
    files(
        tmp_path, "a.csv", "_SUCCESS", "._SUCCESS.crc", ".a.csv.crc", "_committed_1", "_metadata", ".DS_Store"
    )
    assert read(tmp_path, "") == ["a.csv"]
    assert reasons(tmp_path, "") == {}


def test_unknown_formats_and_compressions_are_left_out_with_examples(tmp_path: Path) -> None:
    files(tmp_path, "a.csv", "b.csv.lz4", "c.csv.7z", "d.csv.1", "e.pb", "part-0", "f.tar.gz")
    assert read(tmp_path, "") == ["a.csv"]
    (part,) = found(tmp_path, "").left_out
    assert (part.reason, part.files, len(part.examples)) == ("of unknown format or compression", 6, 3)
    assert part.warning() == (
        "[source] not read: 6 of unknown format or compression "
        f"({tmp_path}/b.csv.lz4, {tmp_path}/c.csv.7z, {tmp_path}/d.csv.1, ...)"
    )
    assert read(tmp_path, "", format="csv") == ["a.csv", "d.csv.1", "e.pb", "f.tar.gz", "part-0"]
    assert reasons(tmp_path, "", format="csv") == {"of unknown format or compression": 2}


def test_a_name_that_is_not_utf8_is_reported_with_escapes(tmp_path: Path) -> None:
    files(tmp_path, "a.csv", "\u00fc\u65e5.csv")
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("x")
    assert read(tmp_path, "") == ["a.csv", "\u00fc\u65e5.csv"]
    (part,) = found(tmp_path, "").left_out
    assert str(part) == f"1 with a name that is not UTF-8 ({tmp_path}/caf\\xe9.csv)"


def test_an_empty_file_counts_once_it_has_content(tmp_path: Path) -> None:
    files(tmp_path, "a.csv")
    files(tmp_path, "b.csv", content="")
    assert (read(tmp_path, ""), reasons(tmp_path, "")) == (["a.csv"], {"empty": 1})
    files(tmp_path, "b.csv")
    assert (read(tmp_path, ""), reasons(tmp_path, "")) == (["a.csv", "b.csv"], {})


def test_each_path_must_have_files(tmp_path: Path) -> None:
    files(tmp_path, "here/a.csv", "there/b.parquet.zst")
    for path in ("gone", "there", "gone/*.csv"):
        with pytest.raises(InputError, match=rf"\[source\] path = {tmp_path}/{path.replace('*', '.')}: no"):
            found(tmp_path, "here", path)
    with pytest.raises(
        InputError, match=r"no files there; .*; not read: 1 of unknown format .*b\.parquet\.zst"
    ):
        found(tmp_path, "there")


def test_folders_that_a_glob_matches_are_searched(tmp_path: Path) -> None:
    files(tmp_path, "logs/a.csv", "logs/2026-03-01/b.csv", "logs/2026-03-01/deep/c.csv")
    assert read(tmp_path, "logs/*") == ["logs/2026-03-01/b.csv", "logs/2026-03-01/deep/c.csv", "logs/a.csv"]


@pytest.mark.parametrize("path", ["logs", "logs/*", "logs/**/*.csv"])
def test_links_are_followed_and_each_file_is_read_once(tmp_path: Path, path: str) -> None:
    files(tmp_path, "archive/a.csv", "archive/sub/b.csv", "logs/c.csv")
    (tmp_path / "logs" / "old").symlink_to(tmp_path / "archive")
    (tmp_path / "logs" / "older").symlink_to(tmp_path / "archive")
    (tmp_path / "logs" / "again.csv").symlink_to("c.csv")
    (tmp_path / "logs" / "dead.csv").symlink_to("nothing.csv")
    assert read(tmp_path, path) == ["logs/c.csv", "logs/old/a.csv", "logs/old/sub/b.csv"]
    assert reasons(tmp_path, path) == {
        "a link to a file that is read under another name": 3,
        "a link to nothing": 1,
    }


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    files(tmp_path, "logs/a.csv")
    (tmp_path / "logs" / "back").symlink_to(tmp_path / "logs")
    with pytest.raises(InputError, match=r"logs/back: a link to a folder that holds it"):
        found(tmp_path, "logs")


def test_the_ingest_tells_what_it_left_out_and_takes_empty_parts(tmp_path: Path, duckdb_engine) -> None:
    logs = Logs(tmp_path, duckdb_engine)
    files(logs.folder, "a.csv", content=HEAD + ROW)
    files(logs.folder, "b.csv", content="")
    (logs.folder / "c.csv.gz").write_bytes(gzip.compress(b""))
    ingested = logs.ingest()
    assert (ingested.ingested, ingested.counts.accepted) == (2, 1)
    assert ingested.left_out == (LeftOut("empty", 1, (f"{logs.folder}/b.csv",)),)
    files(logs.folder, "b.csv", content=HEAD + ROW.replace("u1", "u2"))
    again = logs.ingest()
    assert (again.ingested, again.counts.accepted, again.left_out) == (1, 1, ())


def test_files_that_may_still_be_written_are_left_for_another_night(tmp_path: Path, duckdb_engine) -> None:
    logs = Logs(tmp_path, duckdb_engine)
    for name, age in (("new.csv", 5), ("old.csv", 500), ("skewed.csv", -5_000)):
        path = logs.write(name, ROW.strip().replace("u1", name))
        os.utime(path, (when := time.time() - age, when))
    assert read(logs.folder, "", settle_seconds=60) == ["old.csv", "skewed.csv"]
    (part,) = found(logs.folder, "", settle_seconds=60).left_out
    assert part.reason == "still being written (changed less than settle_seconds ago)"
    ingested = logs.ingest(settle_seconds=60)
    assert (ingested.ingested, len(ingested.left_out)) == (2, 1)
    assert logs.ingest(settle_seconds=1000).left_out[0].files == 2  # but none is gone
    assert logs.ingest().ingested == 1
    rebuilt = logs.ingest(settle_seconds=1000, rebuild=True)
    assert (rebuilt.ingested, rebuilt.notes) == (3, ())
    os.utime(logs.folder / "old.csv")
    (logs.folder / "new.csv").unlink()
    (logs.folder / "skewed.csv").unlink()
    assert logs.ingest(settle_seconds=60).ingested == 0  # all files may still be written: no error

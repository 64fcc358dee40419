"""The store's layout, lock and atomic writes."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.hostile_names import HOSTILE_IDS

from tasks.monitoring.status import lock_holder
from tasks.runtime.errors import StoreError, StoreLockedError
from tasks.store.files import read_json, read_sealed, readable, sha256_of, write_json_atomically, writing
from tasks.store.layout import Store
from tasks.store.names import is_release_id, release_id_of, split_release_id


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").create()


def test_the_layout_is_the_contract_s(store: Store) -> None:
    assert store.release("2026-01-02-r1") == store.root / "releases/2026-01-02-r1"
    assert store.ingest("i1") == store.root / "ingests/i1.json"
    assert store.pointer == store.root / "current.json"
    assert store.interactions.is_dir()
    assert store.quarantine.is_dir()


@given(HOSTILE_IDS)
def test_no_id_leads_out_of_the_store(name: str) -> None:
    store = Store(Path("/nowhere/store"))
    for path, depth in (
        (lambda: store.ingest(name), 2),
        (lambda: store.release(name), 2),
        (lambda: store.release(f"2026-01-02-{name}"), 2),
    ):
        with suppress(StoreError):
            inside = path().relative_to(store.root).parts
            assert len(inside) == depth
            assert all(part.isascii() and part[0].isalnum() for part in inside)


@given(st.dates(), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True))
def test_a_release_id_gives_back_its_date_and_run(as_of: dt.date, run_id: str) -> None:
    assert split_release_id(release_id_of(as_of, run_id)) == (as_of, run_id)


@given(HOSTILE_IDS)
def test_only_real_dates_make_release_ids(name: str) -> None:
    assert not is_release_id(f"2026-02-30-{name}")
    assert not is_release_id(None)


def test_a_link_that_leads_out_of_the_store_is_refused(store: Store, tmp_path: Path) -> None:
    (store.root / "releases").rmdir()
    (store.root / "releases").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="expected a path inside the store"):
        store.release("2026-01-02-r1")


def test_the_store_itself_may_be_a_link(store: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.root)
    assert Store(tmp_path / "link").create().releases == tmp_path / "link/releases"


def test_a_path_that_duckdb_would_take_apart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"expected a store whose path has no '\?'"):
        Store(tmp_path / "a?b" / "store").create()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["file", "file/below", "/proc/nightshelf"])
def test_a_store_that_cannot_be_written_says_so(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreError), match=r"cannot write .*: "):
        Store(tmp_path / root).create()


def test_too_little_disk_space_is_an_error_with_both_figures(store: Store) -> None:
    store.require_free(1)
    with pytest.raises(
        StoreError, match=r"not enough disk space in .*: needed 1024\.0 TiB, free [0-9.]+ [MGT]iB"
    ):
        store.require_free(2**50)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="no space left on the disk"),
        writing(tmp_path),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x")


def test_sizes_are_readable() -> None:
    assert [readable(n) for n in (0, 1023, 1536, 5 * 2**30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]


def test_sha256_is_the_standard_s(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_json_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json_atomically(path, {"as_of": dt.date(2026, 1, 2), "path": Path("/x"), "ü": 1})
    assert read_json(path) == {"as_of": "2026-01-02", "path": "/x", "ü": 1}
    for bad in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json_atomically(path, bad)
    assert json.loads(path.read_text(encoding="utf-8"))["as_of"] == "2026-01-02"
    assert list(tmp_path.iterdir()) == [path]


def test_no_bit_of_a_json_file_flips_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json_atomically(path, {"as_of": "2026-01-02", "value": 0.30000000000000004, "none": None, "ü": []})
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(StoreError, match=r"cannot read|damaged|expected a JSON object"):
            read_json(path)
    path.write_bytes(whole)
    content = read_json(path)
    write_json_atomically(path, content | {"seal": "stale", "sealed_by": "another"})  # read without read_json
    assert read_json(path) == content
    path.write_text('{"as_of": "by hand, or of 0.1"}')
    assert read_sealed(path) == ({"as_of": "by hand, or of 0.1"}, False)


HOLD = """
import sys
from pathlib import Path
from tasks.store.layout import Store
with Store(Path(sys.argv[1])).lock("nightly 2026-01-02"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(store: Store) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLD, str(store.root)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_hears_who_holds_the_lock_and_a_dead_one_holds_none(store: Store) -> None:
    with hold(store) as process:
        message = rf"locked by pid {process.pid} on .* \(nightly 2026-01-02\) since 20"
        with pytest.raises(StoreError, match=message), store.lock("backfill"):
            pass
        process.kill()
        process.wait()
    assert (store.root / ".lock.holder.json").exists()  # the dead process could not tidy up
    with store.lock("backfill"):
        assert json.loads((store.root / ".lock.holder.json").read_text())["purpose"] == "backfill"
    assert not (store.root / ".lock.holder.json").exists()


def test_a_date_is_locked_apart_from_the_store_and_from_other_dates(store: Store) -> None:
    with store.lock("writer"), store.date_lock("2026-01-02", "night"), store.date_lock("2026-01-03", "other"):
        message = (
            rf"the date 2026-01-02 of the store .* is locked by pid {os.getpid()} on .* \(night\) since 20"
        )
        with pytest.raises(StoreLockedError, match=message), store.date_lock("2026-01-02", "second"):
            pass
        at_work = store.dates_at_work()
        assert [str(day) for day in at_work] == ["2026-01-02", "2026-01-03"]
        assert "(night)" in at_work[dt.date(2026, 1, 2)]
        assert lock_holder(store) is not None
        assert [word in str(lock_holder(store)) for word in ("writer", "night", "other")] == [True] * 3
    (store.root / ".locks" / "2026-01-04.lock").touch()  # of a process that died
    assert store.dates_at_work() == {}
    assert not list((store.root / ".locks").iterdir())
    with pytest.raises(StoreError, match="expected a date"), store.date_lock("../x", "escape"):
        pass


def test_the_lock_excludes_this_process_too_and_waits_when_asked(store: Store) -> None:
    with store.lock("first"):
        with pytest.raises(StoreError, match=rf"pid {os.getpid()} "), store.lock("second", wait=0.1):
            pass
        assert (store.root / ".lock.holder.json").exists()  # the refused one leaves the holder's name
    with pytest.raises(RuntimeError), store.lock("fails"):
        raise RuntimeError
    with store.lock("again"):
        pass

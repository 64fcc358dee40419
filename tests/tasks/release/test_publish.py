"""Making, publishing, taking back and forgetting releases."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.paths import ROOT
from worlds.release_world import FACTS, N, World

from tasks.release.audit import Audit
from tasks.release.database import content_hash
from tasks.release.publish import publish, rollback, stage
from tasks.release.releases import current, previous, releases, verify
from tasks.release.retention import clean, retain
from tasks.release.tables import TABLES, IdTypes, markdown, table
from tasks.release.writer import TableWriter
from tasks.runtime.errors import StoreError, UserError
from tasks.runtime.redaction import redacted
from tasks.store.files import sha256_of

DOCS = ROOT / "docs/tables.md"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- tables


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_documented_with_type_and_unit(name: str) -> None:
    assert markdown(table(name)) in DOCS.read_text(encoding="utf-8")


def test_ids_are_int64_or_string() -> None:
    with pytest.raises(UserError, match="expected item_id of type int64 or string, got double"):
        IdTypes(item=pa.float64())


@pytest.mark.parametrize("text", [False, True])
def test_the_same_rows_give_the_same_bytes_however_they_are_cut(tmp_path: Path, text: bool) -> None:
    world = World(tmp_path, text=text)
    for folder, block in (("a", 1), ("b", 1000)):
        world.write(tmp_path / folder, block)
    for name in TABLES:
        one, other = (tmp_path / folder / f"{name}.parquet" for folder in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_row_groups_do_not_depend_on_the_blocks_and_pages_have_checksums(tmp_path: Path) -> None:
    rows = 250_000
    table = pa.table(
        {
            "item_id": pa.array(range(rows)),
            "rank": pa.array([1] * rows, pa.int32()),
            "similar_item_id": pa.array(range(1, rows + 1)),
            "score": pa.array([0.5] * rows, pa.float32()),
            "source": pa.array(["als"] * rows).dictionary_encode(),
        }
    )
    for folder, block in (("a", 70_000), ("b", rows)):
        with TableWriter(tmp_path / folder, "similar_items", IdTypes()) as writer:
            for start in range(0, rows, block):
                writer.write(table.slice(start, block))
    one, other = (tmp_path / folder / "similar_items.parquet" for folder in "ab")
    assert one.read_bytes() == other.read_bytes()
    metadata = pq.read_metadata(one)
    assert [metadata.row_group(i).num_rows for i in range(3)] == [100_000, 100_000, 50_000]
    content = bytearray(one.read_bytes())
    content[metadata.row_group(1).column(2).data_page_offset + 200] ^= 1
    one.write_bytes(content)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(one, page_checksum_verification=True)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rank": [1]}, "expected columns item_id, rank"),
        ({"item_id": [None]}, "expected no null in similar_items.item_id"),
        ({"item_id": ["x"]}, "rows do not fit the table similar_items"),
        ({"rank": [2**40]}, "rows do not fit the table similar_items"),
    ],
)
def test_rows_that_do_not_fit_leave_no_file(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    good = {"item_id": [1], "rank": [1], "similar_item_id": [2], "score": [0.5], "source": ["als"]}
    block = columns if "expected columns" in message else good | columns

    def write() -> None:
        with TableWriter(tmp_path, "similar_items", IdTypes()) as writer:
            writer.write(good)
            writer.write(block)

    with pytest.raises(UserError, match=message):
        write()
    assert list(tmp_path.iterdir()) == []


def test_the_content_hash_knows_values_order_and_nulls_but_not_batches() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.int64())])

    def hashed(a: list[str | None], b: list[int | None], batch: int = 10) -> str:
        return content_hash(pa.table([a, b], schema=schema).to_batches(batch), schema)

    base = hashed(["x", "yz", None], [1, None, 3])
    assert hashed(["x", "yz", None], [1, None, 3], batch=1) == base
    others = [
        hashed(["xy", "z", None], [1, None, 3]),
        hashed(["x", "yz", ""], [1, None, 3]),
        hashed(["x", "yz", None], [1, 0, 3]),
        hashed(["yz", "x", None], [1, None, 3]),
    ]
    assert len({base, *others}) == 5
    assert hashed([], []) != base


# --- staging and the manifest


@pytest.mark.parametrize("text", [False, True])
def test_a_good_release_is_published_with_all_it_promises(tmp_path: Path, text: bool) -> None:
    world = World(tmp_path, text=text)
    release = world.publish()
    assert release == current(world.store)
    assert (release.release_id, str(release.as_of), release.rows, release.active) == (
        "2026-01-02-r1",
        "2026-01-02",
        4 * N,
        True,
    )
    names = {*(f"{name}.parquet" for name in TABLES), "nightshelf.duckdb", "manifest.json"}
    assert {path.name for path in release.folder.iterdir()} == names
    assert verify(release) == []
    manifest = release.manifest()
    for name, described in manifest["files"].items():
        assert described["sha256"] == sha256_of(release.folder / name)
    assert manifest["files"]["recommendations.parquet"]["rows"] == 4 * N
    life = dt.datetime.fromisoformat(manifest["expires_at"]) - dt.datetime.fromisoformat(
        manifest["created_at"]
    )
    assert life == dt.timedelta(hours=48)
    assert set(FACTS) <= set(manifest)
    assert manifest["model_metrics"] == {"als": {"ndcg@10": None}}
    assert "hunter2" not in json.dumps(manifest)
    assert manifest["audit"]["checks"] > 30
    assert not world.store.staging("2026-01-02", "r1").exists()
    pointer = json.loads(world.store.pointer.read_text())
    assert (pointer["release_id"], pointer["as_of"]) == ("2026-01-02-r1", "2026-01-02")


def test_two_builds_have_identical_tables(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
    manifests = [World(tmp_path / folder).publish().manifest() for folder in "ab"]
    assert manifests[0]["database_content"] == manifests[1]["database_content"]
    for name in TABLES:
        assert manifests[0]["files"][f"{name}.parquet"] == manifests[1]["files"][f"{name}.parquet"]


def test_the_database_has_the_tables_comments_and_views_and_an_old_format(world: World) -> None:
    release = world.publish()
    with duckdb.connect(str(release.database), read_only=True) as con:
        for name in TABLES:
            rows = con.execute(f"SELECT * FROM {name}").fetchall()
            assert rows == con.execute(f"SELECT * FROM '{release.table(name)}'").fetchall()
        tags = con.execute(
            "SELECT tags FROM duckdb_databases() WHERE database_name = 'nightshelf'"
        ).fetchone()
        assert tags == ({"storage_version": "v1.4.0+"},)
        uncommented = "SELECT count(*) FROM duckdb_columns() WHERE comment IS NULL AND table_name = ANY(?)"
        assert con.execute(uncommented, [list(TABLES)]).fetchone() == (0,)
        assert con.execute("SELECT comment FROM duckdb_tables() WHERE comment IS NULL").fetchall() == []
        sql = "SELECT title, reason_title FROM recommendations_with_titles WHERE user_id = 10 ORDER BY rank"
        assert con.execute(sql).fetchall() == [
            ("Title 102", "Title 100"),
            ("Title 103", None),
            ("Title 104", None),
        ]
        assert con.execute("SELECT similar_title FROM similar_items_with_titles LIMIT 1").fetchone()
        assert con.execute("SELECT title FROM popular_items_with_titles LIMIT 1").fetchone()
        info = con.execute(
            "SELECT release_id, as_of, users, recommendations, items FROM release_info"
        ).fetchone()
        assert info == ("2026-01-02-r1", dt.date(2026, 1, 2), 4, 12, 8)


def test_staging_again_replaces_what_a_crash_left(world: World) -> None:
    folder = world.store.staging("2026-01-02", "r1")
    (folder / ".spill").mkdir(parents=True)
    (folder / ".x.tmp").write_text("half")
    (folder / "nightshelf.duckdb").write_text("half")
    (folder / "nightshelf.duckdb.wal").write_text("half")
    assert verify(world.publish()) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "renamed"])
def test_a_table_that_cannot_be_read_stops_the_staging(world: World, damage: str) -> None:
    folder = world.store.staging("2026-01-02", "r1")
    world.write(folder)
    path = folder / "recommendations.parquet"
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-20])
    elif damage == "flipped":
        scores = pq.read_metadata(path).row_group(0).column(3)
        content[scores.data_page_offset + scores.total_compressed_size - 3] ^= 1
        path.write_bytes(content)
    else:
        pq.write_table(pq.read_table(path).rename_columns(["a", "b", "c", "d", "e", "f"]), path)
    with pytest.raises(StoreError, match=r"cannot build .*nightshelf\.duckdb from the tables beside it"):
        stage(
            world.store,
            "2026-01-02",
            "r1",
            items=world.dataset / "items.parquet",
            ids=world.ids,
            facts=FACTS,
        )
    assert not (folder / "manifest.json").exists()


def test_facts_that_lack_or_collide_are_refused(world: World) -> None:
    world.stage()
    arguments: dict[str, Any] = {"items": world.dataset / "items.parquet", "ids": world.ids}
    with pytest.raises(StoreError, match="missing: code_version"):
        stage(
            world.store,
            "2026-01-02",
            "r1",
            facts={k: FACTS[k] for k in FACTS if k != "code_version"},
            **arguments,
        )
    with pytest.raises(StoreError, match="beside the manifest's own names, got files"):
        stage(world.store, "2026-01-02", "r1", facts=FACTS | {"files": {}}, **arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://user:pass@bucket/x", "s3://***@bucket/x"),
        ("postgresql+psycopg://u:p@ss@host:5432/db", "postgresql+psycopg://***@host:5432/db"),
        ("ftp://u:p/w@host/x", "ftp://***@host/x"),
        ("https://host:8080/path@v1/x", "https://host:8080/path@v1/x"),
        ("https://host/path@v1/x:y", "https://host/path@v1/x:y"),
        ("see ftp://a:b@h/1, ftp://c:d@h/2", "see ftp://***@h/1, ftp://***@h/2"),
        ("https://h/x?sig=abc&part=1&X-Amz-Signature=d", "https://h/x?sig=***&part=1&X-Amz-Signature=***"),
        ("someone@example.org", "someone@example.org"),
    ],
)
def test_secrets_in_addresses_are_replaced(text: str, expected: str) -> None:
    assert redacted({"list": [{"input": text}]}) == {"list": [{"input": expected}]}


def test_secrets_are_known_by_their_names() -> None:
    given = {"password": "x", "aws_secret": "x", "api_key": "x", "key": "user_id", "tokens": 3, "token": None}
    assert redacted(given) == given | {"password": "***", "aws_secret": "***", "api_key": "***"}


# --- the audit

Columns = dict[str, list[Any]]
REC, SIM, POP = "recommendations", "similar_items", "popular_items"


def put(column: str, row: int, value: Any) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[column][row] = value

    return change


def swap(row: int, other: int) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        for values in columns.values():
            values[row], values[other] = values[other], values[row]

    return change


def drop(first: int, last: int) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        for values in columns.values():
            del values[first:last]

    return change


def add(**row: Any) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        for column, values in columns.items():
            values.append(row.get(column, values[-1]))

    return change


FAULTS = [
    (REC, put("item_id", 1, 102), "whose item stands in the list already: expected 0, got 1"),
    (REC, put("item_id", 1, 101), "whose item the user has already had: expected 0, got 1"),
    (REC, put("item_id", 1, 999), "unknown item in item_id: expected 0, got 1"),
    (REC, put("item_id", 1, 107), "unavailable item in item_id: expected 0, got 1"),
    (REC, put("score", 1, float("nan")), "score that is not finite: expected 0, got 1"),
    (REC, put("score", 0, float("inf")), "score that is not finite: expected 0, got 1"),
    (REC, put("score", 2, 0.75), "score above that of the rank before: expected 0, got 1"),
    (REC, put("rank", 2, 4), "rank that is not 1, 2, 3, ... of its list: expected 0, got 1"),
    (REC, put("rank", 0, 0), "rank that is not 1, 2, 3, ... of its list: expected 0, got 2"),
    (REC, swap(0, 1), "rank that is not 1, 2, 3, ... of its list: expected 0, got 3"),
    (REC, swap(2, 3), "not sorted by user_id: expected 0, got 1"),
    (REC, drop(3, 6), "known users without rows: expected 0, got 1"),
    (REC, drop(9, 12), "known users without rows: expected 0, got 1"),
    (REC, drop(2, 3), "users with more or fewer than 3 rows: expected 0, got 1"),
    (REC, add(rank=4, item_id=104), "users with more or fewer than 3 rows: expected 0, got 1"),
    (REC, add(user_id=50, rank=1), "users who are not in the dataset: expected 0, got 1"),
    (REC, put("reason_item_id", 0, 105), "reason is not in the user's history: expected 0, got 1"),
    (REC, put("reason_item_id", 0, 999), "unknown item in reason_item_id: expected 0, got 1"),
    (REC, drop(0, 12), "known users without rows: expected 0, got 4"),
    (SIM, put("similar_item_id", 0, 100), "that list the item itself: expected 0, got 1"),
    (SIM, put("similar_item_id", 1, 101), "whose item stands in the list already: expected 0, got 1"),
    (SIM, put("similar_item_id", 1, 107), "unavailable item in similar_item_id: expected 0, got 1"),
    (SIM, put("item_id", 2, 999), "unknown item in item_id: expected 0, got 1"),
    (SIM, put("rank", 2, 2), "rank that is not 1, 2, 3, ... of its list: expected 0, got 1"),
    (SIM, put("score", 1, 0.75), "score above that of the rank before: expected 0, got 1"),
    (SIM, swap(0, 2), "not sorted by item_id: expected 0, got 1"),
    (POP, put("rank", 1, 3), "rank that is not 1, 2, 3, ... of its list: expected 0, got 1"),
    (POP, put("item_id", 1, 100), "whose item stands in the list already: expected 0, got 1"),
    (POP, put("item_id", 1, 999), "unknown item in item_id: expected 0, got 1"),
    (POP, swap(2, 3), "not sorted by (segment, segment_value, window_days): expected 0, got 1"),
    (POP, drop(0, 2), "rows for the segment 'all': expected True, got False"),
    ("model_metrics", put("value", 0, float("nan")), "figures that are not finite: expected 0, got 1"),
    ("model_metrics", put("model", 1, "als"), "rows with the key of another: expected 0, got 1"),
]


@pytest.mark.parametrize(
    ("name", "change", "message", "text"),
    [(*fault, False) for fault in FAULTS] + [(*fault, True) for fault in FAULTS[::4]],
)
def test_the_audit_catches(
    tmp_path: Path, name: str, change: Callable[[Columns], None], message: str, text: bool
) -> None:
    world = World(tmp_path, text=text)
    change(world.tables[name])
    folder = world.store.staging("2026-01-02", "r1")
    world.write(folder)
    outcome = world.audit_folder(folder)
    assert any(
        str(failure).startswith(f"{name}: ") and message in str(failure) for failure in outcome.failures
    )
    with pytest.raises(UserError, match="the release was refused by its audit"):
        outcome.require_passed()


def test_the_audit_knows_blocked_items_and_allowed_repeats(world: World) -> None:
    world.tables[REC]["item_id"][1] = 101
    folder = world.store.staging("2026-01-02", "r1")
    world.write(folder)
    assert world.audit_folder(folder, repeats=True).failures == ()
    failures = world.audit_folder(folder, repeats=True, blocked=[101]).failures
    assert [(f.table, f.check, f.observed) for f in failures] == [
        (REC, "rows with a blocked item in item_id", "3"),
        (SIM, "rows with a blocked item in similar_item_id", "1"),
        (POP, "rows with a blocked item in item_id", "2"),
    ]


def test_the_audit_knows_how_many_similar_items_every_item_must_have(world: World) -> None:
    folder = world.store.staging("2026-01-02", "r1")
    world.write(folder)
    failures = world.audit_folder(folder, similar=2).failures
    others = pq.read_metadata(world.dataset / "items.parquet").num_rows - 2  # 100 has two rows, 101 has one
    assert [(f.table, f.check, f.observed) for f in failures] == [
        (SIM, "known items without rows", str(others)),
        (SIM, "items with more or fewer than 2 rows", "1"),
    ]


def test_the_audit_refuses_missing_files_and_other_schemas(world: World) -> None:
    folder = world.store.staging("2026-01-02", "r1")
    world.write(folder)
    (folder / "model_metrics.parquet").unlink()
    (folder / "popular_items.parquet").write_bytes(b"PAR1")
    path = folder / "similar_items.parquet"
    pq.write_table(pq.read_table(path).rename_columns(["item_id", "rank", "other", "score", "source"]), path)
    failures = {failure.table: failure for failure in world.audit_folder(folder).failures}
    assert failures["model_metrics"].observed == "no file"
    assert failures["popular_items"].observed.startswith("unreadable: ")
    assert "other int64" in failures["similar_items"].observed
    assert "similar_item_id int64 not null" in failures["similar_items"].expected
    assert REC not in failures


def test_the_audit_counts_the_same_in_slices_and_under_odd_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.release.audit._SLICE_ROWS", 2)
    odd = tmp_path / "it's [a] *$ {b}"
    odd.mkdir()
    for text in (False, True):
        world = World(odd, text=text)
        world.tables[REC]["item_id"][1] = 102
        world.tables[REC]["item_id"][11] = 101
        world.tables[SIM]["similar_item_id"][2] = 101
        folder = world.store.staging("2026-01-02", f"r{text}")
        world.write(folder)
        found = [(f.table, f.observed) for f in world.audit_folder(folder).failures]
        assert found == [(SIM, "1"), (REC, "2")]


# --- publishing


def test_only_the_passed_audit_of_this_staging_publishes(world: World) -> None:
    staging = world.stage()
    passed = world.audit(staging)
    other = Audit(world.store.staging("2026-01-01", "r1"), passed.checks, ())
    with pytest.raises(StoreError, match="expected the audit of"):
        publish(world.store, staging, other)
    with pytest.raises(UserError, match="refused by its audit, 1 checks failed"):
        publish(world.store, staging, world.audit(staging, blocked=[104]))
    with (staging.folder / "similar_items.parquet").open("r+b") as file:
        file.write(b"X")
    with pytest.raises(StoreError, match=r"changed since it was staged: similar_items\.parquet"):
        publish(world.store, staging, passed)
    with pytest.raises(StoreError, match="nothing is published"):
        current(world.store)


def test_the_pointer_follows_dates_and_never_goes_back_by_itself(world: World) -> None:
    world.publish("2026-01-03", "r1")
    assert not world.publish("2026-01-02", "backfill").active
    assert current(world.store).release_id == "2026-01-03-r1"
    assert world.publish("2026-01-03", "again").active
    assert not world.publish("2026-01-04", "quiet", activate=False).active
    assert world.publish("2026-01-01", "wanted", activate=True).active
    order = [release.release_id for release in releases(world.store)]
    assert order == [
        "2026-01-01-wanted",
        "2026-01-04-quiet",
        "2026-01-03-again",
        "2026-01-02-backfill",
        "2026-01-03-r1",
    ]


def test_rollback_goes_where_readers_were_and_further_back(world: World) -> None:
    for day in (1, 2, 3):
        world.publish(f"2026-01-0{day}")
    world.publish("2025-12-31", "backfill")  # never active: no rollback leads there
    assert previous(world.store) == "2026-01-02-r1"
    assert rollback(world.store).release_id == "2026-01-02-r1"
    assert rollback(world.store).release_id == "2026-01-01-r1"
    with pytest.raises(StoreError, match="nothing to roll back to"):
        rollback(world.store)
    assert rollback(world.store, "2026-01-03-r1").active
    assert previous(world.store) == "2026-01-01-r1"
    with pytest.raises(StoreError, match="already the active one"):
        rollback(world.store, "2026-01-03-r1")
    with pytest.raises(
        StoreError, match=r"unknown release '2026-01-09-r1'; known: 2025-12-31-backfill, 2026-01-03"
    ):
        rollback(world.store, "2026-01-09-r1")


def test_rollback_refuses_a_damaged_release_and_leaves_a_broken_one(world: World) -> None:
    first, second = world.publish("2026-01-01"), world.publish("2026-01-02")
    with first.database.open("r+b") as file:
        file.seek(5000)
        file.write(b"X")
    (first.folder / "nightshelf.duckdb.wal").write_text("stale")
    assert [problem.split(":")[0] for problem in verify(first)] == [
        "nightshelf.duckdb",
        "nightshelf.duckdb.wal is not part of the release",
    ]
    with pytest.raises(StoreError, match="damaged, readers stay where they are"):
        rollback(world.store)
    assert current(world.store) == second
    third = world.publish("2026-01-03")
    (third.folder / "manifest.json").unlink()
    with pytest.raises(StoreError, match="2026-01-03-r1 is damaged"):
        current(world.store)
    assert rollback(world.store) == second
    assert [release.problem is None for release in releases(world.store)] == [True, True, False]


def test_retention_keeps_the_active_and_the_one_before(world: World) -> None:
    for day in range(1, 6):
        world.publish(f"2026-01-0{day}")
    rollback(world.store)
    rollback(world.store, "2026-01-02-r1")
    assert (current(world.store).release_id, previous(world.store)) == ("2026-01-02-r1", "2026-01-01-r1")
    assert retain(world.store, 1) == ["2026-01-04-r1", "2026-01-03-r1"]
    assert sorted(path.name for path in world.store.releases.iterdir()) == [
        f"2026-01-0{day}-r1" for day in (1, 2, 5)
    ]
    assert retain(world.store, 3) == []
    with pytest.raises(StoreError, match="expected to keep at least 1 release, got 0"):
        retain(world.store, 0)


def test_leftovers_are_cleaned_and_living_things_kept(world: World) -> None:
    release = world.publish("2026-01-01")
    old, young, wanted = (world.stage("2026-01-02", run_id).folder for run_id in ("old", "young", "wanted"))
    for folder in (old, wanted):
        for path in (*folder.iterdir(), folder):
            os.utime(path, (0, 0))
    trash = world.store.releases / ".trash-2025-12-31-r1-abcd"
    trash.mkdir()
    temporary = world.store.root / ".current.json.abcd.tmp"
    temporary.write_text("half")
    assert set(clean(world.store, keep_runs=["wanted"])) == {old, trash, temporary}
    assert young.exists()
    assert wanted.exists()
    assert not old.exists()
    assert verify(release) == []
    assert releases(world.store) == [release]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"release_id": "../../etc"}', '{"release_id": "2026-01-01-r1", "history": 3}']
)
def test_a_damaged_pointer_says_so(world: World, text: str) -> None:
    world.publish("2026-01-01")
    world.store.pointer.write_text(text)
    with pytest.raises(StoreError, match=r"current\.json"):
        current(world.store)


def test_publishing_twice_is_once_but_other_rows_need_another_run(world: World) -> None:
    staging = world.stage()
    audited = world.audit(staging)
    release = publish(world.store, staging, audited)
    assert publish(world.store, staging, audited) == release
    assert world.publish() == release
    world.tables[REC]["score"][0] = 2.0
    with pytest.raises(
        StoreError, match=r"releases are immutable.*recommendations\.parquet.*start a new run"
    ):
        world.publish()
    assert current(world.store) == release


def killed_at(step: int, act: Callable[[], object]) -> bool:
    """Run `act` in a child that is killed at its `step`-th change to a file; False if it finished."""
    child = os.fork()
    if child == 0:
        changes = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal changes
            writes = (
                event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            )
            if writes or event in {"os.rename", "os.remove", "os.rmdir", "os.chmod"}:
                changes += 1
                if changes == step:
                    os._exit(9)

        sys.addaudithook(count)
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_publication_killed_anywhere_leaves_a_whole_release_and_can_be_finished(world: World) -> None:
    yesterday = world.publish("2026-01-01")
    seen = set()
    for step in range(1, 100):
        staging = world.stage("2026-01-02", f"r{step}")
        audited = world.audit(staging)
        died = killed_at(step, lambda: publish(world.store, staging, audited))  # noqa: B023
        readable = current(world.store)
        assert verify(readable) == []
        if not died:
            assert readable.release_id == staging.release_id
            break
        renamed = world.store.release(staging.release_id).exists()
        flipped = readable.release_id == staging.release_id
        assert flipped or readable == yesterday
        seen.add((renamed, flipped))
        assert publish(world.store, staging, audited).active
        assert rollback(world.store, yesterday.release_id) == yesterday
    assert step > 8
    assert seen == {(False, False), (True, False), (True, True)}  # the pointer flips last


def test_a_deletion_killed_anywhere_leaves_no_half_release(world: World) -> None:
    for day in range(1, 4):
        world.publish(f"2026-01-0{day}")
    for step in range(1, 100):
        died = killed_at(step, lambda: retain(world.store, 1))
        for release in releases(world.store):
            assert verify(release) == []
        if not died:
            break
    clean(world.store)
    assert sorted(path.name for path in world.store.releases.iterdir()) == ["2026-01-02-r1", "2026-01-03-r1"]

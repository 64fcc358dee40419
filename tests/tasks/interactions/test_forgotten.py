"""Forgotten users, on both engines: keyed hashes keep them out of logs and datasets."""

from __future__ import annotations

import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.dataset_world import Shop
from worlds.engines import SPARK_IN_TORTURE

from sql.interactions.forgotten import KeyedList, make_forgotten_users
from tasks.erasure.forget import erase, survey
from tasks.interactions.forgotten import NAME, read_forgotten, record_pending
from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import ConfigurationError, StoreError, UserError

NAMES = ("ab", "a b", "Ä", "A\u0308", "日本", "\U0001f600", 'q"uote', "o'neill", "007", " 7", "x" * 300)
BIG, NEXT = 2**63 - 1, 2**53 + 1
TIMES = ("2026-03-09 10:00:00", "2026-03-10 11:00:00")


def test_an_engine_finds_the_same_ids_as_python(engine) -> None:
    plain = KeyedList(b"k" * 32, frozenset())
    listed = KeyedList(plain.key, frozenset(plain.digest(name) for name in NAMES[::2]))
    engine.table("people", pa.table({"user_id": [*NAMES, None, *NAMES]}))
    make_forgotten_users(engine, "people", listed)
    forgotten = engine.fetch("SELECT user_id FROM forgotten_users")["user_id"].to_pylist()
    assert sorted(forgotten) == sorted(NAMES[::2])
    assert [name for name in NAMES if listed.holds(name)] == list(NAMES[::2])


def shop(folder, engine, *, without: bool) -> Shop:
    """Return a shop of int64 ids whose logs have a user, or the same logs without that user."""
    made = Shop(
        folder, engine, source={"user_id_type": "int64", "exclude": [{"name": "free", "where": "value = 0"}]}
    )
    rows = [
        (BIG, "a", TIMES[0]),
        (NEXT, "a", TIMES[0]),
        (NEXT - 1, "b", TIMES[0]),
        (BIG, "b", TIMES[0], {"value": 0}),
        (BIG, "b", "never"),
        (7, "b", TIMES[1]),
        (7, "c", "never", {"colour": str(BIG)}),
        (f"{BIG}x", "b", TIMES[1]),
    ]
    made.log(*[row for row in rows if not (without and row[0] == BIG)])
    return made


def later(made: Shop, *, without: bool) -> None:
    """Ingest another day of logs."""
    rows = [(BIG, "c", TIMES[1]), (NEXT, "c", TIMES[1]), (f"{BIG}.0", "a", TIMES[1]), (BIG, "", TIMES[1])]
    made.log(*[row for row in rows if not (without and str(row[0]).startswith(str(BIG)))], name="b.csv")


@SPARK_IN_TORTURE
def test_forgotten_users_are_removed_from_old_and_new_logs(engine, duckdb_engine, tmp_path) -> None:
    made, never = (
        shop(tmp_path / "shop", engine, without=False),
        shop(tmp_path / "never", duckdb_engine, without=True),
    )
    made.ingest()
    with pytest.raises(UserError, match="unknown users"):
        survey(made.store, [f"0{BIG}"])
    changes = {(change.part, change.rows) for change in erase(made.store, [str(BIG)])}
    assert changes == {("interactions", 1), ("quarantine", 1), ("quarantine", 2)}
    for each in (made, never):
        later(each, without=each is never)
    ours, theirs = made.build(), never.build()
    for part in ("users", "items", "entries"):
        assert ours.rows(part) == theirs.rows(part), part
    order = ("user_index", "item_index", "timestamp", "strength")  # without line, which differs
    assert ours.rows("sequences", *order) == theirs.rows("sequences", *order)
    assert ours.popular_table.equals(theirs.popular_table)
    assert NEXT in ours.rows("users", "user_id")
    counts = Ledger.read(made.store).counts()
    assert (counts.read, counts.residual(), counts.rules["forgotten"]) == (12, 0, 5)
    assert counts.rules["free"] == 1  # excluded rows are not stored, so they stay counted
    kept = [
        pq.read_table(made.store.root / path)
        for m in Ledger.read(made.store).manifests
        for path in m.quarantine
    ]
    assert {user for table in kept for user in table["user_id"].to_pylist()} == {7, None}
    assert {raw for table in kept for raw in table["raw"].to_pylist()} == {None}


def test_an_interrupted_removal_keeps_users_out_of_datasets(duckdb_engine, tmp_path) -> None:
    made = shop(tmp_path / "shop", duckdb_engine, without=False)
    made.ingest()
    record_pending(made.store, [BIG])
    assert BIG not in made.build().rows("users", "user_id")


def test_the_list_holds_no_id_is_private_and_stops_the_ingest_if_damaged(tmp_path) -> None:
    made = Shop(tmp_path / "shop", None)
    record_pending(made.store, ["zq-canary"])
    path = made.store.root / NAME
    assert "canary" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listed = read_forgotten(made.store).keyed()
    assert listed.holds("zq-canary")
    assert not listed.holds("zq-canary2")
    record_pending(made.store, ["another"])
    assert read_forgotten(made.store).keyed().holds("zq-canary")
    path.write_text(path.read_text().replace("format", "fromat"))
    with pytest.raises(StoreError, match=r"forgotten\.json is damaged"):
        read_forgotten(made.store)


def test_the_name_of_the_built_in_rule_is_reserved(tmp_path) -> None:
    made = Shop(tmp_path / "shop", None, source={"exclude": [{"name": "forgotten", "where": "value = 0"}]})
    with pytest.raises((ConfigurationError, ValueError), match="other than 'forgotten'"):
        made.configuration()

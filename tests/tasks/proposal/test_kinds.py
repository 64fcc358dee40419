"""Files of different kinds in a sample: evident ones become sources, others are named with the doubt."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.iceberg_world import catalog_at, folder_of, written
from worlds.proposal_world import configured, proposed

from tasks.configuration.configuration import load
from tasks.configuration.file import read_toml
from tasks.interactions.ingest import ingest
from tasks.sources.discovery import discover
from tasks.store.layout import Store

CLICKS = "uid,sku,ts,kind\n" + "".join(
    f"u{n % 3},i{n % 5},2026-11-30T10:00:{n:02d}Z,{('view', 'cart')[n % 2]}\n" for n in range(9)
)
ORDERS = "Kunde;Artikel;Datum\n" + "".join(f"u{n % 2};i{n % 3};{n + 21}.11.2026 09:00\n" for n in range(6))


def test_files_of_different_kinds_become_sources(tmp_path: Path, duckdb_engine) -> None:
    (tmp_path / "clicks.csv").write_text(CLICKS)
    (tmp_path / "orders-2026.csv").write_text(ORDERS)
    (tmp_path / "ratings.jsonl").write_text(
        '{"who": {"id": "u1"}, "movie": "i1", "stars": 4, "time": 1796040000}\n'
        '{"who": {"id": "u1"}, "movie": "i2", "stars": 2, "time": 1796040001}\n'
        '{"who": {"id": "u2"}, "movie": "i2", "stars": 5, "time": 1796040002}\n'
    )
    (tmp_path / "items.csv").write_text("sku,title\ni1,Cup\ni2,Mug\n")
    (tmp_path / "ratings.jsonl").write_text((tmp_path / "ratings.jsonl").read_text().replace("who", "user"))
    proposal, config = proposed(tmp_path, ".")
    configuration = load(config)
    sources = {source.name: source for source in configuration.sources}
    assert {name: (Path(str(source.path)).name, source.event_type) for name, source in sources.items()} == {
        "clicks": ("clicks.csv", None),
        "orders": ("orders-2026.csv", "orders"),
        "ratings": ("ratings.jsonl", "ratings"),
    }
    assert {name: source.event_weights for name, source in sources.items()} == {
        "clicks": {"view": 1, "cart": 3},
        "orders": {"orders": 5},
        "ratings": {"ratings": 1},
    }
    assert [(source.name, len(source.files)) for source in proposal.sources] == [
        (name, 1) for name in sources
    ]
    assert '# positive = "value IS NULL OR value >= 4"' in proposal.text
    assert '# path = "items.csv"\n# id = "sku"' in proposal.text
    counts = ingest(configuration, Store(tmp_path / "store").create(), duckdb_engine, date(2026, 11, 30))
    assert {name: (part.accepted, part.quarantined) for name, part in counts.sources.items()} == {
        "clicks": (9, 0),
        "orders": (6, 0),
        "ratings": (3, 0),
    }


def test_samples_in_several_folders_become_sources_by_their_folders(tmp_path: Path) -> None:
    for name, content in (("clicks", CLICKS), ("orders", ORDERS)):
        (tmp_path / "lake" / name).mkdir(parents=True)
        (tmp_path / "lake" / name / "part-0.csv").write_text(content)
    first = configured(tmp_path, "lake/clicks", "lake/orders")
    assert [(source.name, source.path) for source in first.sources] == [
        ("clicks", str(tmp_path / "lake" / "clicks")),
        ("orders", str(tmp_path / "lake" / "orders")),
    ]
    (tmp_path / "lake" / "orders" / "readme.csv").write_text("about\nthis\n")
    paths = [source.path for source in configured(tmp_path, "lake/clicks", "lake/orders").sources]
    assert paths == [str(tmp_path / "lake" / "clicks"), str(tmp_path / "lake" / "orders" / "part-0.csv")]


def test_tables_of_different_kinds_become_sources_by_their_folders(tmp_path: Path) -> None:
    views = {"uid": ["u1", "u1", "u2"], "sku": ["i1", "i2", "i2"], "ts": ["2026-11-30T10:00:00Z"] * 3}
    write_deltalake(tmp_path / "lake" / "views", pa.table(views))
    bought = {"customer": ["u1", "u1", "u2"], "item": ["i1", "i2", "i2"], "at": ["2026-11-29T10:00:00Z"] * 3}
    with catalog_at(tmp_path / "warehouse") as catalog:
        shutil.move(folder_of(written(catalog, "sales", pa.table(bought))), tmp_path / "lake" / "sales")
    sources = configured(tmp_path, "lake").sources
    assert {source.path for source in sources} == {
        str(tmp_path / "lake" / "views"),
        str(tmp_path / "lake" / "sales"),
    }
    assert all(discover(source, date.max).files for source in sources)


@pytest.mark.parametrize(
    ("name", "content", "doubt"),
    [
        ("users.csv", "member,favourite_item,created\nu1,i1,2026-11-01\nu1,i2,2026-11-02\n", "of a list of"),
        (
            "people.csv",
            "member,item,created\n" + "".join(f"m{n},i1,2026-11-01\n" for n in range(30)),
            "may be a list of users, as none occurs twice",
        ),
        (
            "offers.csv",
            "seller_user_id,item,created\n" + "".join(f"s1,i{n},2026-11-01\n" for n in range(30)),
            "may be a list of items, as none occurs twice",
        ),
        (
            "clicks-as-text.tsv",
            CLICKS.replace(",", "\t").replace("uid", "visitor_id"),
            r"9 of 9 events looked at are in clicks\.csv, too",
        ),
        (
            "more.csv",
            "user_id,item_id,info\nu1,i1,2026-11-01\nu1,i2,2026-11-02\n",
            "its columns are known by their content alone",
        ),
    ],
)
def test_files_that_may_hold_no_events_of_their_own_are_left_to_the_reader(
    tmp_path: Path, name: str, content: str, doubt: str
) -> None:
    (tmp_path / "clicks.csv").write_text(CLICKS * 4)
    (tmp_path / name).write_text(content)
    proposal, config = proposed(tmp_path, ".")
    assert read_toml(config)["source"]["path"] == "clicks.csv"
    assert re.search(rf"# {re.escape(name)}: users, items and times, too, but .*{doubt}", proposal.text)


def test_types_of_ids_are_those_of_all_sources(tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_text(
        "uid,sku,ts\n" + "".join(f"{n % 3}.0,{n % 5},2026-11-30T10:00:{n:02d}Z\n" for n in range(9))
    )
    (tmp_path / "orders.csv").write_text(ORDERS.replace("\nu", "\n"))
    sources = configured(tmp_path, ".").sources
    assert [(source.user_id_type, source.item_id_type) for source in sources] == [("int64", "string")] * 2
    (tmp_path / "orders.csv").write_text(ORDERS)
    proposal, config = proposed(tmp_path, ".")
    assert [source.user_id_type for source in load(config).sources] == ["string"] * 2
    assert any(note.startswith("user: the ids are whole numbers such as 17.0") for note in proposal.notes)


def test_a_field_that_is_empty_in_some_files_makes_no_other_kind(tmp_path: Path) -> None:
    for place, rating in (("web", ""), ("app", "4.5")):
        rows = "".join(f"u{n % 3},i{n % 5},2026-11-30T10:00:{n:02d}Z,{rating}\n" for n in range(9))
        (tmp_path / f"{place}.csv").write_text("uid,sku,ts,rating\n" + rows)
    source = read_toml(proposed(tmp_path, "web.csv", "app.csv")[1])["source"]
    assert (source["path"], source["columns"]["value"]) == (["app.csv", "web.csv"], "rating")

"""Proposals for logs as people have them: what is guessed, and that an ingest takes it as it is."""

from __future__ import annotations

import gzip
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.hostile_files.cases import CASES
from worlds.iceberg_world import catalog_at, folder_of, written
from worlds.known_logs import LOGS, KnownLog
from worlds.proposal_world import configured, proposed

from tasks.configuration.configuration import load
from tasks.configuration.file import read_toml
from tasks.interactions.ingest import ingest
from tasks.proposal.trial import try_rows
from tasks.runtime.errors import InputError
from tasks.sources.discovery import discover
from tasks.store.layout import Store

ROWS = "".join(f"u{n % 3},i{n},2026-11-30T10:00:{n:02d}Z\n" for n in range(9))


@pytest.mark.parametrize("name", LOGS)
def test_a_well_known_log_is_recognised(tmp_path: Path, name: str) -> None:
    log = LOGS[name]
    log.write(tmp_path)
    configuration = configured(tmp_path, log.name)
    source = configuration.sources[0]
    assert {role: column for role, column in source.columns if column is not None} == log.columns
    assert {key: getattr(source, key) for key in log.settings} == log.settings
    assert source.event_weights == log.weights
    assert source.path == str(tmp_path / log.name)


@pytest.mark.parametrize("log", [pytest.param(log, id=name) for name, log in LOGS.items()])
def test_an_ingest_takes_a_well_known_log_by_the_proposal_as_it_is(
    tmp_path: Path, duckdb_engine, log: KnownLog
) -> None:
    log.write(tmp_path)
    configuration = configured(tmp_path, log.name)
    store = Store(tmp_path / "store").create()
    counts = ingest(configuration, store, duckdb_engine, log.last_day).counts
    assert (counts.accepted, counts.quarantined, counts.duplicates) == (log.accepted, log.quarantined, 0)


def test_a_list_of_plain_ids_is_a_list_of_items(tmp_path: Path, duckdb_engine) -> None:
    rows = [
        f'{{"user": "u{n % 3}", "at": "2026-11-30T10:0{n}:00Z", "skus": ["a{n}", "b"]}}\n' for n in range(6)
    ]
    (tmp_path / "orders.jsonl").write_text("".join(rows) + '{"user": "u1", "at": "2026-11-30", "skus": []}\n')
    configuration = configured(tmp_path, "orders.jsonl")
    assert configuration.sources[0].columns.item == "skus[]"
    counts = ingest(configuration, Store(tmp_path / "store").create(), duckdb_engine, date.max).counts
    assert (counts.accepted, counts.excluded) == (12, 1)


def test_notes_of_several_lines_leave_the_lines_of_an_order_together(tmp_path: Path) -> None:
    orders = "".join(
        f'#{n},u{n}@x.de,s{n},2026-11-30 10:0{n}:00 +0100,"a\nb ""c"""\n#{n},u{n}@x.de,t{n},,\n'
        for n in range(6)
    )
    (tmp_path / "orders.csv").write_text("Name,Email,Lineitem sku,Created at,Notes\n" + orders)
    source = configured(tmp_path, "orders.csv").sources[0]
    assert (source.fill_down, source.fill_down_within) == (("Created at",), "Name")


def test_files_of_one_kind_become_a_glob_and_their_names_dates(tmp_path: Path) -> None:
    for day in (28, 29, 30):
        rows = ROWS.replace("2026-11-30", f"2026-11-{day}")
        (tmp_path / f"events-2026-11-{day}.csv").write_text("uid,sku,ts\n" + rows)
    (tmp_path / "items.csv").write_text("sku,title\ni1,Cup\ni2,Mug\n")
    proposal, config = proposed(tmp_path, ".")
    source = read_toml(config)["source"]
    assert (source["path"], source["file_date"]) == ("events-*.csv", "%Y-%m-%d")
    assert '# path = "items.csv"\n# id = "sku"\n# title = "title"' in proposal.text
    assert "items.csv: columns sku, title" in proposal.text


def test_dates_in_names_that_are_not_those_of_the_events_are_not_used(tmp_path: Path) -> None:
    for day in ("01", "02"):
        (tmp_path / f"export-2026-12-{day}.csv").write_text(f"uid,sku,ts\nu{day},i,2026-11-30T10:00:00Z\n")
    proposal, config = proposed(tmp_path, ".")
    assert "file_date" not in read_toml(config)["source"]
    assert '# file_date = "%Y-%m-%d" is not set' in proposal.text


def test_a_folder_of_partitions_is_named_as_a_whole_and_dates_its_files(tmp_path: Path) -> None:
    for day in (29, 30):
        folder = tmp_path / "logs" / f"event_date=2026-11-{day}" / "country=FR"
        folder.mkdir(parents=True)
        rows = ROWS.replace("2026-11-30", f"2026-11-{day}")
        (folder / "part-0.csv.gz").write_bytes(gzip.compress(("uid,sku,ts\n" + rows).encode()))
    source = configured(tmp_path, "logs").sources[0]
    assert (source.path, source.file_date) == (str(tmp_path / "logs"), "%Y-%m-%d")
    assert source.columns.event_type is None


def test_the_date_of_a_folder_is_the_time_where_rows_have_none(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "day=2026-11-30"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"user": "u", "item": "i"}\n{"user": "v", "item": "i"}\n')
    assert configured(tmp_path, "logs").sources[0].columns.timestamp == "day"


def test_several_files_can_be_named_and_need_not_lie_in_one_folder(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "log.csv").write_text("uid,sku,ts\n" + ROWS)
    _, config = proposed(tmp_path, "a/log.csv", "b/log.csv")
    assert read_toml(config)["source"]["path"] == ["a/log.csv", "b/log.csv"]


def test_what_is_not_recognised_is_a_line_to_fill_in_with_the_candidates(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("who,what,ts\nx,y,2026-11-30\nz,y,2026-11-30\n")
    proposal, config = proposed(tmp_path, "odd.csv")
    assert proposal.missing == {"user": ["who", "what"], "item": ["who", "what"]}
    lines = proposal.text.splitlines()
    assert [f"line {lines.index(line) + 1}: {role} (columns: who, what)" for role, line in (
        ("user", '# user = ""  # FILL IN; the columns are who, what'),
        ("item", '# item = ""  # FILL IN; the columns are who, what'),
    )] == proposal.fill_in()  # fmt: skip
    config.write_text(
        proposal.text.replace('# user = ""', 'user = "who"').replace('# item = ""', 'item = "what"')
    )
    assert load(config).sources[0].columns.user == "who"


def test_names_and_values_that_are_no_plain_toml_are_quoted(tmp_path: Path) -> None:
    header = 'user "id"\\,item,"time\x7f",event\n'.replace('user "id"\\', '"user ""id""\\"')
    (tmp_path / "a.csv").write_text(header + 'u,i,2026-11-30,"a ""b"" = [c]"\nv,i,2026-11-30,é\n')
    source = configured(tmp_path, "a.csv").sources[0]
    assert source.columns.user == 'user "id"\\'
    assert set(source.event_weights) == {'a "b" = [c]', "é"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_files_give_a_proposal_or_one_message(tmp_path: Path, case) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / case.file).write_bytes(case.data)
    message = None
    try:
        _, config = proposed(tmp_path, "logs")
    except InputError as error:
        message = str(error)
    assert message != ""
    assert message or "source" in read_toml(config)


def test_files_whose_names_look_like_globs_are_named_so_that_they_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "logs [old]"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"a{number}.csv").write_text("uid,sku,ts\n" + ROWS)
    (folder / "other.csv").write_text("x\n1\n")
    source = configured(tmp_path, "logs [old]").sources[0]
    assert source.path == str(tmp_path / "logs [[]old]" / "a*.csv")
    assert [Path(file.address).name for file in discover(source, date.max).files] == ["a1.csv", "a2.csv"]


def test_other_columns_that_could_be_meant_are_named(tmp_path: Path) -> None:
    LOGS["Segment"].write(tmp_path)
    proposal, _ = proposed(tmp_path, "segment.json")
    assert 'user = "userId"  # or anonymousId' in proposal.text


def test_a_delta_table_is_proposed_and_ingested_as_its_latest_version(tmp_path: Path, duckdb_engine) -> None:
    for day in (29, 30):
        times = [f"2026-11-{day}T10:00:{n:02d}Z" for n in range(9)]
        names = {"uid": [f"u{n % 3}" for n in range(9)], "sku": [f"i{n}" for n in range(9)]}
        events = pa.table({**names, "ts": times, "event_date": [f"2026-11-{day}"] * 9})
        write_deltalake(tmp_path / "t", events, mode="append", partition_by=["event_date"])
    write_deltalake(tmp_path / "t", events.slice(0, 5), mode="overwrite")
    configuration = configured(tmp_path, "t")
    assert configuration.sources[0].path == str(tmp_path / "t")
    store = Store(tmp_path / "store").create()
    ingested = ingest(configuration, store, duckdb_engine, date(2026, 11, 30))
    assert ingested.counts.accepted == ingested.counts.read == 5
    assert [part.files for part in ingested.left_out] == [2]


def test_a_table_with_another_log_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "t" / ".hoodie").mkdir(parents=True)
    (tmp_path / "t" / ".hoodie" / "hoodie.properties").write_text("")
    with pytest.raises(InputError, match=r"^/.*/t: a Hudi table"):
        proposed(tmp_path, "t")


def test_no_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file or folder with logs, got no such path"):
        proposed(tmp_path, "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="nothing can be proposed"):
        proposed(tmp_path, "empty.csv")


def test_several_items_in_a_cell_are_split(tmp_path: Path, duckdb_engine) -> None:
    rows = ["u1,7|4.0|5", "u2,4.0", "u1,5|4.0", "u3,5|7"]
    lines = [f"{row},2026-11-{day}\n" for day, row in enumerate(rows, 27)]
    (tmp_path / "a.csv").write_text("user,items,time\n" + "".join(lines))
    proposal, config = proposed(tmp_path, "a.csv")
    source = load(config).sources[0]
    assert (source.columns.item, source.item_separator, source.item_id_type) == ("items", "|", "int64")
    assert 'item_separator = "|"  # 3 values hold several items, such as 5|7' in proposal.text
    counts = ingest(load(config), Store(tmp_path / "store").create(), duckdb_engine, date(2026, 11, 30))
    assert counts.counts.accepted == 8


def test_an_item_that_may_be_several_is_left_as_it_is_with_a_note(tmp_path: Path) -> None:
    rows = ["u1,NYC|LON", "u2,LON|NYC", "u1,NYC|ROM"]
    (tmp_path / "a.csv").write_text("user,item,time\n" + "".join(f"{row},2026-11-30\n" for row in rows))
    proposal, config = proposed(tmp_path, "a.csv")
    assert load(config).sources[0].item_separator is None
    assert '# item_separator = "|"  # CHECK: if values such as NYC|LON are several items' in proposal.text
    assert any(note.startswith("item: 3 values of item have '|' in them") for note in proposal.notes)


def test_an_iceberg_table_with_a_renamed_column_is_proposed_and_ingested(
    tmp_path: Path, duckdb_engine
) -> None:
    batch = pa.table({"uid": ["u1", "u2"], "x": ["i1", "i2"], "ts": ["2026-11-30T10:00:00Z"] * 2})
    with catalog_at(tmp_path / "warehouse") as catalog:
        table = written(catalog, "t", batch)
        with table.update_schema() as schema:
            schema.rename_column("x", "sku")
        folder = shutil.move(folder_of(table), tmp_path / "t")
    configuration = configured(tmp_path, "t")
    source = configuration.sources[0]
    assert (source.path, source.columns.item) == (str(folder), "sku")
    assert try_rows(configuration, source, discover(source, date.max).files, tmp_path / "x").accepted == 2
    store = Store(tmp_path / "store").create()
    assert ingest(configuration, store, duckdb_engine, date(2026, 11, 30)).counts.accepted == 2

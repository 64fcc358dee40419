"""Proposals for logs as people have them: what is guessed, and that an ingest takes it as it is."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.hostile_files.cases import CASES
from worlds.known_logs import LOGS, KnownLog

from tasks.configuration.configuration import Configuration, load
from tasks.configuration.file import read_toml
from tasks.interactions.ingest import ingest
from tasks.proposal.proposal import Proposal, propose
from tasks.runtime.errors import InputError
from tasks.sources.discovery import discover
from tasks.store.layout import Store

ROWS = "".join(f"u{n % 3},i{n},2026-11-30T10:00:{n:02d}Z\n" for n in range(9))


def proposed(folder: Path, *samples: str) -> tuple[Proposal, Path]:
    """Propose a configuration for samples in a folder, and write it there."""
    proposal = propose([str(folder / sample) for sample in samples], folder, folder / ".scratch")
    config = folder / "nightshelf.toml"
    config.write_text(proposal.text, encoding="utf-8")
    return proposal, config


def configured(folder: Path, *samples: str) -> Configuration:
    proposal, config = proposed(folder, *samples)
    assert not proposal.missing, proposal.text
    return load(config)


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

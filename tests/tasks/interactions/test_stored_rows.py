"""Stored rows outlive the raw logs: a change of [source] never needs files that are gone."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from worlds.engines import SPARK_IN_TORTURE
from worlds.log_world import COLUMNS, Logs

from tasks.interactions.events import make_events
from tasks.interactions.ledger import Ledger, manifest_paths
from tasks.runtime.errors import DamagedError, InputError
from tasks.store.files import read_json, write_json_atomically

T = "2026-03-01 10:00:00"
TYPED = {"columns": COLUMNS | {"event_type": "kind"}, "event_weights": {"view": 1, "buy": 5}}
HEADER = "user,item,time,kind"


def events(logs, select="user_id, strength", as_of=date(2026, 12, 31), **source):
    """Return the events that a dataset starts from."""
    make_events(logs.configuration(**source), Ledger.read(logs.store), logs.engine, as_of)
    table = logs.engine.fetch(f"SELECT {select} FROM events ORDER BY file_id, line")
    return [tuple(row.values()) for row in table.to_pylist()]


def rotated(logs, **source):
    """Ingest two files, of which the first is gone afterwards."""
    first = logs.write("day-1.csv", f"u1,i1,{T},view", f"u2,i1,{T},buy", header=HEADER)
    logs.write("day-2.csv", "u3,i1,2026-03-02 10:00:00,buy", header=HEADER)
    logs.ingest(**TYPED | source)
    first.unlink()


def test_a_changed_weight_needs_no_raw_logs(logs):
    rotated(logs)
    changed = TYPED | {"event_weights": {"view": 2, "buy": 7}}
    ingested = logs.ingest(**changed)
    assert (ingested.ingested, ingested.notes) == (0, ())
    assert events(logs, **changed) == [("u1", 2_000_000), ("u2", 7_000_000), ("u3", 7_000_000)]


def test_events_of_a_type_that_is_no_longer_listed_are_not_used(logs):
    rotated(logs)
    changed = TYPED | {"event_weights": {"buy": 5}}
    (note,) = logs.ingest(**changed).notes
    assert note.endswith("event_weights lists fewer types than before: stored events ('view') are not used")
    assert [user for user, _ in events(logs, **changed)] == ["u2", "u3"]
    assert len(events(logs, **TYPED)) == 3


def test_a_new_type_needs_a_rebuild_only_if_rows_were_refused_for_it(logs):
    rotated(logs)
    more = {"view": 1, "buy": 5, "cart": 2}
    logs.ingest(**TYPED | {"event_weights": more})
    logs.write("day-3.csv", "u4,i1,2026-03-03,hover", "u4,i1,2026-03-03,cart", header=HEADER)
    assert logs.ingest(**TYPED | {"event_weights": more}).counts.rules == {"event_type_unknown": 1}
    hovered = TYPED | {"event_weights": more | {"hover": 0.5}}
    with pytest.raises(
        InputError, match=r"\[source\] section \(event_weights\) changed .* so 4 stored events"
    ):
        logs.ingest(**hovered)
    ingested = logs.ingest(rebuild=True, **hovered)
    assert (ingested.ingested, ingested.total.accepted, ingested.total.quarantined) == (2, 5, 0)
    assert [user for user, _ in events(logs, **hovered)] == ["u1", "u2", "u3", "u4", "u4"]


@pytest.mark.parametrize("legacy", [False, True])
def test_a_rebuild_keeps_the_rows_of_files_that_are_gone_and_says_so(logs, legacy):
    rotated(logs)
    again = f"u1,i1,{T},view"  # its first copy is in the file that is gone
    logs.write("day-2.csv", "u3,i1,2026-03-02 10:00:00,buy", again, header=HEADER)
    logs.ingest(replace_changed=True, **TYPED)
    if legacy:  # written before manifests had settings
        for path in manifest_paths(logs.store):
            content = read_json(path)
            write_json_atomically(path, {k: v for k, v in content.items() if k not in {"source", "kept"}})
    strict = TYPED | {"exclude": [{"name": "old", "where": "user_id = 'u2'"}]}
    with pytest.raises(InputError, match=r"changed since .* with --rebuild, which .* that is still there"):
        logs.ingest(**strict)
    ingested = logs.ingest(rebuild=True, **strict)
    assert (ingested.counts.accepted, ingested.counts.duplicates) == (1, 1)
    assert (ingested.total.read, ingested.total.accepted, ingested.total.residual()) == (4, 3, 0)
    assert [row[0] for row in logs.rows()] == ["u1", "u2", "u3"]
    (note,) = ingested.notes
    assert "1 ingested file could not be read again: gone (since 20" in note
    assert "day-1.csv); the events read before stay (2)" in note
    assert ingested.facts()["stored_rows"] == [note]
    kept, read_again = Ledger.read(logs.store).facts()["files"]
    assert "not_read_again_since" in kept
    assert "not_read_again_since" not in read_again
    assert logs.ingest(**strict).ingested == 0
    logs.write("day-1.csv", f"u1,i1,{T},view", f"u2,i1,{T},buy", header=HEADER)  # found after all
    assert logs.ingest(rebuild=True, **strict).notes == ()
    assert logs.counts().rules == {"old": 1}


def test_a_file_whose_name_was_used_again_is_gone_and_not_changed(logs):
    path = logs.write("events.csv", f"u1,i1,{T}")
    logs.ingest()
    path.rename(logs.folder / "events-1.csv")
    logs.write("events.csv", f"u2,i1,{T}")
    logs.ingest()
    (logs.folder / "events-1.csv").unlink()
    logs.ingest(rebuild=True)
    assert [row[0] for row in logs.rows()] == ["u1", "u2"]


@SPARK_IN_TORTURE
def test_an_attribute_added_later_is_empty_in_older_rows(engine, tmp_path):
    logs = Logs(tmp_path, engine)
    lines = f"u1,i1,{T},red", f"u2,i1,{T},"
    first = logs.write("day-1.csv", *lines, header="user,item,time,colour")
    logs.ingest()
    first.unlink()
    logs.write("day-2.csv", "u3,i1,2026-03-02,", header="user,item,time,colour")
    logs.ingest()
    attribute = {"attributes": {"colour": "colour"}}
    (note,) = logs.ingest(**attribute).notes
    assert note.startswith(
        "[source] attribute 'colour' exists from the next ingest on: it is empty in 3 events"
    )
    assert events(logs, "user_id, colour", **attribute) == [("u1", None), ("u2", None), ("u3", None)]
    logs.write("day-3.csv", *lines, f"u4,i1,{T},blue", header="user,item,time,colour")
    ingested = logs.ingest(**attribute)
    assert (ingested.counts.accepted, ingested.counts.duplicates) == (1, 2)
    assert "from ingest 000003 of 20" in ingested.notes[0]
    assert [row[-1] for row in events(logs, "user_id, colour", **attribute)] == [None, None, None, "blue"]
    logs.write("day-4.csv", f"u5,i1,{T},blue", header="user,item,time,colour")
    with pytest.raises(InputError, match=r"expected column 'color', which no file has"):
        logs.ingest(attributes={"colour": "colour", "misspelt": "color"})


def test_kept_rows_have_the_present_types_and_zone(engine, tmp_path):
    logs = Logs(tmp_path, engine)
    lines = "007,i1,2026-03-01 22:00:00", "x,i1,2026-03-01 10:00:00"
    first = logs.write("day-1.csv", *lines)
    second = logs.write("day-2.csv", "8,i2,2026-03-02 10:00:00")
    logs.ingest()
    first.unlink()
    new = {"user_id_type": "int64", "time_zone": "Asia/Tokyo"}
    second.write_text("user,item,time\n8,i2,2026-03-02 10:00:00\n" + "".join(f"{line}\n" for line in lines))
    ingested = logs.ingest(rebuild=True, **new)
    # 007 was read as a time in UTC before, and is a duplicate as it was read then
    assert (ingested.counts.accepted, ingested.counts.duplicates, ingested.counts.quarantined) == (1, 1, 1)
    times = [datetime.fromisoformat(f"2026-03-0{at}:00Z").timestamp() * 1e6 for at in ("1T22:00", "2T01:00")]
    assert events(logs, "user_id, unix_micros(timestamp), event_date", **new) == [
        (7, times[0], date(2026, 3, 2)),
        (8, times[1], date(2026, 3, 2)),
    ]
    assert events(logs, "user_id", date(2026, 3, 1), **new) == []
    assert ingested.notes[1].startswith("[source] user_id_type: the user ids of 2 events were read as string")


def test_a_first_try_that_accepted_nothing_does_not_block_the_second(logs):
    path = logs.write("day-1.csv", "u1,i1,1772359200")
    logs.write("day-2.csv", "u2,i1,1772359300")
    assert logs.ingest().counts.accepted == 0
    path.unlink()
    ingested = logs.ingest(timestamp_format="epoch_s")
    assert (ingested.counts.accepted, ingested.total.quarantined) == (1, 1)
    assert logs.ingest(timestamp_format="epoch_s").ingested == 0


def test_a_rebuild_for_an_earlier_date_reads_later_files_that_are_stored(logs):
    for day in (1, 2, 3):
        logs.write(f"events-2026-03-0{day}.csv", f"u{day},i1,2026-03-0{day}")
    dated = {"file_date": "%Y-%m-%d"}
    logs.ingest(date(2026, 3, 2), **dated)
    ingested = logs.ingest(date(2026, 3, 1), rebuild=True, **dated, time_zone="Europe/London")
    assert (ingested.ingested, ingested.notes) == (2, ())


def test_stored_rows_that_are_damaged_and_whose_log_is_gone_stop_a_rebuild(logs):
    rotated(logs)
    part = min(Ledger.read(logs.store).parts())
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(
        DamagedError, match=r"expected .*; its log .*day-1\.csv is gone: restore it from a backup"
    ):
        logs.ingest(rebuild=True, **TYPED)
    manifest_paths(logs.store)[0].unlink()
    assert logs.ingest(rebuild=True, **TYPED).total.accepted == 1

"""Resuming a failed night: the station, the configuration, and clear refusals."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest
from worlds.night_world import FIRST, QUICK, SECOND, STATIONS, THIRD, Night, failing_at
from worlds.resumed_nights import fail, resume

from flows.night.resume import ResumeError
from flows.night.run import evaluate_only, ingest_only, run_night
from tasks.store.run_folder import record_paths

SHORT = STATIONS[: STATIONS.index("holdout")]
SHORT += ["train popularity", "recommendations", "similar_items", "release"]


@pytest.fixture
def stopped(young: Night) -> Night:
    """Return a store whose second night failed after the dataset."""
    fail(young, "popular_items", **QUICK)
    return young


def test_a_resumed_run_keeps_its_reingest_flags(young: Night) -> None:
    with pytest.raises(ZeroDivisionError):
        run_night(
            young.configured(**QUICK),
            SECOND,
            rebuild=True,
            step=failing_at("interactions", ZeroDivisionError()),
        )
    record, _ = resume(young, **QUICK)
    taken = record.station("interactions").facts
    assert (taken["files_taken"], taken["arrived"]) == (2, taken["total"])


def test_resume_without_a_run_is_refused_and_changes_nothing(young: Night, stopped: Night) -> None:
    with pytest.raises(ResumeError, match=f"no run for {THIRD} to resume"):
        run_night(young.configured(), THIRD, resume="yes")
    with pytest.raises(ResumeError, match=rf"last run for {FIRST} .* published .*nothing to resume"):
        run_night(young.configured(), FIRST, resume="yes")
    assert [record.state for record in young.records()] == ["published", "failed"]


def test_an_evaluation_is_no_night_to_resume(stopped: Night) -> None:
    evaluate_only(stopped.configured(train__models=["popularity"], train__serve="popularity"), SECOND)
    assert resume(stopped, **QUICK)[1] == SHORT[SHORT.index("popular_items") :]


def test_another_configuration_is_refused_but_another_store_section_is_not(stopped: Night) -> None:
    with pytest.raises(ResumeError, match="configuration changed since the last run for"):
        resume(stopped, **QUICK, top_n__n=5)
    with pytest.raises(ResumeError, match="started without --rebuild"):
        run_night(stopped.configured(**QUICK), SECOND, resume="yes", rebuild=True)
    assert stopped.records()[-1].state == "failed"
    assert resume(stopped, **QUICK, store__keep_runs=5)[0].state == "published"


def test_a_record_older_than_the_fingerprint_loads_and_is_refused(stopped: Night) -> None:
    path = record_paths(stopped.store, SECOND)[-1]
    new = {"purpose", "configuration", "replace_changed", "rebuild", "ingests_before", "resumed_at"}
    new |= {"seal", "sealed_by"}
    old = {key: value for key, value in json.loads(path.read_text()).items() if key not in new}
    path.write_text(json.dumps(old))
    with pytest.raises(ResumeError, match="did not record its configuration"):
        resume(stopped, **QUICK)
    path.write_text("{}")
    with pytest.raises(Exception, match="expected the record of a run in"):
        resume(stopped, **QUICK)


def test_a_run_of_version_0_1_resumes(young: Night) -> None:
    fail(young, "recommendations", **QUICK)
    path = record_paths(young.store, SECOND)[-1]
    record = json.loads(path.read_text(encoding="utf-8"))
    for station in record["stations"]:  # one key for both, as in 0.1
        kind, model = station.pop("kind"), station.pop("model")
        station["name"] = f"{kind} {model}" if model else kind
    record["stations"] = [station for station in record["stations"] if station["name"] != "release_scores"]
    (young.records()[-1].folder(young.store).staging / "release_scores.parquet").unlink()
    newer = {"compared_with", "seal", "sealed_by"}
    old = {key: value for key, value in record.items() if key not in newer}
    path.write_text(json.dumps(old), encoding="utf-8")
    resumed, ran = resume(young, **QUICK)
    assert ran == ["release_scores", *SHORT[SHORT.index("recommendations") :]]
    assert {station.name for station in resumed.stations} == set(SHORT)
    assert resumed.state == "published"


def test_a_table_with_an_older_schema_is_made_again(young: Night) -> None:
    fail(young, "recommendations", **QUICK)
    path = young.records()[-1].folder(young.store).staging / "popular_items.parquet"
    table = pq.read_table(path)
    days = table.schema.get_field_index("window_days")
    pq.write_table(table.set_column(days, "window_days", table["window_days"].cast("int32")), path)
    record, ran = resume(young, **QUICK)
    assert ran == SHORT[SHORT.index("popular_items") :]
    assert record.state == "published"


def test_a_new_ingest_restarts_the_run_at_the_interactions(
    stopped: Night, nights: Night, caplog: pytest.LogCaptureFixture
) -> None:
    ingest_only(stopped.configured(), THIRD)
    record, ran = resume(stopped, **QUICK)
    assert ran == SHORT
    assert record.warnings == [
        "resumed from the station interactions: ingest 000003 was committed after the run's last one, 000002"
    ]
    assert record.warnings[0] in caplog.text
    wanted = nights.records()[-1].station("interactions").facts
    assert record.station("interactions").facts["arrived"] == wanted["arrived"]


def test_output_removed_meanwhile_is_rebuilt(nights: Night, young: Night) -> None:
    fail(young, "similar_items")
    shutil.rmtree(young.records()[-1].folder(young.store).staging)
    record, ran = resume(young)
    assert ran == STATIONS[1:]
    assert "resumed after interactions: the output of validation_results" in record.warnings[0]
    assert young.hashes(str(record.release_id)) == nights.hashes(str(nights.pointed()))


def test_a_retry_starts_a_new_run_if_none_can_be_resumed(young: Night) -> None:
    record = run_night(young.configured(**QUICK), SECOND, resume="where possible")
    assert (record.state, record.resumed_at) == ("published", [])

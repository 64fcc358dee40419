"""The quality gate: faults are refused, honest nights pass, and force records who, when and why."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from worlds.command_calls import call, document
from worlds.night_world import FIRST, MODELS, SECOND, THIRD, Night, shop

from benchmarks.quality_gate import (
    QUALITY_FAULTS,
    TABLE_FAULTS,
    Bench,
    damaged,
    finished_night,
    shuffled_refit,
)
from flows.night.publish_refused import publish_refused
from flows.night.run import run_night
from tasks.demo.logs import write_demo_logs
from tasks.quality.checks import QualityRefusedError
from tasks.release.releases import release_before
from tasks.report.markdown import night_page
from tasks.runtime.errors import UserError
from tasks.store.files import read_json

ONE = {"train__models": ["popularity"], "train__serve": "popularity"}
REFUSING = {**ONE, "quality__min_coverage": 1.0}
REASON = {"reason": "the catalogue\nis new"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Return the second night of a shop that is large enough for meaningful intervals."""
    folder = tmp_path_factory.mktemp("gate")
    write_demo_logs(folder / "logs", start=FIRST, days=3, users=400, items=150, events_per_day=3000, seed=5)
    night = shop(folder, folder / "logs")
    served = {"train__models": ["als"], "train__serve": "als"}
    configuration = night.configured(**served, top_n__n=10, evaluation__ks=[10])
    return finished_night(configuration, FIRST, SECOND, folder / "bench")


@pytest.fixture(scope="module")
def judged(bench: Bench) -> Night:
    """Return a shop with a published night and a second night that the gate refused."""
    folder = bench.scratch.parent / "judged"
    night = shop(folder, bench.scratch.parent / "logs")
    run_night(night.configured(**ONE), FIRST)
    with pytest.raises(QualityRefusedError):
        run_night(night.configured(**REFUSING), SECOND)
    return night


@pytest.fixture
def night(judged: Night, tmp_path: Path) -> Night:
    return judged.copy(tmp_path / "shop")


def refused_id(night: Night) -> str:
    record = night.records()[-1]
    return f"{record.as_of}-{record.run_id}"


@pytest.mark.parametrize("fault", [*QUALITY_FAULTS, *TABLE_FAULTS])
def test_all_seven_faults_are_refused(bench: Bench, fault: str) -> None:
    if fault in TABLE_FAULTS:
        assert damaged(bench, fault).failures
    else:
        assert [check.check for check in QUALITY_FAULTS[fault](bench) if not check.passed]


def test_a_fault_of_only_the_final_training_is_detected_by_its_model(bench: Bench) -> None:
    checks = {check.check.split()[0]: check for check in shuffled_refit(bench)}
    assert checks["accuracy"].passed
    assert not checks["refit"].passed


@pytest.mark.parametrize("seed", [1, 2])
def test_an_honest_night_with_another_seed_passes(bench: Bench, seed: int) -> None:
    checks = bench.judge(bench.trained(seed))
    assert [check for check in checks if not check.passed] == []
    assert {check.check.split()[0] for check in checks if check.value is not None} >= {
        "accuracy",
        "refit",
        "overlap",
    }


def test_a_first_night_has_nothing_to_compare_with(judged: Night) -> None:
    first, second = judged.records()
    assert (first.compared_with, second.compared_with) == (None, first.release_id)
    rows = {row["check"]: row for row in first.quality}
    assert rows["accuracy ndcg@6"]["observed"] == "nothing to compare with: no release of an earlier date"
    assert all(row["passed"] for row in first.quality)
    assert any(row["check"].endswith(f"against {first.release_id}") for row in second.quality)


def test_a_refused_night_moves_no_reader_and_says_why_in_one_table(judged: Night) -> None:
    first, refused = judged.records()
    assert judged.published() == [first.release_id] == [judged.pointed()]
    assert refused.state == "failed"
    head, columns, *rows = refused.message.splitlines()
    assert f"nightshelf publish {refused_id(judged)} --force --reason" in head
    assert columns.split() == ["check", "observed", "bound", "passed"]
    assert len(rows) == len(refused.quality)
    assert rows[0].startswith("coverage")
    assert rows[0].endswith("NO")
    assert [row["check"] for row in refused.quality if not row["passed"]] == ["coverage"]
    assert (refused.folder(judged.store).staging / "recommendations.parquet").is_file()


def test_the_page_of_a_refused_night_shows_the_table_once(judged: Night) -> None:
    page = night_page(judged.store, judged.records()[-1])
    assert page.count("| at least 1 |") == page.count("| coverage |") == 1
    title, failed = page.split("\n\n")[:2]
    assert re.fullmatch(r"# Night [-\d]+: refused: coverage 0\.\d+, at least 1", title)
    assert failed.splitlines()[2].startswith("| coverage | 0.")
    assert "## Quality" in page


def test_force_publishes_and_the_manifest_says_who_when_why_and_what(night: Night) -> None:
    release_id = refused_id(night)
    record = publish_refused(night.configured(**REFUSING), release_id, **REASON)
    assert night.pointed() == release_id == record.release_id
    manifest = read_json(night.store.release(release_id) / "manifest.json")
    override = manifest["override"]
    assert override["reason"] == "the catalogue is new"
    assert override["checks"] == ["coverage"]
    assert set(override) == {"user", "host", "at", "reason", "checks"}
    assert all(override.values())
    assert any("published by force" in warning for warning in manifest["warnings"])
    assert [row["check"] for row in manifest["quality"] if not row["passed"]] == ["coverage"]
    assert night.records()[-1].state == "published"
    with pytest.raises(UserError, match="was not refused by the quality gate: published"):
        publish_refused(night.configured(**REFUSING), release_id, **REASON)


def test_the_command_requires_force_and_a_reason(night: Night) -> None:
    release_id, config = refused_id(night), {"NIGHTSHELF_CONFIG": str(night.config)}
    night.config.write_text(
        night.config.read_text(encoding="utf-8").replace(MODELS, LITTLE),
        encoding="utf-8",
    )
    refused = call("publish", release_id, "--config", str(night.config), code=1)
    assert "was refused by its quality gate: --force --reason" in " ".join(refused.stderr.split())
    refused = call("publish", release_id, "--force", "--reason", " ", "--config", str(night.config), code=1)
    assert "expected a reason" in refused.stderr
    printed = call("publish", release_id, "--force", "--reason", "new", code=0, **config)
    assert f"to {release_id}" in " ".join(printed.stdout.split())
    back = night.records()[0].release_id
    printed = document("publish", str(back), store=night.store.root)
    assert printed == {"from": release_id, "to": back, "active": True, "override": {}}


LITTLE = 'models = ["popularity"]\nserve = "popularity"'


def test_broken_tables_cannot_be_forced(night: Night) -> None:
    release_id = refused_id(night)
    first = night.store.release(str(night.pointed())) / "recommendations.parquet"
    staged = night.records()[-1].folder(night.store).staging / "recommendations.parquet"
    shutil.copyfile(first, staged)  # yesterday's lists lack today's new users
    with pytest.raises(UserError, match="the audit refused the release"):
        publish_refused(night.configured(**REFUSING), release_id, **REASON)
    assert night.published() == [night.pointed()]
    assert night.records()[-1].state == "failed"


def test_a_refused_night_resumes_with_other_bounds(night: Night) -> None:
    record = run_night(night.configured(**ONE), SECOND, resume="yes")
    assert record.run_id == refused_id(night).removeprefix(f"{SECOND}-")
    assert night.pointed() == record.release_id
    assert record.override == {}


def test_a_night_is_compared_with_an_earlier_date_however_often_it_runs(night: Night) -> None:
    first = night.pointed()
    for _ in range(2):
        record = run_night(night.configured(**ONE), SECOND)
        assert record.compared_with == first
        assert f"| compared with | {first} |" in night_page(night.store, record)
    third = run_night(night.configured(**ONE), THIRD)
    assert third.compared_with == record.release_id
    before = release_before(night.store, FIRST)
    assert before is None
    kept = {folder.name for folder in night.store.champions.iterdir()}
    assert kept == set(night.published())


def test_best_and_segments_are_served_named_and_compared_with(judged: Night, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    night = shop(tmp_path / "shop", judged.logs)
    served = {"train__models": ["random", "popularity"], "train__serve": "best"}
    served |= {"train__serve_by_segment": {"models": {"new": "popularity"}}, "quality__min_users": 10}
    first = run_night(night.configured(**served), FIRST)
    chosen = first.station("served_model").facts
    assert chosen["model"] == "popularity"
    assert chosen["why"].startswith("no model is significantly better than popularity, which serves: ndcg@6")
    assert first.warnings == [chosen["why"]]
    random = night.configured(
        **served
        | {"train__serve": "random", "quality__max_loss": 1, "quality__min_novelty_ratio": 0}
        | {"quality__min_rbo": 0, "quality__max_entirely_changed": 1, "quality__max_mostly_changed": 1}
    )
    with pytest.raises(QualityRefusedError):
        run_night(random, SECOND)
    assert [row["check"] for row in night.records()[-1].quality if not row["passed"]] == ["floor ndcg@6"]
    second = publish_refused(random, refused_id(night), **REASON)
    against = second.quality[1]
    assert against["check"] == f"accuracy ndcg@6 against {first.release_id}"
    assert against["value"] < 0
    table = pq.read_table(night.store.release(str(second.release_id)) / "recommendations.parquet")
    assert {"random", "popularity"} <= set(table["source"].to_pylist())
    assert {outcome.name for outcome in second.stations} >= {"train random", "train popularity"}

"""The flows started from the UI: publish and rollback move readers, evaluate measures."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, SECOND, Night, shop, write_logs

from flows.night.run import run_night
from flows.orchestration.parameters import day_of
from tasks.quality.checks import QualityRefusedError
from tasks.store.files import read_json

pytestmark = pytest.mark.prefect
SMALL = 'models = ["popularity"]\nserve = "popularity"'
OPTIONS: dict[str, Any] = {"reason": "a test", "return_state": True}


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop with the releases of two dates."""
    folder = tmp_path_factory.mktemp("two")
    night = shop(folder, write_logs(folder / "logs", days=2), models=SMALL)
    for day in (FIRST, SECOND):
        run_night(night.configured(), day)
    return night


@pytest.fixture
def night(two_nights: Night, tmp_path: Path) -> Night:
    return two_nights.copy(tmp_path / "shop")


def test_rollback_moves_readers_back_and_publish_moves_them_forward(
    prefect_server: str, night: Night
) -> None:
    from flows.flip_release import publish, rollback

    first, second = night.published()
    rolled_back = rollback(config=str(night.config), **OPTIONS)
    assert rolled_back.is_completed(), rolled_back.message
    assert night.pointed() == first
    assert rolled_back.result() == {"from": second, "to": first}
    assert rollback(config=str(night.config), **OPTIONS).message.endswith("nothing to roll back to")
    published = publish(config=str(night.config), release_id=second, **OPTIONS)
    assert published.is_completed(), published.message
    assert night.pointed() == second
    rolled_back = rollback(config=str(night.config), release_id=str(FIRST), **OPTIONS)
    assert (rolled_back.result(), night.pointed()) == ({"from": second, "to": first}, first)
    published = publish(config=str(night.config), release_id=f" {SECOND} ", **OPTIONS)
    assert (published.result(), night.pointed()) == ({"from": first, "to": second}, second)
    missing = publish(config=str(night.config), release_id="1999-12-31", **OPTIONS)
    assert missing.message == f"no release of 1999-12-31; known dates: {FIRST}, {SECOND}"


def test_a_refused_night_is_published_by_force_with_a_reason(prefect_server: str, night: Night) -> None:
    from flows.flip_release import publish

    before = night.pointed()
    with pytest.raises(QualityRefusedError, match="quality checks failed"):
        run_night(night.configured(quality__min_coverage=1.0), SECOND)
    refused = f"{SECOND}-{night.records()[-1].run_id}"
    forced: dict[str, Any] = {"config": str(night.config), "force": True, "return_state": True}
    wrong = {"  ": "expected a reason", "no such night": "was not refused by the quality gate"}
    for reason, message in wrong.items():
        state = publish(release_id=refused if reason.isspace() else str(before), reason=reason, **forced)
        assert state.is_failed()
        assert message in state.message
    assert night.pointed() == before
    state = publish(release_id=str(SECOND), reason="a narrow season", **forced)
    assert state.is_completed(), state.message
    assert night.pointed() == refused
    override = read_json(night.store.release(refused) / "manifest.json")["override"]
    assert override == state.result()["override"]
    assert (override["reason"], override["checks"]) == ("a narrow season", ["coverage"])


def test_a_mistake_in_a_form_fails_the_run_and_moves_no_reader(
    prefect_server: str, night: Night, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.flip_release import publish, rollback

    pointed, config = night.pointed(), str(night.config)
    damaged = night.store.release(night.published()[0]) / "popular_items.parquet"
    damaged.chmod(0o644)
    damaged.write_bytes(b"cut")
    mistakes = {
        "is damaged": rollback(config=config, **OPTIONS),
        "already the active one": publish(config=config, release_id=str(pointed), **OPTIONS),
        "2026-01-01-none": publish(config=config, release_id="2026-01-01-none", **OPTIONS),
        "expected a reason, got blanks": rollback(config=config, reason="  ", return_state=True),
        "cannot read the configuration": rollback(config=str(tmp_path / "no.toml"), **OPTIONS),
    }
    for message, state in mistakes.items():
        assert state.is_failed()
        assert message in state.message
    assert night.pointed() == pointed
    assert "Traceback" not in capfd.readouterr().err


def test_the_reason_is_kept_with_the_run(prefect_server: str, night: Night) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    from flows.flip_release import rollback

    reason = "the prices\nwere wrong <img src=x onerror=alert(1)> [e](https://evil.example)"
    state = rollback(config=str(night.config), reason=reason, return_state=True)
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        artifacts = {one.key.partition("-")[0]: one for one in client.read_artifacts(artifact_filter=only)}
    shown = artifacts["current"]
    assert " | current | " in artifacts["releases"].data
    assert r"**Reason:** the prices were wrong &lt;img src=x" in shown.data
    assert "<img" not in shown.data
    assert "](https:" not in shown.data
    assert str(night.pointed()) in shown.data


def test_evaluate_measures_the_chosen_models_and_publishes_nothing(prefect_server: str, night: Night) -> None:
    from flows.run_evaluation import evaluate

    before, options = night.published(), {"config": str(night.config), "return_state": True}
    state = evaluate(as_of=str(SECOND), models=["item_knn", "popularity"], **options)
    assert state.is_completed(), state.message
    rows = json.loads(json.dumps(state.result()))
    assert {row["model"] for row in rows} == {"item_knn", "popularity", "random", "recent_popularity"}
    assert all(row["value"] >= 0 for row in rows)
    assert night.published() == before
    nonsense = evaluate(as_of="2026-02-31", **options)
    assert nonsense.is_failed()
    assert "as_of: expected yesterday or a date" in nonsense.message


def test_a_date_is_written_out_or_the_day_before_the_run_was_scheduled(two_nights: Night) -> None:
    scheduled = datetime(2026, 3, 5, 10, 30, tzinfo=UTC)
    assert day_of("2026-03-02", two_nights.configured(), scheduled) == date(2026, 3, 2)
    for zone, day in (("UTC", 4), ("Pacific/Kiritimati", 5), ("Pacific/Niue", 3)):  # UTC+14, UTC-11
        configuration = two_nights.configured(source__time_zone=zone)
        assert day_of("yesterday", configuration, scheduled) == date(2026, 3, day)

"""What a release hands on: the incumbents, unless the configuration or the metric has changed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.configuration.configuration import Configuration
from tasks.incumbents.document import Challenger, Change, Incumbent, Incumbents, Trial, read_incumbents
from tasks.incumbents.sentences import changed_settings
from tasks.incumbents.state import carried, tuned
from tasks.release.releases import Release
from tasks.store.files import write_json_atomically

DAY = date(2026, 3, 2)
TRIAL = Trial(as_of=DAY, users=40, incumbent=0.2, gain=0.01, error=0.02)
CHALLENGER = Challenger(number=2, role="near", settings={"shrink": 9.0}, trials=(TRIAL,))
CHANGE = Change(
    as_of=DAY,
    model="item_knn",
    before={},
    after={"half_life_days": None, "shrink": 5.0},
    nights=3,
    users=1_200,
    incumbent=0.2,
    gain=0.02,
    low=0.01,
    high=0.03,
    number=4,
)
LEARNED = Incumbent(settings=CHANGE.after, since=DAY, tried=2, challengers=(CHALLENGER,))
STATE = Incumbents(metric="ndcg@10", models={"item_knn": LEARNED}, history=(CHANGE,))


def configured(**sections: Any) -> Configuration:
    columns = {"user": "u", "item": "i", "timestamp": "t"}
    return Configuration.model_validate({"source": {"path": "x.csv", "columns": columns}, **sections})


@pytest.fixture
def release(tmp_path: Path) -> Release:
    content = {"as_of": str(DAY), "incumbents": STATE.model_dump(mode="json")}
    write_json_atomically(tmp_path / "manifest.json", content)
    return Release(f"{DAY}-r1", DAY, tmp_path, active=True)


def test_the_state_is_handed_on_whole(release: Release) -> None:
    assert carried(configured(), release) == (STATE, [])
    assert carried(configured(), None) == (Incumbents(metric="ndcg@10"), [])


def test_other_configured_settings_begin_anew_and_say_so(release: Release) -> None:
    state, (lost,) = carried(configured(models={"item_knn": {"neighbours": 50}}), release)
    assert (state.models, state.history) == ({}, (CHANGE,))
    assert lost == (
        "[models.item_knn] changed, so the settings that challengers had won are given up: "
        "half_life_days default to none, shrink default to 5.0"
    )


def test_under_another_metric_trials_begin_anew_and_incumbents_stay(release: Release) -> None:
    state, lost = carried(configured(quality={"metric": "recall"}), release)
    assert (state.metric, lost) == ("recall@10", [])
    assert state.models["item_knn"] == LEARNED.model_copy(update={"challengers": ()})


@pytest.mark.parametrize("content", [None, {}, {"version": 2, "metric": "ndcg@10"}, {"metric": 1}, {"x": 1}])
def test_what_cannot_be_read_teaches_nothing(content: Any) -> None:
    assert read_incumbents(content, "ndcg@10") == Incumbents(metric="ndcg@10")


def test_the_incumbents_settings_stand_beside_the_configured_ones() -> None:
    configuration = configured(models={"item_knn": {"shrink": 1.0}, "als": {"factors": 8}})
    models = tuned(configuration, STATE).models
    assert models == {"item_knn": {"half_life_days": None, "shrink": 1.0}, "als": {"factors": 8}}
    assert tuned(configuration, None) is configuration
    assert tuned(configuration, STATE).settings_of("blend")["settings"]["item_knn"] == models["item_knn"]


def test_status_says_what_a_release_changed(release: Release) -> None:
    manifest = release.manifest()
    assert changed_settings(manifest) == (
        "item_knn has new settings since 2026-03-02: half_life_days default to none, shrink default to 5.0; "
        "ndcg@10 +0.0200 [+0.0100, +0.0300] (+10.0%) over 3 nights, 1,200 users"
    )
    assert changed_settings({**manifest, "as_of": "2026-03-03"}) == ""
    assert changed_settings({"as_of": str(DAY)}) == ""

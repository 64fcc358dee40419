"""The search for settings: what it does, how it goes on, and what it says of its doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import registry
from models.errors import ModelError
from models.options import Progress
from models.search_space import Choice
from tasks.configuration.configuration import load
from tasks.runtime.errors import UserError
from tasks.tuning.result import settings_table, snippet_of, verdict_of
from tasks.tuning.search import Search, combined, search
from tasks.tuning.study import finished, open_study

USERS = 40


class Judging:
    """A window in which few neighbours and the cosine are best; it counts its calls."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift, self.calls = shift, 0

    def __call__(self, factory: Any, progress: Any) -> np.ndarray:
        self.calls += 1
        config = factory().config
        worth = 1 / np.log2(config.neighbours) + 0.1 * (config.weighting == "none") + self.shift
        return worth + np.linspace(-0.01, 0.01, USERS)


class Failing(Judging):
    """Fails at one call, as a process that is stopped does."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        super().__init__()
        self.at, self.error = at, error

    def __call__(self, factory: Any, progress: Any) -> np.ndarray:
        found = super().__call__(factory, progress)
        if self.calls == self.at:
            raise self.error("stopped")
        return found


def trials_of(folder: Path) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.user_attrs["settings"], trial.value) for trial in finished(open_study(folder))]


def test_it_finds_what_is_better_than_configured_and_counts_its_trials(tmp_path: Path) -> None:
    window = Judging()
    found = search(Search("item_knn", {"neighbours": 500}, trials=12), [window], tmp_path)
    assert window.calls == 12 + 1
    assert sum(found.trials.values()) == 12
    assert found.best_score == max(value for _, value in trials_of(tmp_path))
    assert found.best["neighbours"] < 100
    assert found.best_score > found.configured_score
    assert found.best_values.mean() == pytest.approx(found.best_score)
    again = search(Search("item_knn", {"neighbours": 500}, trials=12), [window], tmp_path)
    assert window.calls == 13  # nothing is left to do
    assert again.best == found.best
    verdict = verdict_of(found)
    assert verdict.better
    assert verdict.difference == pytest.approx(found.best_score - found.configured_score)


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    search(Search("item_knn", {}, trials=14), [Judging()], whole)
    with pytest.raises(KeyboardInterrupt):
        search(Search("item_knn", {}, trials=14), [Failing(11, KeyboardInterrupt)], parts)
    assert len(trials_of(parts)) == 9
    search(Search("item_knn", {}, trials=12), [Judging()], parts)
    search(Search("item_knn", {}, trials=14), [Judging()], parts)
    assert trials_of(parts) == trials_of(whole)
    search(Search("item_knn", {}, trials=14, seed=8), [Judging()], tmp_path / "other")
    assert trials_of(tmp_path / "other") != trials_of(whole)


def test_no_trial_begins_or_ends_beyond_the_time_budget(tmp_path: Path) -> None:
    window = Judging()
    with pytest.raises(UserError, match="no trial was completed; the same command goes on"):
        search(Search("item_knn", {}, trials=5, minutes=0), [window], tmp_path)
    assert window.calls == 1  # the configured settings, which every answer needs

    def endless(factory: Any, progress: Any) -> np.ndarray:
        while True:
            progress(Progress("item_knn", 1, 1))

    with pytest.raises(UserError, match="no trial was completed"):
        search(Search("item_knn", {}, trials=5, minutes=1e-3), [endless], tmp_path)
    found = search(Search("item_knn", {}, trials=5, minutes=60), [window], tmp_path)
    assert found.trials == {"complete": 5, "pruned": 0, "refused": 0}


def test_what_is_worse_than_most_on_the_first_window_is_not_measured_on_the_next(tmp_path: Path) -> None:
    first, second = Judging(), Judging(shift=0.5)
    found = search(Search("item_knn", {}, trials=25), [first, second], tmp_path)
    assert found.trials["pruned"] > 0
    assert first.calls == 26
    assert second.calls == 26 - found.trials["pruned"]


def test_settings_that_a_model_refuses_are_counted_and_the_search_goes_on(tmp_path: Path) -> None:
    found = search(Search("item_knn", {}, trials=6), [Failing(3, ModelError)], tmp_path)
    assert found.trials == {"complete": 5, "pruned": 0, "refused": 1}


def test_users_of_several_windows_count_once() -> None:
    nan = np.nan
    found = combined([np.array([1.0, nan, 0.5, nan]), np.array([0.0, 0.2, nan, nan])])
    np.testing.assert_array_equal(found, [0.5, 0.2, 0.5, nan])


def test_a_model_without_a_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="popularity has nothing to tune; expected one of als, item_knn"):
        search(Search("popularity", {}, trials=1), [Judging()], tmp_path)
    with pytest.raises(ModelError, match="unknown model 'asl'"):
        search(Search("asl", {}, trials=1), [Judging()], tmp_path)


@pytest.mark.parametrize("model", registry.known())
def test_every_end_of_a_space_is_a_setting_that_its_model_takes(model: str) -> None:
    for name, kind in registry.model_class(model).space.items():
        for value in kind.values if isinstance(kind, Choice) else (kind.low, kind.high):
            assert getattr(registry.config(model, {name: value}), name) == value


CONFIGURATION = """
[source]
path = "logs"
[source.columns]
user = "u"
item = "i"
timestamp = "t"
"""


def test_the_snippet_is_a_section_of_the_configuration_and_says_when_it_may_be_noise(tmp_path: Path) -> None:
    configured = {"neighbours": 20, "weighting": "none"}
    found = search(Search("item_knn", configured, trials=3), [Judging()], tmp_path)
    snippet = snippet_of("item_knn", "ndcg@10", found, verdict_of(found), "nightshelf tune item_knn")
    (tmp_path / "nightshelf.toml").write_text(CONFIGURATION + snippet)
    loaded = load(tmp_path / "nightshelf.toml").models["item_knn"]
    assert loaded == {**configured, **found.best}
    assert [best for _, _, best in settings_table("item_knn", found)] == list(loaded.values())
    assert not verdict_of(found).better  # three trials at random against what is nearly the best
    assert "NOT shown to be better" in snippet
    better = search(Search("item_knn", {"neighbours": 700}, trials=3), [Judging()], tmp_path / "better")
    assert "NOT" not in snippet_of("item_knn", "ndcg@10", better, verdict_of(better), "tune")

"""The search for settings: its trials, continuation and stated uncertainty."""

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
from tasks.tuning.result import compared_settings, snippet_of, verdict_of
from tasks.tuning.search import Search, mean_by_user, search
from tasks.tuning.study import finished_trials, open_study

USERS = 40


class ScoringWindow:
    """A window where few neighbours and the cosine score best; it counts its calls."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift, self.calls = shift, 0

    def __call__(self, factory: Any, progress: Any) -> np.ndarray:
        self.calls += 1
        config = factory().config
        worth = 1 / np.log2(config.neighbours) + 0.1 * (config.weighting == "none") + self.shift
        return worth + np.linspace(-0.01, 0.01, USERS)


class FailingWindow(ScoringWindow):
    """A window that fails at one call, like a stopped process."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        super().__init__()
        self.at, self.error = at, error

    def __call__(self, factory: Any, progress: Any) -> np.ndarray:
        result = super().__call__(factory, progress)
        if self.calls == self.at:
            raise self.error("stopped")
        return result


def trials_of(folder: Path) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.user_attrs["settings"], trial.value) for trial in finished_trials(open_study(folder))]


@pytest.mark.parametrize("model", [name for name in registry.known() if registry.model_class(name).space])
def test_every_model_with_a_search_space_is_searched_from_its_defaults(model: str, tmp_path: Path) -> None:
    configs = []

    def window(factory: Any, _: Any) -> np.ndarray:
        configs.append(factory().config)
        return np.full(USERS, float(len(configs)))

    result = search(Search(model, {}, trials=2), [window], tmp_path)
    assert (result.configured_score, result.best_score) == (1, 3)
    assert configs[0] == registry.config(model, {})
    assert {name for name, _, _ in compared_settings(model, result)} == set(registry.model_class(model).space)


def test_a_search_improves_on_the_configured_settings_and_counts_its_trials(tmp_path: Path) -> None:
    window = ScoringWindow()
    result = search(Search("item_knn", {"neighbours": 500}, trials=12), [window], tmp_path)
    assert window.calls == 12 + 1
    assert sum(result.trials.values()) == 12
    assert result.best_score == max(value for _, value in trials_of(tmp_path))
    assert result.best["neighbours"] < 100
    assert result.best_score > result.configured_score
    assert result.best_values.mean() == pytest.approx(result.best_score)
    repeated = search(Search("item_knn", {"neighbours": 500}, trials=12), [window], tmp_path)
    assert window.calls == 13  # no trial remains
    assert repeated.best == result.best
    verdict = verdict_of(result, 1)
    assert verdict.better
    assert verdict.difference == pytest.approx(result.best_score - result.configured_score)


def test_a_stopped_search_continues_with_the_same_trials(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    search(Search("item_knn", {}, trials=14), [ScoringWindow()], whole)
    with pytest.raises(KeyboardInterrupt):
        search(Search("item_knn", {}, trials=14), [FailingWindow(11, KeyboardInterrupt)], parts)
    assert len(trials_of(parts)) == 9
    search(Search("item_knn", {}, trials=12), [ScoringWindow()], parts)
    search(Search("item_knn", {}, trials=14), [ScoringWindow()], parts)
    assert trials_of(parts) == trials_of(whole)
    search(Search("item_knn", {}, trials=14, seed=8), [ScoringWindow()], tmp_path / "other")
    assert trials_of(tmp_path / "other") != trials_of(whole)


def test_no_trial_runs_beyond_the_time_budget(tmp_path: Path) -> None:
    window = ScoringWindow()
    with pytest.raises(UserError, match="no trial was completed; run the same command again"):
        search(Search("item_knn", {}, trials=5, minutes=0), [window], tmp_path)
    assert window.calls == 1  # the configured settings, which every result needs

    def endless(factory: Any, progress: Any) -> np.ndarray:
        while True:
            progress(Progress("item_knn", 1, 1))

    with pytest.raises(UserError, match="no trial was completed"):
        search(Search("item_knn", {}, trials=5, minutes=1e-3), [endless], tmp_path)
    result = search(Search("item_knn", {}, trials=5, minutes=60), [window], tmp_path)
    assert result.trials == {"complete": 5, "pruned": 0, "refused": 0}


def test_a_trial_worse_than_most_on_one_window_skips_the_next(tmp_path: Path) -> None:
    first, second = ScoringWindow(), ScoringWindow(shift=0.5)
    result = search(Search("item_knn", {}, trials=25), [first, second], tmp_path)
    assert result.trials["pruned"] > 0
    assert first.calls == 26
    assert second.calls == 26 - result.trials["pruned"]


def test_refused_settings_are_counted_and_the_search_continues(tmp_path: Path) -> None:
    result = search(Search("item_knn", {}, trials=6), [FailingWindow(3, ModelError)], tmp_path)
    assert result.trials == {"complete": 5, "pruned": 0, "refused": 1}


def test_a_user_in_several_windows_counts_once() -> None:
    nan = np.nan
    result = mean_by_user([np.array([1.0, nan, 0.5, nan]), np.array([0.0, 0.2, nan, nan])])
    np.testing.assert_array_equal(result, [0.5, 0.2, 0.5, nan])


def test_a_model_without_a_search_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="popularity has nothing to tune; expected one of als, ease, funk_svd, "
    ):
        search(Search("popularity", {}, trials=1), [ScoringWindow()], tmp_path)
    with pytest.raises(ModelError, match="unknown model 'asl'"):
        search(Search("asl", {}, trials=1), [ScoringWindow()], tmp_path)


@pytest.mark.parametrize("model", registry.known())
def test_every_end_of_a_search_space_is_a_valid_setting(model: str) -> None:
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


def test_the_snippet_is_valid_configuration_and_warns_of_noise(tmp_path: Path) -> None:
    configured = {"neighbours": 20, "weighting": "none"}
    result = search(Search("item_knn", configured, trials=3), [ScoringWindow()], tmp_path)
    snippet = snippet_of("item_knn", "ndcg@10", result, verdict_of(result, 1), "nightshelf tune item_knn")
    (tmp_path / "nightshelf.toml").write_text(CONFIGURATION + snippet)
    loaded = load(tmp_path / "nightshelf.toml").models["item_knn"]
    assert loaded == {**configured, **result.best}
    assert [best for _, _, best in compared_settings("item_knn", result)] == list(loaded.values())
    assert not verdict_of(result, 1).better  # three random trials against nearly the best settings
    assert "NOT shown to be better" in snippet
    better = search(Search("item_knn", {"neighbours": 700}, trials=3), [ScoringWindow()], tmp_path / "better")
    assert "NOT" not in snippet_of("item_knn", "ndcg@10", better, verdict_of(better, 1), "tune")

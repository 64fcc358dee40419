"""The weights of a blend, learned on windows before the events that it is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models import artefact
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.evaluation.window import Window, rolling_windows
from models.hybrid.blend import Blend, BlendConfig
from models.hybrid.learned_weights import (
    Scores,
    best_combination,
    combinations,
    combined_values,
    learned_combination,
)
from models.options import TrainingOptions
from models.splitting.split import event_matrix, to_sequences

OPTIONS = TrainingOptions(device="cpu", seed=3, threads=1)
USERS, ITEMS = 200, 80


@pytest.fixture(scope="module")
def world() -> Dataset:
    """Return 4,000 events over 100 days: users of two tastes, each of half the items."""
    random = np.random.default_rng(7)
    users = random.integers(0, USERS, 4_000)
    items = random.integers(0, ITEMS // 2, 4_000) * 2 + users % 2
    times = np.sort(random.integers(0, 100 * 86_400 * 10**6, 4_000))
    sequences, _ = to_sequences(users, items, times, USERS)
    return Dataset(event_matrix(sequences, ITEMS), sequences)


def test_a_model_that_knows_the_answers_gets_all_the_weight(world: Dataset) -> None:
    random = np.random.default_rng(0)

    def noise(histories: Histories) -> npt.NDArray[np.float64]:
        return random.random((len(histories), ITEMS)) * 10

    def taste(histories: Histories) -> npt.NDArray[np.float64]:
        odd = histories.matrix.indices[histories.matrix.indptr[:-1]] % 2  # of each user's first item
        return (np.arange(ITEMS)[None] % 2 == odd[:, None]) * 1.0

    windows = rolling_windows(world)
    values = [combined_values(window, [noise, taste], combinations(2)) for window in windows]
    assert [part.shape for part in values] == [(6, len(window.users)) for window in windows]
    assert best_combination(combinations(2), values)[1] >= 4
    assert combined_values(windows[0], [taste], [(5,)]).shape == (1, len(windows[0].users))


def test_weights_are_all_multiples_of_a_fifth() -> None:
    assert combinations(1) == [(5,)]
    assert combinations(2) == [(5, 0), (4, 1), (3, 2), (2, 3), (1, 4), (0, 5)]
    assert len(combinations(3)) == 21


def test_the_best_mean_wins_later_windows_count_more_and_of_equal_ones_the_most_even() -> None:
    """The means over one user, and two that count twice, are 1.1/5, 1.7/5 and 0.6/5."""
    weights = [(5, 0), (3, 2), (0, 5)]
    first, second = np.array([[0.1], [0.3], [0.6]]), np.array([[0.2, 0.3], [0.4, 0.3], [0.0, 0.0]])
    assert best_combination(weights, [first, second]) == (3, 2)
    assert best_combination(weights, [np.array([[0.9], [0.5], [0.0]]), first]) == (0, 5)
    assert best_combination(weights, [np.full((3, 4), 0.5)]) == (3, 2)


def test_what_is_clearly_worse_leaves_the_race_and_its_model_is_trained_no_more(world: Dataset) -> None:
    trained: list[tuple[int, int]] = []

    def taste(histories: Histories) -> npt.NDArray[np.float64]:
        odd = histories.matrix.indices[histories.matrix.indptr[:-1]] % 2
        return (np.arange(ITEMS)[None] % 2 == odd[:, None]) * 1.0

    def scores_after(number: int, window: Window) -> Scores:
        trained.append((number, window.past.matrix.nnz))
        return taste if number == 1 else lambda histories: -100 * taste(histories)

    windows = rolling_windows(world)
    assert learned_combination(windows, scores_after, np.array([True, True, False])) == (0, 5, 0)
    last = windows[-1].past.matrix.nnz
    assert [number for number, pairs in trained if pairs == last] == [0, 1, 2]
    assert {number for number, pairs in trained if pairs < last} == {1}


def test_a_blend_learns_and_keeps_its_weights(world: Dataset, tmp_path: Path) -> None:
    settings = {"als": {"factors": 4, "iterations": 3}}
    model = Blend(BlendConfig(settings=settings)).fit(world, OPTIONS)
    weights = model.report["weights"]
    assert weights["recent_popularity"] < 1  # it does not know the tastes
    assert sum(weights.values()) == pytest.approx(1)
    assert set(model.report["parts"]) == {name for name, weight in weights.items() if weight > 0}
    loaded = artefact.load(artefact.save(model, tmp_path))
    assert np.array_equal(loaded.scores(world.histories), model.scores(world.histories))


def test_a_personal_model_keeps_a_weight_where_only_what_is_recent_counts() -> None:
    """An item lives for a day and users have no taste; a blend of floors would learn nothing."""
    random = np.random.default_rng(5)
    times = np.sort(random.random(3_000) * 100)
    items = (times.astype(np.int64) * 5 + random.integers(0, 8, 3_000)) % 400
    stamps = (times * 86_400 * 10**6).astype(np.int64)
    sequences, _ = to_sequences(random.integers(0, 300, 3_000), items, stamps, 300)
    data = Dataset(event_matrix(sequences, 400), sequences)
    model = Blend(BlendConfig(candidates=("random", "recent_popularity"))).fit(data, OPTIONS)
    assert model.report["weights"] == {"random": 0.2, "recent_popularity": 0.8}


def test_too_little_to_learn_from_gives_equal_weights_to_personal_models(world: Dataset) -> None:
    without_times = Dataset(world.matrix)
    assert rolling_windows(without_times) == []
    model = Blend(BlendConfig(settings={"als": {"factors": 4, "iterations": 3}})).fit(without_times, OPTIONS)
    assert model.report["weights"] == {"als": 1.0, "ease": 1.0, "item_knn": 1.0, "pure_svd": 1.0}


def test_learned_weights_and_weights_by_activity_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="expected weights of each model beside weights_by_activity"):
        BlendConfig(weights_by_activity={"new": {"popularity": 1.0}})


@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.5, -1.0]])
def test_damaged_weights_are_refused(weights: list[float]) -> None:
    model = Blend(BlendConfig())
    model.n_items = 1
    with pytest.raises(ModelError, match="expected weights float64"):
        model._restore({"weights": np.array(weights)})


def test_a_blend_of_learned_settings_is_the_same_without_learning(
    world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = ("item_knn", "recent_popularity", "als")
    given = {"als": {"factors": 4}, "item_knn": {"shrink": 5.0}}
    blend = Blend(BlendConfig(candidates=candidates, settings=given)).fit(world, OPTIONS)
    settings = blend.learned_settings(blend.config, blend.report)
    assert settings["weights"] == blend.report["weights"]
    for name, part in blend.report["parts"].items():
        learned = {"half_life_days", "window_days"}
        kept = {key: value for key, value in settings["settings"][name].items() if key not in learned}
        assert kept == given.get(name, {})
        assert settings["settings"][name]["half_life_days"] == part["half_life_days"]
    for module in ("models.hybrid.blend", "models.recency.learned"):
        monkeypatch.setattr(f"{module}.rolling_windows", pytest.fail)
    again = Blend(BlendConfig(**settings)).fit(world, OPTIONS)
    assert np.array_equal(again.scores(world.histories), blend.scores(world.histories))

"""The half-life of training weights follows how fast tastes change, and is left alone where they do not."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from models import artefact
from models.base import Model
from models.dataset import Dataset
from models.evaluation.metrics import match_lists
from models.evaluation.window import Window, rolling_windows
from models.factors.als import ALS, ALSConfig
from models.options import Cost, Size, TrainingOptions
from models.recency import learned
from models.recency.decay import Decay
from models.recency.half_life import DAY
from models.registry import create
from models.splitting.split import event_matrix, to_sequences

OPTIONS = TrainingOptions(device="cpu", seed=3, threads=1)
USERS, GROUPS, SIZE, EVENTS = 300, 6, 100, 9_000
ITEMS = GROUPS * SIZE
SMALL: dict[str, dict[str, Any]] = {
    "als": {"factors": 16, "iterations": 5},
    "ease": {"penalty": 5.0},
    "item_knn": {"neighbours": 50},
    "mult_vae": {"hidden": 16, "latent": 4, "epochs": 3, "validation_share": 0.0},
    "slim": {"penalty": 5.0},
    "sparse_ease": {"penalty": 5.0},
}
REGRESSIONS = ["ease", "slim", "sparse_ease"]
World = tuple[Dataset, Any, npt.NDArray[np.int64]]


def log(*, changes: bool, seed: int = 0) -> World:
    """Return 40 days of events, what users take up on the 5 days after, and these users.

    A user takes up items of one of six groups. If something changes, then on day 28: everybody
    likes another group, and each group offers its other 50 items.
    """
    random = np.random.default_rng(seed)
    days, users = np.sort(random.random(EVENTS) * 45), random.integers(0, USERS, EVENTS)
    after = (days > 28) & changes
    group = (users + after * (1 + users // GROUPS % 5)) % GROUPS
    number = random.integers(0, SIZE // 2, EVENTS) * 2 + (after if changes else random.integers(0, 2, EVENTS))
    items, past = group * SIZE + number, days < 40
    stamps = (days * DAY).astype(np.int64)
    sequences, _ = to_sequences(users[past], items[past], stamps[past], USERS)
    later, _ = to_sequences(users[~past], items[~past], stamps[~past], USERS)
    data = Dataset(event_matrix(sequences, ITEMS), sequences)
    new = event_matrix(later, ITEMS).multiply(data.matrix.toarray() == 0).tocsr()
    new.eliminate_zeros()
    asked = np.flatnonzero((np.diff(new.indptr) > 0) & (np.diff(data.matrix.indptr) > 0))
    return data, sparse.csr_array(new[asked].astype(np.float32)), asked


def ndcg(name: str, settings: dict[str, Any], world: World) -> tuple[float, Any]:
    """Return the NDCG@10 of a model on the days after, and its learned half-life in days."""
    data, new, users = world
    model = create(name, SMALL[name] | settings).fit(data, OPTIONS)
    histories = data.histories.rows(users)
    lists = model.recommend(histories, 10, exclude=histories.matrix).items
    return float(match_lists(lists, new, [10]).values(["ndcg"])["ndcg", 10].mean()), model.report


@pytest.mark.parametrize("name", ["als", "item_knn", *REGRESSIONS])
def test_where_tastes_change_old_events_lose_weight_and_lists_get_better(name: str) -> None:
    world = log(changes=True)
    aging, report = ndcg(name, {}, world)
    alike, fixed = ndcg(name, {"half_life_days": None}, world)
    assert report["half_life_days"] < 15
    assert fixed["half_life_days"] is None
    assert aging > 1.1 * alike


@pytest.mark.parametrize("name", ["als", "item_knn", *REGRESSIONS])
def test_where_nothing_changes_old_events_keep_most_of_their_weight(name: str) -> None:
    world = log(changes=False)
    aging, report = ndcg(name, {}, world)
    alike, _ = ndcg(name, {"half_life_days": None}, world)
    assert (report["half_life_days"] or 40) > 15
    assert aging > 0.95 * alike


def test_a_given_half_life_is_used(tmp_path: Path) -> None:
    world = log(changes=True)
    config = ALSConfig(**SMALL["als"], half_life_days=3.0)
    model = ALS(config).fit(world[0], OPTIONS)
    assert model.report["half_life_days"] == pytest.approx(3.0)
    loaded = artefact.load(artefact.save(model, tmp_path))
    histories = world[0].histories
    assert np.array_equal(loaded.scores(histories), model.scores(histories))


@pytest.mark.parametrize("name", ["als", "item_knn", "mult_vae", *REGRESSIONS])
@pytest.mark.parametrize("half_life", [None, 5.0 * DAY])
def test_a_candidate_is_measured_as_the_model_with_that_half_life(name: str, half_life: float | None) -> None:
    data, _, _ = log(changes=False)
    window = rolling_windows(data)[-1]
    settings = SMALL[name] | {"half_life_days": half_life and half_life / DAY}
    model = create(name, settings).fit(window.past, OPTIONS)
    lists = model.recommend(window.histories, 10, exclude=window.histories.matrix).items
    expected = match_lists(lists, window.relevant, [10]).values(["ndcg"])["ndcg", 10]
    scaled = Decay.scaled_dataset
    weigh = {"als": Decay.dataset, "mult_vae": None}.get(name, scaled)

    def candidate(past: Dataset, half_life: float | None) -> tuple[Decay, Model[Any]]:
        decay = Decay.of(past, half_life)
        days = decay.days if weigh is None else None
        return decay, create(name, SMALL[name] | {"half_life_days": days})

    users, measure = learned._round(window, candidate, OPTIONS, weigh)
    assert users is window.users
    assert expected.mean() > 0
    np.testing.assert_allclose(measure(half_life), expected)


def test_without_times_nothing_decays() -> None:
    data, _, _ = log(changes=True)
    model = create("als", SMALL["als"]).fit(Dataset(data.matrix), OPTIONS)
    assert model.report["half_life_days"] is None


def test_a_training_with_learned_settings_learns_no_half_life(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _, _ = log(changes=True)
    model = create("item_knn", SMALL["item_knn"]).fit(data, OPTIONS)
    settings = model.learned_settings(model.config, model.report)
    assert settings == {"half_life_days": model.report["half_life_days"]}
    assert settings["half_life_days"] < 15
    monkeypatch.setattr(learned, "rolling_windows", pytest.fail)
    again = create("item_knn", SMALL["item_knn"] | settings).fit(data, OPTIONS)
    assert np.array_equal(again.scores(data.histories), model.scores(data.histories))


def test_what_was_given_is_not_learned() -> None:
    data, _, _ = log(changes=True)
    for name, settings in [("popularity", {}), ("item_knn", {"half_life_days": 3.0})]:
        model = create(name, settings).fit(data)
        assert model.learned_settings(model.config, model.report) == {}


@pytest.mark.parametrize(("half_life", "given"), [(None, {"window_days": 1e6}), (2.0, {})])
def test_recent_popularity_with_learned_settings_learns_no_half_life(
    half_life: float | None, given: dict[str, float]
) -> None:
    data, _, _ = log(changes=True)
    model = create("recent_popularity")
    settings = model.learned_settings(model.config, {"half_life_days": half_life})
    assert settings == {"half_life_days": half_life} | given
    again = create("recent_popularity", settings).fit(data, OPTIONS)
    assert again.report["half_life_days"] == half_life
    if half_life is None:
        popular = create("popularity").fit(data)
        assert np.array_equal(again.scores(data.histories), popular.scores(data.histories))


def test_a_window_that_was_given_stays_beside_what_was_learned() -> None:
    model = create("recent_popularity", {"window_days": 7})
    assert model.learned_settings(model.config, {"half_life_days": None}) == {"half_life_days": None}


def test_learning_costs_as_much_for_ten_million_pairs_as_for_one() -> None:
    def cost(size: Size) -> Cost:
        return Cost(1e-6 * size.pairs, size.items)

    def free(size: Size) -> Cost:
        return Cost(0, 0)

    million, ten = (Size(scale, 50, scale) for scale in (10**6, 10**7))
    learning = learned.learning_cost("learned", cost, million)
    assert learning == learned.learning_cost("learned", cost, ten)
    trainings = learning.seconds - learned.learning_cost("learned", free, million).seconds
    assert trainings == pytest.approx(9.75 * learned.PAIRS / 1e6)  # trainings on a part of the million
    assert learning.memory > 50
    assert learned.learning_cost(3.0, cost, million) == Cost(0, 0)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("item_knn", "random"), 0),
        (("random", "item_knn"), 1),
        (("random", "popularity", "item_knn"), 2),
        (("item_knn", "item_knn"), 0),  # of equal ones the first
    ],
)
@pytest.mark.parametrize("half_life", [None, 5.0 * DAY])
def test_a_model_is_chosen_only_if_it_predicts_surely_better(
    names: tuple[str, ...], chosen: int, half_life: float | None
) -> None:
    data, _, _ = log(changes=False)
    settings = {"item_knn": {"half_life_days": None, "shrink": 1.0}}
    models = [partial(create, name, settings.get(name, {})) for name in names]
    assert learned.learned_choice(data, models, Decay.of(data, half_life), OPTIONS) == chosen


def test_without_times_the_first_model_is_chosen() -> None:
    data, _, _ = log(changes=False)
    models = [partial(create, name) for name in ("random", "item_knn")]
    assert learned.learned_choice(Dataset(data.matrix), models, Decay(), OPTIONS) == 0


def test_learning_costs_more_for_more_choices_and_less_for_fewer_pairs() -> None:
    def cost(size: Size) -> Cost:
        return Cost(1e-6 * size.pairs, size.items)

    million = Size(10**6, 50, 10**6)
    plain = learned.learning_cost("learned", cost, million)
    more = learned.learning_cost("learned", cost, million, choices=5)
    assert learned.learning_cost(None, cost, million, choices=5).seconds > 0
    assert plain.seconds < more.seconds < 2 * plain.seconds
    assert learned.learning_cost("learned", cost, million, pairs=1000).seconds < plain.seconds


def at_days(*days: float) -> Dataset:
    """Return a dataset of one user for each day, who took up an item then."""
    users = np.arange(len(days))
    sequences, _ = to_sequences(users, users % 7, (np.array(days) * DAY).astype(np.int64), len(days))
    return Dataset(event_matrix(sequences, 7), sequences)


def test_the_share_of_pairs_that_count_worked_by_hand() -> None:
    assert learned.effective_share(at_days(3, 3, 3), DAY) == 1
    assert learned.effective_share(at_days(3, 2), DAY) == pytest.approx(1.5**2 / (2 * 1.25))
    assert learned.effective_share(at_days(*range(100)), DAY) == pytest.approx(0.03, abs=1e-3)


def test_a_half_life_is_doubled_where_a_log_gets_thin() -> None:
    dense = np.linspace(0, 40, 400)
    thin = at_days(*dense, *np.linspace(41, 400, 20))
    windows = [Window(at_days(*dense[:n]), *[None] * 3) for n in (200, 300)]  # type: ignore[arg-type]
    half_life = 10.0 * DAY
    longer = learned.sustained(half_life, windows, thin)
    assert longer is not None
    enough = learned.ENOUGH * learned.effective_share(windows[1].past, half_life)
    assert learned.effective_share(thin, half_life) < 0.1 * enough
    assert learned.effective_share(thin, longer / 2) < enough <= learned.effective_share(thin, longer)
    assert learned.sustained(half_life, windows, at_days(*dense)) == half_life
    assert learned.sustained(None, windows, thin) is None

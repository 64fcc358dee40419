"""The learned half-life: the one that predicts best, on logs whose turnover is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.dataset import Dataset
from models.evaluation.window import FEWEST_USERS
from models.recency.half_life import DAY, HOUR, PairEvents, _Question, learn_half_life, race
from models.registry import create
from models.splitting.split import event_matrix, to_sequences


def log(users: list[int], items: list[int], times: list[int], n_users: int, n_items: int) -> Dataset:
    """Return a data set of events; the weight of a pair is its number of events."""
    columns = (np.array(users, np.int64), np.array(items, np.int64), np.array(times, np.int64))
    sequences, _ = to_sequences(*columns, n_users)
    return Dataset(event_matrix(sequences, n_items), sequences)


def turnover(life: int, seed: int = 0) -> Dataset:
    """Return 30 days of 6,000 events: 400 items, each taken up less and less over its ``life``."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, 30 * DAY, 6_000))
    ages = times[:, None] - random.integers(-3 * life, 30 * DAY, 400)
    shares = np.where(ages >= 0, np.exp(-ages / life), 0) * random.pareto(1.5, 400)
    shares = np.cumsum(shares, axis=1)
    items = (shares < random.random((6_000, 1)) * shares[:, -1:]).sum(axis=1)
    return log(random.integers(0, 300, 6_000).tolist(), items.tolist(), times.tolist(), 300, 400)


def test_the_half_life_follows_the_turnover_of_the_catalogue() -> None:
    short, long = (learn_half_life(PairEvents.of(turnover(life))) for life in (6 * HOUR, 6 * DAY))
    assert short is not None
    assert long is not None
    assert short <= 8 * HOUR < long <= 8 * DAY


def test_a_catalogue_that_does_not_change_has_a_long_half_life_or_none() -> None:
    random = np.random.default_rng(5)
    shares = 1 / np.arange(1, 101) ** 0.8
    items = random.choice(100, 20_000, p=shares / shares.sum())
    times = np.sort(random.integers(0, 60 * DAY, 20_000))
    users = random.integers(0, 2_000, 20_000).tolist()
    learned = learn_half_life(PairEvents.of(log(users, items.tolist(), times.tolist(), 2_000, 100)))
    assert learned is None or learned > 10 * DAY


@pytest.mark.parametrize("span", [0, 10])
def test_too_few_users_or_no_time_at_all_say_nothing(span: int) -> None:
    users, items = [0, 1, 2, 0, 1, 2], [0, 0, 1, 2, 2, 0]
    data = log(users, items, [span * DAY * n for n in range(6)], 3, 3)
    assert learn_half_life(PairEvents.of(data)) is None


def test_the_model_says_which_half_life_it_learned() -> None:
    data = turnover(6 * HOUR)
    learned = learn_half_life(PairEvents.of(data))
    assert learned is not None
    model = create("recent_popularity").fit(data)
    fixed = create("recent_popularity", {"half_life_days": learned / DAY}).fit(data)
    assert model.report["half_life_days"] == learned / DAY
    assert np.array_equal(model.scores(data.histories)[0], fixed.scores(data.histories)[0])


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, DAY, 5 * HOUR]))
def test_the_metric_is_that_of_the_lists_of_recent_popularity(seed: int, half_life: int | None) -> None:
    random = np.random.default_rng(seed)
    columns = [random.integers(0, high, 400) for high in (60, 30, 20 * DAY)]
    data, cut = log(*[column.tolist() for column in columns], 60, 30), 16 * DAY
    events = PairEvents.of(data)
    past, everything = events.last(cut), events.last()
    late = everything.times >= cut
    question = _Question.of(past, everything.users[late], everything.items[late])
    assert question is not None
    popularity = past.popularity(cut, half_life)
    lists, sought = [], []
    for user in np.unique(everything.users[late]):
        before = set(past.items[past.users == user])
        wanted = set(everything.items[late & (everything.users == user)]) - before
        wanted &= set(past.items)
        if before and wanted:
            ranking = [item for item in np.argsort(-popularity, kind="stable") if item not in before]
            lists.append([item for item in ranking if popularity[item] > 0][:10])
            sought.append(wanted)
    gains = [
        sum(1 / np.log2(place + 2) for place, item in enumerate(row) if item in wanted)
        / sum(1 / np.log2(place + 2) for place in range(min(10, len(wanted))))
        for row, wanted in zip(lists, sought, strict=True)
    ]
    np.testing.assert_allclose(question.ndcg(popularity), gains)


def test_what_is_surely_worse_leaves_a_race_and_the_longest_of_the_rest_wins() -> None:
    random = np.random.default_rng(3)
    noise = random.normal(0, 0.1, (3, 200))  # the same for all: the two best are equal
    means = {16.0: 0.5, 8.0: 0.5, 4.0: 0.1}
    measured: list[tuple[int, float]] = []

    def measure(number: int) -> Callable[[float], npt.NDArray[np.float64]]:
        def values(candidate: float) -> npt.NDArray[np.float64]:
            measured.append((number, candidate))
            return means[candidate] * (1 + noise[number])

        return values

    rounds = [(np.arange(200), measure(number)) for number in range(3)]
    assert race([16.0, 8.0, 4.0], rounds) == 16.0
    assert measured[:3] == [(0, 16.0), (0, 8.0), (0, 4.0)]
    assert measured[3:] == [(number, candidate) for number in (1, 2) for candidate in (16.0, 8.0)]
    assert race([8.0, 4.0], rounds) == 8.0
    assert measured[-2:] == [(0, 8.0), (0, 4.0)]  # one is left: the other rounds say no more


def test_a_race_over_few_users_has_no_winner() -> None:
    few = np.arange(FEWEST_USERS - 1)
    rounds = [(few, lambda half_life: few / half_life)] * 3  # the same users count once
    assert race([8.0, 4.0], rounds) is None
    enough = np.arange(FEWEST_USERS)
    assert race([8.0, 4.0], [*rounds, (enough, lambda half_life: enough / half_life)]) == 4.0

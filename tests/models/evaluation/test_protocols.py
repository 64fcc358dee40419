"""Protocols on small worlds, against values worked by hand, and what must not change a figure."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from models import registry
from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Sequences
from models.errors import ModelError
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.protocols import Factory, held_out_users, measure_split, ncf, temporal
from models.splitting.split import split_between, to_sequences

FLOORS = ("random", "popularity", "recent_popularity", "item_knn")


def of(name: str, **settings: object) -> Factory:
    return lambda: registry.create(name, settings)


def log(*events: tuple[int, int, int], n_users: int) -> Sequences:
    """Return (user, item, second) events as sequences."""
    users, items, seconds = np.array(events).T
    return to_sequences(users, items, seconds * 10**6, n_users)[0]


def drawn(seed: int = 0, n_users: int = 60, n_items: int = 40) -> list[tuple[int, int, int]]:
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, n_items + 1)
    share = popularity / popularity.sum()
    chosen = [rng.choice(n_items, rng.integers(3, 15), replace=False, p=share) for _ in range(n_users)]
    return [
        (user, int(item), int(rng.integers(0, 1000))) for user, items in enumerate(chosen) for item in items
    ]


def test_ncf_by_hand() -> None:
    train = matrix([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 0, 0, 0, 0]])  # popularity 3 1 1 0 0
    measured = ncf(
        train, np.array([2, 1, 3]), np.array([[3, 4], [3, 2], [1, 4]]), of("popularity"), ks=(1, 2)
    )
    # 2 beats 3 and 4; 1 ties with 2 and ranks behind it; 3 has no users and ranks behind 1 and 4
    np.testing.assert_allclose(measured.values["hit_rate", 1], [1, 0, 0])
    np.testing.assert_allclose(measured.values["ndcg", 2], [1, 1 / log2(3), 0])
    assert measured.counts == {"users": 3, "negatives": 2, "cold_positives": 1}
    assert measured.items is None
    with pytest.raises(ModelError, match="items below 5 for 3 users"):
        ncf(train, np.array([2, 1, 5]), np.array([[3, 4], [3, 2], [1, 4]]), of("popularity"))


def test_temporal_by_hand() -> None:
    past = [(0, 0, 1), (1, 0, 2), (1, 1, 3), (2, 1, 4), (2, 2, 5), (1, 2, 6), (2, 0, 7)]
    sequences = log(*past, (0, 2, 8), (0, 3, 9), (3, 0, 9), n_users=4)
    measured = temporal(sequences, 4, of("popularity"), share=0.3, ks=(1, 2))
    assert measured.users.tolist() == [0]
    assert measured.items.tolist() == [
        [1, 2]
    ]  # a tie of two users each; item 0 is in the history, item 3 is cold
    assert measured.values["recall", 2].tolist() == [1]
    assert measured.values["recall", 1].tolist() == [0]
    assert measured.overall["coverage", 2] == 2 / 3
    assert measured.counts["cold_pairs"] == 2
    assert (measured.counts["cold_users"], measured.counts["cold_items"]) == (1, 1)
    np.testing.assert_allclose(measured.values["novelty", 2], -np.log2(2 / 3))
    row = next(row for row in measured.table() if (row.metric, row.k) == ("mrr", 2))
    assert (row.value, row.low, row.high, row.users) == (0.5, None, None, 1)
    assert next(row for row in measured.table() if row.metric == "gini").low is None


@pytest.mark.parametrize("name", FLOORS)
def test_users_and_items_of_the_future_change_no_figure(name: str) -> None:
    """Three new items and ten new users: neither the lists nor the table moves."""
    later = [(user, 40 + user % 3, 990) for user in range(40)] + [(60 + n, n, 990) for n in range(10)]
    measured = []
    for events, n_users, n_items in ((drawn(), 60, 40), ([*drawn(), *later], 70, 43)):
        sequences = log(*events, n_users=n_users)
        for start, stop in ((500, 750), (750, 2000)):  # a validation window and the test
            split = split_between(sequences, n_items, start * 10**6, stop * 10**6)
            measured.append(measure_split(sequences, n_items, split, of(name), ks=(5, 10)))
    for without, with_ in zip(measured[:2], measured[2:], strict=True):
        assert len(without.users) > 20
        np.testing.assert_array_equal(with_.users, without.users)
        np.testing.assert_array_equal(with_.items, without.items)
        for key, values in without.values.items():
            np.testing.assert_array_equal(with_.values[key], values, err_msg=str(key))
        assert with_.overall == without.overall
        assert with_.table(Bootstrap(resamples=100)) == without.table(Bootstrap(resamples=100))
    assert measured[3].counts["cold_items"] == measured[1].counts["cold_items"] + 3
    assert measured[3].counts["cold_users"] == measured[1].counts["cold_users"] + 10


def test_the_validation_part_ends_where_the_test_begins() -> None:
    sequences = log(*drawn(), n_users=60)
    validation = temporal(sequences, 40, of("popularity"), share=0.3, validation_share=0.4, part="validation")
    test = temporal(sequences, 40, of("popularity"), share=0.3)
    assert validation.counts["unused_events"] == test.counts["test_events"]
    assert validation.counts["train_events"] + validation.counts["test_events"] == test.counts["train_events"]


def test_held_out_users_are_recommended_items_by_their_shown_history() -> None:
    world = random_world()
    measured = held_out_users(world.matrix, of("item_knn", shrink=1.0), 3, held_out=20, ks=(5, 10))
    floor = held_out_users(world.matrix, of("random"), 3, held_out=20, ks=(5, 10))
    validation = held_out_users(
        world.matrix, of("item_knn", shrink=1.0), 3, held_out=20, ks=(5,), part="validation"
    )
    np.testing.assert_array_equal(measured.users, floor.users)
    assert not set(measured.users) & set(validation.users)
    assert len(measured.users) == 20
    assert np.nanmean(measured.values["recall_min", 10]) > 1.5 * np.nanmean(floor.values["recall_min", 10])
    with_times = held_out_users(
        world.matrix, of("recent_popularity"), 3, held_out=20, ks=(5,), sequences=world.sequences
    )
    np.testing.assert_array_equal(with_times.users, measured.users)
    assert measured.counts["train_users"] + 40 == (np.diff(world.matrix.indptr) > 0).sum()


def test_a_split_without_users_to_measure_is_an_error() -> None:
    sequences = log((0, 0, 1), (1, 0, 9), n_users=2)
    with pytest.raises(ModelError, match="users with a history and known items to find, got none"):
        temporal(sequences, 1, of("popularity"), share=0.5)


def test_a_model_sees_only_the_training_part() -> None:
    seen: list[Dataset] = []
    sequences = log(*drawn(), n_users=60)

    def factory():
        model = registry.create("popularity")
        fit = model._fit
        model._fit = lambda dataset, options: (seen.append(dataset), fit(dataset, options))[1]
        return model

    measured = temporal(sequences, 40, factory, share=0.3)
    assert len(seen) == 1
    assert len(seen[0].sequences.items) == measured.counts["train_events"]
    cut = seen[0].sequences.timestamps.max()
    assert (sequences.timestamps > cut).sum() == measured.counts["test_events"]

"""EASE, against values worked by hand and regressions solved one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from models.artefact import load, save
from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories, Sequences
from models.errors import ModelError
from models.options import Size, TrainingOptions
from models.regression.ease import EASE, EASEConfig
from models.regression.penalty import PENALTIES

DAY = 86_400 * 10**6
Doubles = npt.NDArray[np.float64]


def ease(dataset: Dataset, **config: Any) -> EASE:
    plain = {"half_life_days": None, "penalty": 1.0} | config
    return EASE(EASEConfig(**plain)).fit(dataset)


def regressions(dataset: Dataset, penalty: float) -> Doubles:
    """Return the weights of one ridge regression for each item, on all the others."""
    dense = dataset.matrix.toarray().astype(np.float64)
    ridge = penalty * np.square(dense).sum() / (dense.sum(axis=1) > 0).sum()
    items = dataset.n_items
    weights = np.zeros((items, items))
    for item in range(items):
        others = np.arange(items) != item
        given, wanted = dense[:, others], dense[:, item]
        weights[others, item] = np.linalg.solve(
            given.T @ given + ridge * np.eye(others.sum()), given.T @ wanted
        )
    return weights


def learned_weights(model: EASE) -> npt.NDArray[np.float32]:
    """Return B: the scores of histories of one item each."""
    return model.scores(Histories(matrix(np.eye(model.n_items))))


def test_weights_worked_by_hand() -> None:
    # item 0 has users 0 and 1, item 1 has users 1 and 2: X'X = [[2, 1], [1, 2]]; 4 entries of 3 users
    model = ease(Dataset(matrix([[1, 0], [1, 1], [0, 1]])), penalty=3.0)
    expected = 1 / (2 + 3 * 4 / 3)  # x_0'x_1 / (x_0'x_0 + l)
    np.testing.assert_allclose(learned_weights(model), [[0, expected], [expected, 0]], rtol=1e-6)


@pytest.mark.parametrize(("users", "items"), [(60, 20), (20, 60), (30, 30)])
@pytest.mark.parametrize("penalty", [0.3, 5.0])
def test_each_item_is_regressed_on_the_others(users: int, items: int, penalty: float) -> None:
    world = random_world(users, items)
    model = ease(world, penalty=penalty)
    assert ("weights" in model._arrays()) == (items - 2 <= users - 1)  # trained items, users with a history
    expected = regressions(world, penalty)
    np.testing.assert_allclose(learned_weights(model), expected, atol=2e-5)
    scores = model.scores(world.histories)
    np.testing.assert_allclose(scores, world.matrix @ expected, atol=2e-4)


@settings(max_examples=40)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**31), st.floats(0.1, 50.0))
def test_any_matrix_is_regressed(users: int, items: int, seed: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    dense = (rng.random((users, items)) < 0.5) * rng.integers(1, 5, (users, items))
    dense[0, :2] = 1, 2
    dense[1, 0] = 1
    world = Dataset(matrix(dense))
    try:
        model = ease(world, penalty=penalty)
    except ModelError as error:
        if "learned nothing" not in str(error):
            raise
        assume(False)
    np.testing.assert_allclose(learned_weights(model), regressions(world, penalty), atol=1e-4)


@pytest.mark.parametrize("penalty", [0, 1e-4, 1e7, 1e39])
def test_a_penalty_that_float32_cannot_hold_beside_the_weights_is_refused(penalty: float) -> None:
    with pytest.raises(ValueError, match=r"penalty"):
        EASEConfig(penalty=penalty)


def test_the_penalty_keeps_its_meaning_for_more_users_and_larger_weights() -> None:
    world = random_world(60, 20)
    dense = world.matrix.toarray()
    scaled = learned_weights(ease(Dataset(matrix(10 * dense)), penalty=2.0))
    np.testing.assert_allclose(scaled, learned_weights(ease(world, penalty=2.0)), atol=1e-5)
    # twice the users are twice the evidence against the same penalty
    doubled = learned_weights(ease(Dataset(matrix(np.vstack([dense, dense]))), penalty=2.0))
    np.testing.assert_allclose(doubled, learned_weights(ease(world, penalty=1.0)), atol=1e-5)


@pytest.mark.parametrize(("users", "items"), [(60, 20), (20, 60)])
def test_similar_items_have_the_highest_partial_correlation(users: int, items: int) -> None:
    world = random_world(users, items)
    dense = world.matrix.toarray().astype(np.float64)
    ridge = np.square(dense).sum() / (dense.sum(axis=1) > 0).sum()
    inverse = np.linalg.inv(dense.T @ dense + ridge * np.eye(items))
    correlation = -inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
    np.fill_diagonal(correlation, -1)
    allowed = np.arange(items) % 3 > 0
    correlation[:, ~allowed] = -1
    model = ease(world)
    top = model.similar_items(np.arange(items), 4, allowed=allowed)
    for item in range(items):
        expected = -np.sort(-correlation[item])[:4]
        kept = top.items[item] >= 0
        np.testing.assert_array_equal(kept, expected > 0)
        np.testing.assert_allclose(top.scores[item, kept], expected[kept], atol=1e-5)
        np.testing.assert_allclose(correlation[item, top.items[item, kept]], expected[kept], atol=1e-5)


@pytest.mark.parametrize(("users", "items"), [(60, 20), (20, 60)])
def test_a_reason_is_the_item_that_adds_most_to_the_score(users: int, items: int) -> None:
    world = random_world(users, items)
    model, weights = ease(world), regressions(world, 1.0)
    lists = model.recommend(world.histories, 5).items
    found = model.reasons(lists, world.histories)
    dense = world.matrix.toarray()
    for user, (listed, row) in enumerate(zip(lists, found, strict=True)):
        for item, reason in zip(listed, row, strict=True):
            added = dense[user] * weights[:, item] if item >= 0 else np.zeros(1)
            if added.max() > 1e-4:
                assert added[reason] == pytest.approx(added.max(), rel=1e-3)
            else:
                assert reason == -1 or added[reason] > -1e-4
    assert (found >= 0).sum() > 50


@pytest.mark.parametrize("form", ["weights", "vectors"])
def test_an_artefact_of_either_form_scores_alike_and_a_damaged_one_is_refused(tmp_path, form: str) -> None:
    world = random_world(60, 20) if form == "weights" else random_world(20, 60)
    model = ease(world)
    save(model, tmp_path / "ease")
    restored = load(tmp_path / "ease")
    np.testing.assert_array_equal(restored.scores(world.histories), model.scores(world.histories))
    arrays = model._arrays()
    with pytest.raises(ModelError, match=f"expected {form} float32"):
        restored._restore(arrays | {form: arrays[form][:-1]})
    if form == "vectors":
        with pytest.raises(ModelError, match=r"expected leverages float64 .* below 1"):
            restored._restore(arrays | {"leverages": arrays["leverages"] + 1})


def test_the_same_bytes_on_any_threads() -> None:
    for world in (random_world(200, 90), random_world(90, 200)):
        models = [EASE(EASEConfig(penalty=2.0)).fit(world, TrainingOptions(threads=n)) for n in (1, 3)]
        first, second = (model._arrays() for model in models)
        assert {name: array.tobytes() for name, array in first.items()} == {
            name: array.tobytes() for name, array in second.items()
        }


def shop(noise: float) -> Dataset:
    """Return users who take up the items of their taste one after another, and `noise` others."""
    rng, rows, events = np.random.default_rng(3), [], []
    for user in range(300):
        own = rng.permutation(np.arange(10) * 6 + user % 6)[:7]
        items = np.where(rng.random(7) < noise, rng.integers(0, 60, 7), own)
        items = items[np.sort(np.unique(items, return_index=True)[1])]
        rows.append(items)
        events.append(np.sort(rng.integers(0, 100, len(items))) * DAY)
    ends = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    flat = np.concatenate(rows).astype(np.int32)
    dense = np.zeros((300, 60))
    dense[np.repeat(np.arange(300), np.diff(ends)), flat] = 1
    return Dataset(matrix(dense), Sequences(ends, flat, np.concatenate(events)))


def test_the_penalty_is_learned_and_what_is_learned_can_be_set() -> None:
    world = shop(noise=0.5)
    learned = EASE().fit(world)
    penalty, days = learned.report["penalty"], learned.report["half_life_days"]
    assert penalty in PENALTIES
    known = EASE.learned_settings(learned.config, learned.report)
    assert known == {"penalty": penalty, "half_life_days": days}
    again = EASE(EASEConfig(**known)).fit(world)
    np.testing.assert_array_equal(again.scores(world.histories), learned.scores(world.histories))


def test_without_times_the_usual_penalty_counts() -> None:
    world = random_world()
    model = EASE().fit(Dataset(world.matrix))
    assert (model.report["penalty"], model.report["half_life_days"]) == (PENALTIES[0], None)


def test_a_matrix_beyond_the_memory_is_refused_before_it_is_made() -> None:
    n = 2_000_000  # four million times four million numbers
    pairs = np.repeat(np.arange(n), 2), np.arange(2 * n) % n
    weights = sparse.csr_array((np.ones(2 * n, np.float32), pairs), shape=(n, n))
    with pytest.raises(ModelError, match=r"ease of 2,000,000 items .* needs 14,901.2 GiB at once"):
        ease(Dataset(weights), largest=n)
    with pytest.raises(ModelError, match=r"2,000,000 users are more than models.ease.largest, 16,384$"):
        ease(Dataset(weights))


def test_the_cost_is_that_of_the_smaller_side() -> None:
    config, many = EASEConfig(half_life_days=None, penalty=5.0), Size(10**6, 20_000, 10**7)
    assert EASE.cost(config, many).memory == pytest.approx(1.6e9 + 4e8)
    assert EASE.cost(config, many).refusal.startswith("20,000 items and 1,000,000 users are more than")
    assert EASE.cost(config, Size(10**6, 16_384, 10**7)).refusal == ""
    few = EASE.cost(config, Size(1_000, 100_000, 10**6))
    assert few.seconds < 5 < EASE.cost(config, many).seconds
    assert few.memory == pytest.approx(4e6 + 4e8 + 4e7)
    learning = EASE.cost(EASEConfig(), many).seconds - EASE.cost(config, many).seconds
    assert 1 < learning < 60

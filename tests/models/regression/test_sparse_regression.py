"""What regressions on the nearest items share: which items these are, threads, files, reasons, cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models import artefact, registry
from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import Size, TrainingOptions
from models.regression import sparse_regression
from models.regression.sparse_regression import LARGEST_GRAM, Penalties, needs_all, regressions

BOTH = pytest.mark.parametrize("name", ["slim", "sparse_ease"])
PLAIN = {"half_life_days": None, "penalty": 2.0}
Doubles = npt.NDArray[np.float64]


@pytest.mark.parametrize("neighbours", [1, 4, 30])
def test_the_neighbours_explain_most_each_alone(neighbours: int) -> None:
    world = random_world(80, 40)
    dense = world.matrix.toarray().astype(np.float64)
    products, ridge = dense.T @ dense, 11.0
    weights, failed = regressions(world.matrix, neighbours, Penalties(ridge), threads=1)
    assert failed == 0
    found = weights.matrix.toarray() != 0
    for item in range(40):
        gain = products[item] ** 2 / (np.diag(products) + ridge)
        gain[item] = 0
        expected = np.argsort(-gain, kind="stable")[:neighbours]
        assert set(np.flatnonzero(found[:, item])) == set(expected[gain[expected] > 0])


@pytest.mark.parametrize("elastic", [False, True])
def test_the_products_come_from_users_or_all_at_once(elastic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    world, penalties = random_world(300, 50), Penalties(5.0, 0.1, elastic, positive=elastic)
    monkeypatch.setattr(sparse_regression, "OFTEN", 0)
    at_once, _ = regressions(world.matrix, 40, penalties, threads=2)
    monkeypatch.setattr(sparse_regression, "OFTEN", np.inf)
    one_by_one, _ = regressions(world.matrix, 40, penalties, threads=2)
    np.testing.assert_allclose(at_once.matrix.toarray(), one_by_one.matrix.toarray(), atol=1e-6)


def test_all_products_are_held_only_if_they_are_needed_often_and_are_small() -> None:
    assert needs_all(544, 3_706, 3e8)  # MovieLens
    assert not needs_all(100, 3_659, 2e7)  # a shop
    limit = int(np.sqrt(LARGEST_GRAM / 4))
    assert needs_all(100, limit, 1e13)
    assert not needs_all(100, limit + 1, 1e13)


@BOTH
def test_the_same_bytes_on_any_threads(name: str) -> None:
    world, found = random_world(200, 150), set()
    for threads in (1, 2, 5):
        model = registry.create(name, PLAIN | {"neighbours": 20}).fit(world, TrainingOptions(threads=threads))
        found.add(tuple(array.tobytes() for array in model._arrays().values()))
    assert len(found) == 1


@BOTH
def test_a_reason_is_the_item_that_adds_most_to_the_score(name: str) -> None:
    world = random_world(60, 30)
    model = registry.create(name, PLAIN | {"neighbours": 10}).fit(world)
    weights = model.scores(Histories(matrix(np.eye(30))))
    lists = model.recommend(world.histories, 5).items
    found, dense = model.reasons(lists, world.histories), world.matrix.toarray()
    for user, item, reason in zip(np.repeat(np.arange(60), 5), lists.ravel(), found.ravel(), strict=True):
        if item >= 0:
            added = dense[user] * weights[:, item]
            assert reason == added.argmax()
            assert added[reason] > 0
    assert (found >= 0).sum() > 200


@BOTH
def test_similar_items_are_those_of_the_regression(name: str) -> None:
    model = registry.create(name, PLAIN | {"neighbours": 10}).fit(random_world(60, 30))
    weights = model.scores(Histories(matrix(np.eye(30))))
    top = model.similar_items(np.array([4, 7]), 3)
    for row, item in enumerate((4, 7)):
        np.testing.assert_array_equal(top.items[row], np.argsort(-weights[:, item], kind="stable")[:3])


@BOTH
def test_an_item_without_others_has_no_weights(name: str) -> None:
    lonely = Dataset(matrix([[1, 1, 0], [1, 1, 0], [0, 0, 1]]))
    model = registry.create(name, PLAIN | {"sparsity": 0.0} if name == "slim" else PLAIN).fit(lonely)
    weights = model.scores(Histories(matrix(np.eye(3))))
    assert weights[0, 1] > 0
    assert not weights[2].any()
    assert not weights[:, 2].any()
    assert (model.recommend(Histories(matrix([[0, 0, 1]])), 2).items == -1).all()  # nothing speaks for any


@BOTH
def test_a_catalogue_of_one_item_has_no_weights(name: str) -> None:
    one = Dataset(matrix([[1], [2]]))
    model = registry.create(name, PLAIN).fit(one)
    assert not model.scores(one.histories).any()


@BOTH
def test_a_damaged_file_is_refused(name: str, tmp_path) -> None:
    model = registry.create(name, PLAIN | {"neighbours": 5}).fit(random_world(60, 30))
    loaded, arrays = artefact.load(artefact.save(model, tmp_path)), model._arrays()
    assert set(arrays) == {"decay", "ends", "items", "weights"}
    with pytest.raises(ModelError, match="expected items from 0 to 29"):
        loaded._restore(arrays | {"items": arrays["items"] + np.int32(3)})


@BOTH
def test_the_space_does_not_grow_with_the_square_of_the_catalogue(name: str) -> None:
    kind = registry.model_class(name)
    config = kind.Config(half_life_days=None, penalty=5.0)
    once, twice = (kind.cost(config, Size(10**5, items, 10**6)) for items in (100_000, 200_000))
    assert twice.kept == 2 * once.kept == 8.0 * 100 * 200_000
    assert twice.memory < 2 * once.memory
    assert kind.cost(kind.Config(), Size(10**5, 100_000, 10**6)).seconds > once.seconds  # learning

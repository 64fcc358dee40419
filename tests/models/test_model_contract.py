"""What every registered model must do; a model joins by its line in the registry.

``FAST`` holds settings that make a model small enough for a test; the others run with their defaults.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.matrices import checkerboard, random_world

from models import artefact, registry
from models.base import Factorised, HasSimilarItems, Model
from models.dataset import Dataset
from models.errors import ModelError
from models.options import TrainingOptions
from models.ranking.topn import TopN, top_n

FAST: dict[str, dict[str, Any]] = {
    "als": {"factors": 8, "iterations": 5},
    "blend": {"settings": {"als": {"factors": 8, "iterations": 5}, "item_knn": {"shrink": 1.0}}},
    "item_knn": {"shrink": 1.0, "neighbours": 30},
    "mult_vae": {},
}
NOT_PERSONAL = {"popularity", "random", "recent_popularity"}
THREADS_MATTER = {"mult_vae"}  # torch sums in another order on another number of threads
OPTIONS = TrainingOptions(device="cpu", seed=3, threads=1)

pytestmark = pytest.mark.parametrize("name", registry.known())


def fitted(name: str, dataset: Dataset, options: TrainingOptions = OPTIONS) -> Model[Any]:
    return registry.create(name, FAST.get(name, {})).fit(dataset, options)


@pytest.fixture(scope="module")
def world() -> Dataset:
    return random_world()


@pytest.fixture(scope="module")
def models(world: Dataset) -> Callable[[str], Model[Any]]:
    made: dict[str, Model[Any]] = {}

    def get(name: str) -> Model[Any]:
        if name not in made:
            made[name] = fitted(name, world)
        return made[name]

    return get


def assert_equal(found: TopN, expected: TopN) -> None:
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_scores_are_float32_one_a_user_and_item_and_finite(name, models, world) -> None:
    scores = models(name).scores(world.histories)
    assert scores.shape == (world.n_users, world.n_items)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_lists_hold_the_best_scores_in_order_with_ties_by_item(name, models, world) -> None:
    model = models(name)
    scores = model.scores(world.histories)
    found = model.recommend(world.histories, 10, exclude=world.matrix)
    assert found.items.shape == found.scores.shape == (world.n_users, 10)
    above = 0.0 if model.evidence_only else None
    expected = top_n(scores, 10, exclude=world.matrix, allowed=model.trained_items, above=above)
    expected = expected.without(world.histories.empty)
    if not isinstance(model, Factorised):
        assert_equal(found, expected)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-5)
    for items, values in zip(found.items, found.scores, strict=True):
        kept = items[items >= 0]
        assert len(set(kept.tolist())) == len(kept)
        assert (items[len(kept) :] == -1).all()
        assert np.isneginf(values[len(kept) :]).all()
        order = sorted(zip(-values[: len(kept)], kept, strict=True))
        assert [item for _, item in order] == kept.tolist()


def test_seen_blocked_and_untrained_items_are_never_recommended(name, models, world) -> None:
    model = models(name)
    allowed = np.ones(world.n_items, dtype=np.bool_)
    allowed[::3] = False
    found = model.recommend(world.histories, world.n_items + 5, exclude=world.matrix, allowed=allowed)
    users, ranks = np.nonzero(found.items >= 0)
    items = found.items[users, ranks]
    assert len(items) > world.n_users
    assert allowed[items].all()
    assert not world.matrix.toarray()[users, items].any()
    assert (items < world.n_items - 2).all()


def test_users_with_an_empty_history_get_padded_rows_and_others_do_not(name, models, world) -> None:
    found = models(name).recommend(world.histories, 5)
    np.testing.assert_array_equal((found.items == -1).all(axis=1), world.histories.empty)
    assert world.histories.empty.sum() == 3


def test_new_users_are_served_like_known_ones(name, models, world) -> None:
    """A history alone decides the list: who it belongs to, and who else asks, does not matter."""
    users = np.array([7, 3, 90])
    some = world.histories.rows(users)
    found = models(name).recommend(some, 10, exclude=some.matrix)
    expected = models(name).recommend(world.histories, 10, exclude=world.matrix)
    np.testing.assert_array_equal(found.items, expected.items[users])
    np.testing.assert_allclose(found.scores, expected.scores[users], rtol=1e-5)
    strangers = random_world(seed=9).histories.rows(slice(0, 4))
    assert (models(name).recommend(strangers, 5).items >= 0).all()


def test_recommend_streams_the_same_lists(name, models, world, monkeypatch) -> None:
    expected = models(name).recommend(world.histories, 7, exclude=world.matrix)
    monkeypatch.setattr("models.base.block_users", lambda _: 48)
    monkeypatch.setattr("models.base.FACTOR_USERS", 48)
    blocks = list(
        models(name).iter_recommend(world.histories, 7, exclude=world.matrix, block_bytes=1, threads=2)
    )
    assert [start for start, _ in blocks] == [0, 48, 96]
    found = TopN.stack([top for _, top in blocks], 7)
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)


def test_the_same_seed_gives_the_same_model_whatever_the_threads(name, models, world) -> None:
    threads = OPTIONS.threads if name in THREADS_MATTER else 3
    again = fitted(name, world, TrainingOptions(device="cpu", seed=OPTIONS.seed, threads=threads))
    for key, array in models(name)._arrays().items():
        np.testing.assert_array_equal(array, again._arrays()[key], err_msg=key)


def test_a_saved_model_recommends_the_same(name, models, world, tmp_path) -> None:
    folder = artefact.save(models(name), tmp_path / name)
    loaded = artefact.load(folder)
    assert type(loaded) is type(models(name))
    assert loaded.config == models(name).config
    assert_equal(
        loaded.recommend(world.histories, 10, exclude=world.matrix),
        models(name).recommend(world.histories, 10, exclude=world.matrix),
    )
    first = (folder / "arrays.npz").read_bytes()
    artefact.save(loaded, folder)
    assert (folder / "arrays.npz").read_bytes() == first


def test_the_checkerboard_has_its_known_answer(name) -> None:
    dataset = checkerboard()
    found = fitted(name, dataset).recommend(dataset.histories, 1, exclude=dataset.matrix)
    if name in NOT_PERSONAL:
        assert (found.items[:, 0] >= 0).all()
    else:
        np.testing.assert_array_equal(found.items[:, 0], np.arange(50))


def test_an_unknown_key_is_an_error_that_names_the_known_ones(name) -> None:
    with pytest.raises(ModelError, match=rf"unknown key 'fctors' in models\.{name}; known: ") as error:
        registry.config(name, {"fctors": 3})
    assert all(key in str(error.value) for key in registry.model_class(name).Config.model_fields)


def test_the_class_says_its_name_and_every_field_is_described(name) -> None:
    kind = registry.model_class(name)
    assert kind.name == name
    assert all(field.description for field in kind.Config.model_fields.values())


def test_a_model_that_is_not_fitted_or_not_asked_about_its_items_refuses(name, models, world) -> None:
    with pytest.raises(ModelError, match=f"{name} is not fitted"):
        registry.create(name).recommend(world.histories, 1)
    with pytest.raises(ModelError, match="expected histories over the 60 trained items, got 50"):
        models(name).recommend(checkerboard().histories, 1)
    with pytest.raises(ModelError, match="expected exclude of shape"):
        models(name).recommend(world.histories, 1, exclude=world.matrix[:3])
    with pytest.raises(ModelError, match="expected allowed"):
        models(name).recommend(world.histories, 1, allowed=np.ones(3, dtype=np.bool_))


def test_similar_items_are_others_in_order(name, models, world) -> None:
    model = models(name)
    if not isinstance(model, HasSimilarItems):
        assert not hasattr(model, "similar_items")
        return
    asked = np.arange(world.n_items)
    found = model.similar_items(asked, 8)
    assert found.items.shape == (world.n_items, 8)
    assert not (found.items == asked[:, None]).any()
    assert (np.diff(found.scores[:-2], axis=1)[found.items[:-2, 1:] >= 0] <= 0).all()
    assert (found.items[-2:] == -1).all()  # nobody took them: nothing is like them
    same_taste = (found.items[:-2, 0] % 2) == asked[:-2] % 2
    assert same_taste.mean() > 0.7


def reseal(folder: Path, **changes: Any) -> None:
    """Write a manifest that agrees with the changed files, as someone who tampers with care would."""
    manifest = artefact.read_manifest(folder) | changes
    manifest["digest"] = artefact._digest({key: value for key, value in manifest.items() if key != "digest"})
    (folder / "artefact.json").write_text(json.dumps(manifest))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_changed_artefact_is_refused(name, models, tmp_path) -> None:
    folder = artefact.save(models(name), tmp_path)
    arrays = folder / "arrays.npz"
    good = arrays.read_bytes()
    middle = len(good) // 2
    arrays.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
    with pytest.raises(ModelError, match="SHA-256"):
        artefact.load(folder)
    arrays.write_bytes(pickle.dumps({"a": np.ones(3)}))
    with pytest.raises(ModelError, match="SHA-256"):
        artefact.load(folder)
    reseal(folder, sha256=sha256(arrays))
    with pytest.raises(ModelError, match="expected plain arrays"):
        artefact.load(folder)
    arrays.unlink()
    with pytest.raises(ModelError, match="no such file"):
        artefact.load(folder)


@pytest.mark.parametrize("change", ["shape", "nan", "dtype", "missing"])
def test_arrays_that_do_not_fit_the_model_are_refused_even_with_a_right_hash(
    name, models, tmp_path, change
) -> None:
    folder = artefact.save(models(name), tmp_path)
    with np.load(folder / "arrays.npz") as stored:
        arrays = dict(stored)
    targets = [key for key, array in arrays.items() if array.dtype == np.float32 and array.size > 1]
    if change == "nan" and not targets:
        assert all(array.dtype.kind in "biu" for array in arrays.values())  # integers cannot be NaN
        return
    target = (targets or [key for key, array in arrays.items() if array.dtype.kind in "iu"])[0]
    if change == "shape":
        arrays[target] = arrays[target][:-1]
    elif change == "nan":
        arrays[target].flat[0] = np.nan
    elif change == "dtype":
        arrays[target] = arrays[target].astype(np.complex64)
    else:
        del arrays[target]
    np.savez(folder / "arrays.npz", **arrays)
    digest = sha256(folder / "arrays.npz")
    reseal(folder, sha256=digest)
    with pytest.raises(ModelError, match="finite" if change == "nan" else "expected the arrays"):
        artefact.load(folder)
    kinds = {key: {"shape": list(a.shape), "dtype": a.dtype.str} for key, a in sorted(arrays.items())}
    reseal(folder, sha256=digest, arrays=kinds)
    with pytest.raises(ModelError):
        artefact.load(folder)


def test_a_changed_manifest_is_refused(name, models, tmp_path) -> None:
    folder = artefact.save(models(name), tmp_path)
    path = folder / "artefact.json"
    path.write_text(path.read_text().replace('"n_items": 60', '"n_items": 61'))
    with pytest.raises(ModelError, match="it was changed"):
        artefact.load(folder)
    path.write_text("{")
    with pytest.raises(ModelError, match="expected JSON"):
        artefact.load(folder)
    path.unlink()
    with pytest.raises(ModelError, match=r"no artefact\.json"):
        artefact.load(folder)

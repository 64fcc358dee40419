"""The registry names what it knows, and configurations say what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest

from models import artefact, registry
from models.baselines.popularity import Popularity
from models.contract.worlds import matrix
from models.dataset import Dataset
from models.errors import ModelError


def test_an_unknown_model_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(
        ModelError, match=r"unknown model 'asl' in \[models\]; known: als, blend, item_knn, mult_vae, pop"
    ):
        registry.create("asl")
    assert list(registry.known()) == sorted(registry.known())


def test_bad_values_are_named_with_what_came() -> None:
    with pytest.raises(
        ModelError, match=r"bad value of models\.als\.factors: .* got -3; .*models\.als\.alpha: .*'x'"
    ):
        registry.config("als", {"factors": -3, "alpha": "x"})


def test_a_configuration_is_frozen_and_of_its_model() -> None:
    config = registry.config("als", {"factors": 3})
    with pytest.raises(ValueError, match="frozen"):
        config.factors = 4
    with pytest.raises(ModelError, match="expected a PopularityConfig for popularity, got ALSConfig"):
        registry.create("popularity", config)


def test_a_data_set_without_a_weight_cannot_be_trained_on() -> None:
    with pytest.raises(ModelError, match=r"at least one weight to train popularity, got \(2, 3\) empty"):
        Popularity().fit(Dataset(matrix(np.zeros((2, 3)))))


def test_an_artefact_tells_what_it_is(tmp_path) -> None:
    dataset = Dataset(matrix(np.eye(3)))
    with pytest.raises(ModelError, match="not fitted: there is nothing to save"):
        artefact.save(Popularity(), tmp_path)
    told = artefact.read_manifest(artefact.save(Popularity().fit(dataset), tmp_path))
    assert told["model"] == "popularity"
    assert told["config"] == {"count": "users"}
    assert told["arrays"]["popularity"] == {"shape": [3], "dtype": "<f4"}
    assert told["device"] == "cpu"
    assert {"python", "numpy", "scipy", "nightshelf"} <= set(told["versions"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "artefact.json"]


def test_a_model_with_a_value_that_is_not_finite_is_not_saved(tmp_path) -> None:
    model = Popularity().fit(Dataset(matrix(np.eye(3))))
    model._popularity[1] = np.nan
    with pytest.raises(ModelError, match="expected finite values in array popularity of popularity"):
        artefact.save(model, tmp_path)

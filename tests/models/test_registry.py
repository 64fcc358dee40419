"""The registry: built-in models, models of other packages, and errors about both."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from worlds.package_world import documented, install, python

from models import artefact, registry
from models.baselines.popularity import Popularity
from models.contract.worlds import matrix
from models.dataset import Dataset
from models.errors import ModelError

ENTRY = "co_counts = co_counts:CoCounts"
USE = """
import nightshelf as ns
data = ns.Interactions.of({"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "b", "a"]})
model = ns.load(ns.create("co_counts", power=0.0).fit(data).save("saved"))
print(model, model.recommend(data).to_pylist())
print(*ns.known())
"""


def test_an_unknown_model_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(
        ModelError,
        match=r"unknown model 'asl' in \[models\]; known: als, blend, ease, funk_svd, gf_cf, global",
    ):
        registry.create("asl")
    assert list(registry.known()) == sorted(registry.known())


def test_bad_values_are_named_with_what_came() -> None:
    with pytest.raises(
        ModelError, match=r"bad value of models\.als\.factors: .* got -3; .*models\.als\.alpha: .*'x'"
    ):
        registry.config("als", {"factors": -3, "alpha": "x"})


@pytest.mark.parametrize(
    "name", ["als", "ease", "item_knn", "mult_vae", "recent_popularity", "slim", "sparse_ease"]
)
def test_the_word_none_stands_for_no_value_where_there_can_be_none(name: str) -> None:
    beside = {"window_days": 7} if name == "recent_popularity" else {}
    assert registry.config(name, {"half_life_days": "none", **beside}).half_life_days is None
    assert registry.config("item_knn", {"weighting": "none"}).weighting == "none"
    with pytest.raises(ModelError, match=r"bad value of models\.ease\.penalty"):
        registry.config("ease", {"penalty": "none"})


def test_a_configuration_is_frozen_and_belongs_to_its_model() -> None:
    config = registry.config("als", {"factors": 3})
    with pytest.raises(ValueError, match="frozen"):
        config.factors = 4
    with pytest.raises(ModelError, match="expected a PopularityConfig for popularity, got ALSConfig"):
        registry.create("popularity", config)


def test_a_data_set_without_weights_cannot_be_trained_on() -> None:
    with pytest.raises(ModelError, match=r"at least one weight to train popularity, got \(2, 3\) empty"):
        Popularity().fit(Dataset(matrix(np.zeros((2, 3)))))


def test_an_artefact_describes_itself(tmp_path) -> None:
    dataset = Dataset(matrix(np.eye(3)))
    with pytest.raises(ModelError, match="not fitted: nothing to save"):
        artefact.save(Popularity(), tmp_path)
    manifest = artefact.read_manifest(artefact.save(Popularity().fit(dataset), tmp_path))
    assert manifest["model"] == "popularity"
    assert manifest["config"] == {"count": "users"}
    assert manifest["arrays"]["popularity"] == {"shape": [3], "dtype": "<f4"}
    assert manifest["device"] == "cpu"
    assert {"python", "numpy", "scipy", "nightshelf"} <= set(manifest["versions"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "artefact.json"]


def test_a_model_with_values_that_are_not_finite_is_not_saved(tmp_path) -> None:
    model = Popularity().fit(Dataset(matrix(np.eye(3))))
    model._popularity[1] = np.nan
    with pytest.raises(ModelError, match="expected finite values in array popularity of popularity"):
        artefact.save(model, tmp_path)


def test_a_registered_model_is_known_trained_saved_and_loaded(tmp_path: Path) -> None:
    process = python(install(tmp_path, ENTRY), "-c", USE)
    assert process.returncode == 0, process.stderr
    first, names = process.stdout.splitlines()
    expected = [{"user_id": 3, "rank": 1, "item_id": "b", "score": 2.0}]
    assert first == f"Estimator('co_counts', power=0.0) {expected}"
    assert names.split() == sorted([*registry.built_in(), "co_counts"])
    assert '"co-counts": "1.2"' in (tmp_path / "saved" / "artefact.json").read_text()


def test_a_registered_model_passes_the_contract_in_the_tests_of_its_package(tmp_path: Path) -> None:
    install(tmp_path, ENTRY)
    (tmp_path / "test_co_counts.py").write_text(documented("class TestCoCounts"), encoding="utf-8")
    process = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    assert process.returncode == 0, process.stdout + process.stderr
    assert re.search(r"^2[0-9] passed", process.stdout, flags=re.MULTILINE)


def test_the_contract_fails_a_model_that_breaks_it_and_says_where(tmp_path: Path) -> None:
    broken = documented("class CoCounts(").replace(
        'return {"counts": self._counts}', 'return {"counts": self._counts + 1}'
    )
    install(tmp_path, ENTRY, {"co_counts": broken})
    (tmp_path / "test_co_counts.py").write_text(documented("class TestCoCounts"), encoding="utf-8")
    process = python(
        tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "saved_model", str(tmp_path)
    )
    assert process.returncode == 1
    assert "test_a_saved_model_recommends_the_same" in process.stdout


@pytest.mark.parametrize(
    ("entry", "module", "message"),
    [
        ("als = co_counts:CoCounts", "", "co-counts 1.2 registers the model 'als', which is built in"),
        (
            "best = co_counts:CoCounts",
            "",
            "co-counts 1.2 registers the model 'best', expected a name of a-z, 0-9 and _",
        ),
        (
            "Co-Counts = co_counts:CoCounts",
            "",
            "registers the model 'Co-Counts', expected a name of a-z, 0-9 and _",
        ),
        (
            "mine = gone:Mine",
            "",
            "at gone:Mine, as co-counts 1.2 registers it, got ModuleNotFoundError: No module named 'gone'",
        ),
        ("mine = co_counts:Mine", "", "got AttributeError: module 'co_counts' has no attribute 'Mine'"),
        ("mine = co_counts:Mine", "1 / 0", "got ZeroDivisionError: division by zero"),
        ("mine = co_counts:Mine", "raise SystemExit(3)", "got SystemExit: 3"),
        (
            "mine = co_counts:Mine",
            "Mine = 7",
            "expected a Model named 'mine' at co_counts:Mine, as co-counts 1.2 registers it, got 7",
        ),
        ("mine = co_counts:Mine", "class Mine: name = 'mine'", "got <class 'co_counts.Mine'>"),
        ("mine = co_counts:CoCounts", "", "got one named 'co_counts'"),
    ],
)
def test_the_error_about_an_invalid_registered_model_names_the_package(
    entry: str, module: str, message: str, tmp_path: Path
) -> None:
    install(tmp_path, entry, {"co_counts": module} if module else None)
    code = "import nightshelf as ns\ntry: ns.create('mine')\nexcept ns.ModelError as error: print(error)"
    process = python(tmp_path, "-c", code)
    assert process.returncode == 0, process.stderr
    assert message in process.stdout
    assert process.stdout.count("\n") == 1


def test_a_name_that_two_packages_register_is_refused(tmp_path: Path) -> None:
    install(tmp_path, ENTRY)
    install(tmp_path, ENTRY, name="other")
    process = python(tmp_path, "-c", "import nightshelf as ns; ns.known()")
    assert (
        "ModelError: other 1.2 registers the model 'co_counts', which co-counts 1.2 registers too"
        in process.stderr
    )


def test_a_bad_package_does_not_affect_built_in_models(tmp_path: Path) -> None:
    code = "import nightshelf as ns; print(ns.create('als'), type(ns.create('als')).__name__)"
    process = python(install(tmp_path, "als = gone:ALS"), "-c", code)
    assert process.stdout == "Estimator('als'), not fitted Estimator\n", process.stderr


@pytest.mark.parametrize("method", ["_fit", "_scores", "_arrays", "_restore"])
def test_an_error_of_a_registered_model_names_its_package(method: str, tmp_path: Path) -> None:
    head, tail = documented("class CoCounts(").split(f"def {method}(", 1)
    signature, body = tail.split("\n", 1)
    install(tmp_path, ENTRY, {"co_counts": f"{head}def {method}({signature}\n        1 / 0\n{body}"})
    process = python(tmp_path, "-c", USE)
    assert process.stderr.splitlines()[-1] == (
        "models.errors.ModelError: the model co_counts of co-counts 1.2 failed with ZeroDivisionError: "
        "division by zero"
    )

"""The same night on one thread and on two; nights whose training diverges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, QUICK, SECOND, Night, shop, write_logs

from flows.night.run import run_night
from models import registry
from tasks.release.releases import current
from tasks.runtime.errors import TrainingError
from tasks.store.files import sha256_of
from tasks.training.artefacts import TrainedModel

ALL: dict[str, Any] = {
    "train__serve": "als",
    "train__refit": "all",
    "quality__enabled": False,
    "models__mult_vae": {"epochs": 3, "hidden": 64, "latent": 16},
}
FEW = {"train__models": ["als", "mult_vae"], "evaluation__enabled": False}
EVERY = {"train__models": [*registry.known()], "evaluation__enabled": True}
SIZES = [pytest.param(FEW, id="few"), pytest.param(EVERY, id="every", marks=pytest.mark.torture)]
Nights = tuple[Night, Night]


def ran(folder: Path, logs: Path, **overrides: Any) -> Night:
    night = shop(folder, logs)
    run_night(night.configured(**ALL | overrides), FIRST)
    return night


def arrays(night: Night) -> dict[str, str]:
    """Return the hash of each trained model of the first night, by folder and name."""
    run = night.records()[0].folder(night.store).root
    return {str(path.parent.relative_to(run)): sha256_of(path) for path in run.rglob("arrays.npz")}


@pytest.fixture(scope="module", params=SIZES)
def nights(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Nights:
    """Return two stores with the same night, run on one thread and on two."""
    folder = tmp_path_factory.mktemp("threads")
    logs = write_logs(folder / "logs", days=2)
    single, double = (
        ran(folder / str(number), logs, engine__threads=number, **request.param) for number in (1, 2)
    )
    return single, double


def test_one_thread_and_two_give_the_same_models_and_tables(nights: Nights) -> None:
    contents = [arrays(night) for night in nights]
    assert contents[0].keys() == contents[1].keys()
    assert {"models/als", "models/mult_vae"} <= contents[0].keys()
    assert contents[0] == contents[1]
    single, double = (night.hashes(str(night.pointed())) for night in nights)
    assert single == double


def test_the_manifest_names_the_models_that_can_depend_on_threads(nights: Nights) -> None:
    for night in nights:
        assert current(night.store).manifest()["threads"] == {}
    blended = {"parts": {"als": {}, "other": {"threads": 2}}}
    assert TrainedModel("blend", Path(), "cpu", 1.0, blended).threads == 2


@pytest.mark.torture
def test_a_night_on_two_threads_repeats(
    nights: Nights, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    double, settings = nights[1], request.node.callspec.params["nights"]
    repeated = ran(tmp_path / "again", double.logs, engine__threads=2, **settings)
    assert repeated.hashes(str(repeated.pointed())) == double.hashes(str(double.pointed()))
    assert arrays(repeated) == arrays(double)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a store with the release of a first night."""
    folder = tmp_path_factory.mktemp("published")
    return ran(folder / "shop", write_logs(folder / "logs", days=2), **QUICK | {"train__serve": "popularity"})


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (
            "mult_vae",
            {"learning_rate": 1e30},
            r"finite loss of mult_vae, got (nan|inf) at epoch \d+, step \d+",
        ),
        pytest.param("als", {"alpha": 1e300}, "finite", marks=pytest.mark.torture),
        pytest.param("als", {"init_scale": 1e300}, "finite", marks=pytest.mark.torture),
    ],
)
def test_a_diverged_training_publishes_nothing_and_says_so(
    model: str, settings: dict[str, float], message: str, published: Night, tmp_path: Path
) -> None:
    night = published.copy(tmp_path / "shop")
    before, hashes = night.pointed(), night.hashes(str(night.pointed()))
    overrides = ALL | FEW | {"train__models": [model, "popularity"], "train__serve": model}
    configuration = night.configured(**overrides | {f"models__{model}": settings})
    with pytest.raises(TrainingError, match=message):
        run_night(configuration, SECOND)
    assert (night.pointed(), night.published()) == (before, [before])
    assert night.hashes(str(before)) == hashes
    assert "finite" in night.records()[-1].message


@pytest.mark.torture
def test_a_diverged_model_can_be_left_out_and_is_not_served(published: Night, tmp_path: Path) -> None:
    night = published.copy(tmp_path / "shop")
    overrides = ALL | {"train__models": ["mult_vae", "popularity"], "train__serve": "popularity"}
    overrides |= {"models__mult_vae": {"learning_rate": 1e30}, "train__on_failure": "continue"}
    record = run_night(night.configured(**overrides), SECOND)
    manifest = current(night.store).manifest()
    assert current(night.store).release_id == record.release_id
    assert any("expected a finite loss of mult_vae" in warning for warning in manifest["warnings"])
    assert {row["model"] for row in manifest["model_metrics"]} == {"popularity"}

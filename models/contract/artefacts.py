"""The contract of saved models: loaded unchanged, and refused if they were changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from models import artefact
from models.base import Model
from models.contract.fixtures import ModelUnderTest, assert_equal
from models.dataset import Dataset
from models.errors import ModelError

PICKLE = b"\x80\x04}."  # of an empty dictionary


class ArtefactContract(ModelUnderTest):
    """Saving, loading and refusing."""

    def test_a_saved_model_recommends_the_same(
        self, trained: Model[Any], world: Dataset, tmp_path: Path
    ) -> None:
        folder = artefact.save(trained, tmp_path / self.model)
        loaded = artefact.load(folder)
        assert type(loaded) is type(trained)
        assert loaded.config == trained.config
        assert_equal(
            loaded.recommend(world.histories, 10, exclude=world.matrix),
            trained.recommend(world.histories, 10, exclude=world.matrix),
        )
        first = (folder / "arrays.npz").read_bytes()
        artefact.save(loaded, folder)
        assert (folder / "arrays.npz").read_bytes() == first

    def test_a_changed_artefact_is_refused(self, trained: Model[Any], tmp_path: Path) -> None:
        folder = artefact.save(trained, tmp_path)
        arrays = folder / "arrays.npz"
        good = arrays.read_bytes()
        middle = len(good) // 2
        arrays.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        with pytest.raises(ModelError, match="SHA-256"):
            artefact.load(folder)
        arrays.write_bytes(PICKLE)
        with pytest.raises(ModelError, match="SHA-256"):
            artefact.load(folder)
        _reseal(folder, sha256=_sha256(arrays))
        with pytest.raises(ModelError, match="expected plain arrays"):
            artefact.load(folder)
        arrays.unlink()
        with pytest.raises(ModelError, match="no such file"):
            artefact.load(folder)

    @pytest.mark.parametrize("change", ["shape", "nan", "dtype", "missing"])
    def test_arrays_that_do_not_fit_the_model_are_refused_even_with_a_matching_hash(
        self, trained: Model[Any], tmp_path: Path, change: str
    ) -> None:
        folder = artefact.save(trained, tmp_path)
        with np.load(folder / "arrays.npz") as stored:
            arrays = dict(stored)
        if change == "nan" and not _of_floats(arrays):
            assert all(array.dtype.kind in "biu" for array in arrays.values())  # never NaN
            return
        arrays = _changed(arrays, change)
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        digest = _sha256(folder / "arrays.npz")
        _reseal(folder, sha256=digest)
        with pytest.raises(ModelError, match="finite" if change == "nan" else "expected the arrays"):
            artefact.load(folder)
        described = {key: {"shape": list(a.shape), "dtype": a.dtype.str} for key, a in sorted(arrays.items())}
        _reseal(folder, sha256=digest, arrays=described)
        with pytest.raises(ModelError):
            artefact.load(folder)

    def test_a_changed_manifest_is_refused(self, trained: Model[Any], tmp_path: Path) -> None:
        folder = artefact.save(trained, tmp_path)
        path = folder / "artefact.json"
        path.write_text(path.read_text().replace('"n_items": 60', '"n_items": 61'))
        with pytest.raises(ModelError, match="the file was changed"):
            artefact.load(folder)
        path.write_text("{")
        with pytest.raises(ModelError, match="expected JSON"):
            artefact.load(folder)
        path.unlink()
        with pytest.raises(ModelError, match=r"no artefact\.json"):
            artefact.load(folder)


def _of_floats(arrays: dict[str, npt.NDArray[Any]]) -> list[str]:
    return [key for key, array in arrays.items() if array.dtype == np.float32 and array.size > 1]


def _changed(arrays: dict[str, npt.NDArray[Any]], change: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays with one changed or missing, of floats if possible."""
    target = (_of_floats(arrays) or [key for key, array in arrays.items() if array.dtype.kind in "iu"])[0]
    array = arrays.pop(target)
    if change == "shape":
        arrays[target] = array[:-1]
    elif change == "nan":
        arrays[target] = array.copy()
        arrays[target].flat[0] = np.nan
    elif change == "dtype":
        arrays[target] = array.astype(np.complex64)
    return arrays


def _reseal(folder: Path, **changes: Any) -> None:
    """Write a manifest that matches the changed files, as a careful attacker would."""
    manifest = artefact.read_manifest(folder) | changes
    manifest["digest"] = artefact.digest_of(manifest)
    (folder / "artefact.json").write_text(json.dumps(manifest))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

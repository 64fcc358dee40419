"""A trained model on disk: ``arrays.npz`` and ``artefact.json``, checked when read. Never pickle.

``artefact.json`` is written last: a folder without it is not an artefact. It holds the model's name
and configuration, the shape and dtype of every array, the SHA-256 of ``arrays.npz``, versions, the
training report, and a digest of itself. The same model always gives the same bytes of
``arrays.npz``.
"""

from __future__ import annotations

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from models import registry
from models.array_file import Arrays, describe_arrays, read_arrays
from models.base import Model
from models.errors import ModelError

FORMAT = 1
MANIFEST = "artefact.json"
ARRAYS = "arrays.npz"
TRAINED_ITEMS = "trained_items"
LARGEST = 16 * 2**20  # bytes of a manifest; the largest report takes some kilobytes
FIELDS: dict[str, type] = {
    "model": str, "config": dict, "n_items": int, "arrays": dict, "sha256": str, "report": dict
}  # fmt: skip


def save(model: Model[Any], folder: Path) -> Path:
    """Write the model to ``folder``, replacing an artefact in it, and return the folder."""
    if model.n_items == 0:
        raise ModelError(f"model {model.name} is not fitted: nothing to save")
    arrays = {TRAINED_ITEMS: model.trained_items, **model._arrays()}
    _check_finite(arrays, model.name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    part = folder / f"{ARRAYS}.part"
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    part.replace(folder / ARRAYS)
    with (folder / ARRAYS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    content = {
        "format": FORMAT,
        "model": model.name,
        "config": model.config.model_dump(mode="json"),
        "n_items": model.n_items,
        "arrays": describe_arrays(arrays),
        "sha256": digest,
        "device": model.report.get("device", "cpu"),
        "versions": _versions(model.name),
        "report": model.report,
    }
    text = json.dumps(content | {"digest": digest_of(content)}, indent=2, sort_keys=True, allow_nan=False)
    part = folder / f"{MANIFEST}.part"
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)
    return folder


def load(folder: Path) -> Model[Any]:
    """Return the model in ``folder``, ready to recommend.

    Raises
    ------
    ModelError
        When a file is missing or was changed: a wrong digest, shape or dtype, a value that is not
        finite, a pickle, a header that claims more than the file holds. Nothing is unpickled,
        executed or decompressed.
    """
    manifest = read_manifest(folder)
    path = folder / ARRAYS
    arrays = _checked_arrays(path, manifest)
    model = registry.create(manifest["model"], manifest["config"])
    model.n_items = manifest["n_items"]
    model.report = manifest["report"]
    model.trained_items = arrays.pop(TRAINED_ITEMS, np.zeros(0, dtype=np.bool_))
    if model.trained_items.dtype != np.bool_ or model.trained_items.shape != (model.n_items,):
        raise ModelError(f"expected {TRAINED_ITEMS} bool ({model.n_items},) in {path}")
    try:
        model._restore(arrays)
    except KeyError as error:
        raise ModelError(
            f"expected an array {error} for {model.name} in {path}, got {sorted(arrays)}"
        ) from error
    return model


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the checked content of ``artefact.json``: config, report, versions, sha256..."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(f"expected a model artefact in {folder}, got no {MANIFEST}")
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"expected JSON in {path}, got {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f"expected an artefact of format {FORMAT} in {path}")
    digest = content.pop("digest", None)
    if digest != digest_of(content):
        raise ModelError(
            f"expected digest {digest_of(content)} in {path}, got {digest}: the file was changed"
        )
    for name, kind in FIELDS.items():
        if type(content.get(name)) is not kind:
            raise ModelError(
                f"expected {name} of type {kind.__name__} in {path}, got {content.get(name)!r:.100}"
            )
    if content["n_items"] < 1:
        raise ModelError(f"expected n_items of at least 1 in {path}, got {content['n_items']}")
    return content


def _checked_arrays(path: Path, manifest: dict[str, Any]) -> Arrays:
    """Return the arrays of a file that is, byte for byte, the one in the manifest."""
    if not path.is_file():
        raise ModelError(f"expected {path}, as {MANIFEST} states, got no such file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != manifest["sha256"]:
            raise ModelError(f"expected {path} with SHA-256 {manifest['sha256']}, got {digest}")
        file.seek(0)
        arrays = read_arrays(file, manifest["arrays"], path)
    _check_finite(arrays, str(path))
    return arrays


def _check_finite(arrays: Arrays, source: str) -> None:
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ModelError(f"expected numbers in array {name} of {source}, got {array.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelError(f"expected finite values in array {name} of {source}")


def digest_of(content: dict[str, Any]) -> str:
    """Return the digest of a manifest with this content, ignoring a digest already in it."""
    content = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _versions(model: str) -> dict[str, str]:
    """Return the versions of Python, of libraries and of the package that registered the model."""
    versions = {name: metadata.version(name) for name in ("numpy", "scipy")}
    try:
        versions["nightshelf"] = metadata.version("nightshelf")
    except metadata.PackageNotFoundError:  # runs from a checkout
        versions["nightshelf"] = "not installed"
    package = registry.distribution(model)
    return {"python": platform.python_version(), **versions, **dict([package] if package else [])}

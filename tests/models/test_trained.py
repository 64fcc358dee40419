"""Saved models load unchanged with their ids, and are refused if their files were changed."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from models import artefact
from models.errors import ModelError
from models.estimator import Estimator, create, load, save
from models.frames.ids_file import sha256_of
from models.interactions import Interactions

EVENTS = {"user": ["a", "a", "b", "b", "c"], "item": [7, 8, 7, 9, 8]}


def fitted(frame: Any = EVENTS) -> Estimator:
    return create("item_knn", shrink=1.0).fit(Interactions.of(frame))


@pytest.mark.parametrize(
    "kind", [pa.int16(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()), pa.uint64()]
)
def test_a_loaded_model_is_the_same_with_ids_of_the_same_type(kind: Any, tmp_path: Path) -> None:
    items = pa.array(EVENTS["item"]).cast(pa.string() if "string" in str(kind) else kind)
    items = items.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else items.cast(kind)
    data = Interactions.of({"user": EVENTS["user"], "item": items})
    model = create("item_knn", shrink=1.0).fit(data)
    loaded = load(save(model, tmp_path / "model"))
    assert loaded.name == "item_knn"
    assert loaded.config == model.config
    assert loaded.recommend(data, k=2).equals(model.recommend(data, k=2))
    assert loaded.similar_items(k=2).equals(model.similar_items(k=2))
    assert loaded.recommend(data)["item_id"].type == kind


def test_a_loaded_model_returns_the_kind_of_frame_it_was_trained_on(tmp_path: Path) -> None:
    frame = pd.DataFrame(EVENTS)
    loaded = load(str(fitted(frame).save(str(tmp_path))))
    assert isinstance(loaded.similar_items(), pd.DataFrame)
    assert loaded.recommend(Interactions.of(frame)).equals(fitted(frame).recommend(Interactions.of(frame)))


def test_the_same_model_gives_the_same_bytes_and_replaces_an_older_one(tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in fitted().save(tmp_path).iterdir()}
    fitted({"user": [1], "item": ["x"]}).save(tmp_path)
    second = {path.name: path.read_bytes() for path in fitted().save(tmp_path).iterdir()}
    assert sorted(first) == ["arrays.npz", "artefact.json", "estimator.json", "items.arrow"]
    del first["artefact.json"], second["artefact.json"]  # holds the training time
    assert first == second


def changed(folder: Path, **changes: Any) -> None:
    path = folder / "estimator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def swapped(folder: Path, name: str) -> None:
    """Replace a file by that of a model with other items."""
    foreign = fitted({"user": [1, 1, 2], "item": [1, 2, 1]}).save(folder / "other")
    (foreign / name).replace(folder / name)


def with_ids(folder: Path, ids: Any, name: str = "id") -> None:
    """Replace the ids and their hash, as a careful attacker does."""
    table = pa.table({name: ids})
    with pa.OSFile(str(folder / "items.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    changed(folder, items=sha256_of((folder / "items.arrow").read_bytes()))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "estimator.json").unlink(),
            r"expected a model and the ids of its items in .*, got no estimator\.json",
        ),
        (lambda folder: (folder / "estimator.json").write_text("{"), "expected JSON in"),
        (lambda folder: (folder / "estimator.json").write_text("[]"), "expected a saved model of format 1"),
        (lambda folder: changed(folder, format=2), "expected a saved model of format 1"),
        (lambda folder: changed(folder, frame="excel"), "expected a frame of .* got 'excel'"),
        (lambda folder: changed(folder, arrays=None), "expected arrays with SHA-256 None"),
        (lambda folder: changed(folder, items="00"), "the file was changed"),
        (
            lambda folder: (folder / "items.arrow").unlink(),
            "expected the ids of the items in .*, got no such file",
        ),
        (lambda folder: (folder / "items.arrow").write_bytes(b""), "the file was changed"),
        (lambda folder: swapped(folder, "items.arrow"), "the file was changed"),
        (
            lambda folder: (swapped(folder, "arrays.npz"), swapped(folder, "artefact.json")),
            "expected arrays with SHA-256",
        ),
        (lambda folder: with_ids(folder, [7, 9, 8]), "expected 3 ids in ascending order in .*, got 3"),
        (lambda folder: with_ids(folder, [7, 8]), "expected 3 ids in ascending order in .*, got 2"),
        (lambda folder: with_ids(folder, [7, 8, None]), "expected a column of ids in .* got 1 null"),
        (lambda folder: with_ids(folder, [7, 8, 9], "key"), "expected a column of ids in"),
    ],
)
def test_a_saved_model_that_was_changed_is_refused(damage: Any, message: str, tmp_path: Path) -> None:
    folder = fitted().save(tmp_path)
    damage(folder)
    with pytest.raises(ModelError, match=message):
        load(folder)


@pytest.mark.parametrize("ids", [[7, 8, 7, 9, 8], list("xyxzy")], ids=["numbers", "text"])
def test_ids_with_a_flipped_bit_are_read_or_refused_even_with_a_matching_hash(
    ids: Any, tmp_path: Path
) -> None:
    folder = fitted({"user": EVENTS["user"], "item": ids}).save(tmp_path)
    path = folder / "items.arrow"
    good = path.read_bytes()
    for position in range(0, len(good), 3):
        content = bytearray(good)
        content[position] ^= 1 << position % 8
        path.write_bytes(content)
        changed(folder, items=sha256_of(bytes(content)))
        with suppress(ModelError):
            assert load(folder).similar_items(k=1)["rank"].to_pylist() == [1] * 3


def test_the_artefact_of_a_night_has_no_ids_and_is_refused(tmp_path: Path) -> None:
    artefact.save(fitted()._fitted().model, tmp_path)
    with pytest.raises(ModelError, match=r"expected a model and the ids of its items"):
        load(tmp_path)
    with pytest.raises(ModelError, match=r"got no estimator\.json"):
        load(tmp_path / "nowhere")


def test_a_failed_save_leaves_the_older_model(tmp_path: Path) -> None:
    data = Interactions.of(EVENTS)
    before = fitted().save(tmp_path)
    broken = create("popularity").fit(data)
    broken._fitted().model.report["losses"] = float("nan")  # no number of JSON
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        broken.save(tmp_path)
    assert load(before).name == "item_knn"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["arrays.npz", "artefact.json", "estimator.json", "items.arrow"]
    )


def test_folders_that_are_none_are_refused_in_one_sentence(tmp_path: Path) -> None:
    model = fitted()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (None, 5, b"x", "a\0b"):
        with pytest.raises(ModelError, match=r"^expected the path of a folder, got "):
            model.save(folder)  # type: ignore[arg-type]
        with pytest.raises(ModelError, match=r"^expected the path of a folder, got "):
            load(folder)  # type: ignore[arg-type]
    for name in ("file", "link", "file/below"):
        with pytest.raises(ModelError, match=f"^cannot save a model to '{tmp_path / name}': "):
            model.save(tmp_path / name)
        with pytest.raises(ModelError, match=r"^expected a model and the ids of its items in .*, got no "):
            load(tmp_path / name)
    with pytest.raises(
        ModelError, match=r"^expected save\(model, folder\) with a model made by create, got "
    ):
        save(tmp_path, model)  # type: ignore[arg-type]

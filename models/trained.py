"""A trained model with the ids of its items, in memory and on disk.

The folder is the model's artefact (models/artefact.py) with two more files: ``items.arrow``, the
ids in the model's order, and ``estimator.json``, written last, with the SHA-256 of the ids and of
the model's arrays. Users are identified by their histories, so their ids are not stored.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from models import artefact, registry
from models.base import Model
from models.errors import ModelError
from models.frames.ids import Ids
from models.frames.ids_file import read_ids, write_ids
from models.frames.source import Kind

FORMAT: Final = 1
ITEMS: Final = "items.arrow"
MANIFEST: Final = "estimator.json"


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model, the ids of its items, and the kind of frame it was trained on."""

    model: Model[Any]
    items: Ids
    kind: Kind

    def save(self, folder: Path) -> None:
        """Write everything to a folder, replacing an older model only once all is written."""
        with _as_model_errors("save a model to", folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as name:
                part = Path(name)
                artefact.save(self.model, part)
                content = {
                    "format": FORMAT,
                    "frame": self.kind,
                    "items": write_ids(part / ITEMS, self.items),
                    "arrays": artefact.read_manifest(part)["sha256"],
                }
                text = json.dumps(content, indent=2, sort_keys=True) + "\n"
                (part / MANIFEST).write_text(text, encoding="utf-8")
                for file in (artefact.ARRAYS, ITEMS, artefact.MANIFEST, MANIFEST):
                    (part / file).replace(folder / file)

    @classmethod
    def load(cls, folder: Path) -> Trained:
        """Return the model saved in a folder; ModelError when a file is missing or was changed."""
        with _as_model_errors("load the model in", folder):
            content = _manifest(folder / MANIFEST)
            manifest = artefact.read_manifest(folder)
            with registry.naming_the_package(manifest["model"]):
                model, arrays = artefact.load(folder), manifest["sha256"]
        expected = content.get("arrays")
        if arrays != expected:
            raise ModelError(f"expected arrays with SHA-256 {expected!r:.100} in {folder}, got {arrays}")
        return cls(model, read_ids(folder / ITEMS, content.get("items"), model.n_items), content["frame"])


def checked_folder(folder: Any) -> Path:
    """Return the path of a model folder; ModelError if it is not a path."""
    if not isinstance(folder, str | Path) or "\0" in str(folder):
        raise ModelError(f"expected the path of a folder, got {folder!r:.100}")
    return Path(folder)


@contextmanager
def _as_model_errors(act: str, folder: Path) -> Iterator[None]:
    """Turn file system errors into ModelErrors that name the folder."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise ModelError(
            f"cannot {act} {str(folder)!r}: {getattr(error, 'strerror', None) or error}"
        ) from error


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(f"expected a model and the ids of its items in {path.parent}, got no {path.name}")
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"expected JSON in {path}, got {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f"expected a saved model of format {FORMAT} in {path}")
    if content.get("frame") not in get_args(Kind):
        raise ModelError(f"expected a frame of {get_args(Kind)} in {path}, got {content.get('frame')!r:.100}")
    return content

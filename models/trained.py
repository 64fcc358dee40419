"""A trained model with the ids of its items, in memory and on disk.

The folder is the model's artefact (models/artefact.py) with two more files: ``items.arrow``, the
ids in the model's order, and ``estimator.json``, written last, with the SHA-256 of the ids and of
the model's arrays. Users are identified by their histories, so their ids are not stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from models import artefact
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
        """Write everything to a folder, replacing an older model."""
        (folder / MANIFEST).unlink(missing_ok=True)
        artefact.save(self.model, folder)
        content = {
            "format": FORMAT,
            "frame": self.kind,
            "items": write_ids(folder / ITEMS, self.items),
            "arrays": artefact.read_manifest(folder)["sha256"],
        }
        part = folder / f"{MANIFEST}.part"
        part.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(folder / MANIFEST)

    @classmethod
    def load(cls, folder: Path) -> Trained:
        """Return the model saved in a folder; ModelError when a file is missing or was changed."""
        content = _manifest(folder / MANIFEST)
        model, arrays = artefact.load(folder), artefact.read_manifest(folder)["sha256"]
        expected = content.get("arrays")
        if arrays != expected:
            raise ModelError(f"expected arrays with SHA-256 {expected!r:.100} in {folder}, got {arrays}")
        return cls(model, read_ids(folder / ITEMS, content.get("items"), model.n_items), content["frame"])


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

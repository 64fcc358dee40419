"""Nightshelf as a library: interactions in, recommendations out, and the tables of a store to read.

>>> import nightshelf as ns
>>> frame = {"user_id": [1, 1, 2, 2, 3, 3], "item_id": ["a", "b", "a", "c", "a", "b"], "date": range(6)}
>>> data = ns.Interactions.of(frame, unit="s")                  # pandas, polars, Arrow, or a mapping
>>> model = ns.create("als", factors=4).fit(data)
>>> lists = model.recommend(data, k=10)                         # a frame with the ids of the source
>>> figures = ns.evaluate(data, ["als", "item_knn"], k=10)      # split in time, with intervals
>>> shelf = ns.open("nightshelf-store")                         # what nights have published

docs/library.md says more. Nothing but the names here is promised. Importing this module loads none of the
rooms: a name is loaded when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.base import Model, ModelConfig
    from models.comparison import evaluate
    from models.contract.suite import ModelContract as ModelContract  # noqa: PLC0414 - exported, see __all__
    from models.dataset import Dataset, Histories
    from models.errors import ModelError
    from models.estimator import Estimator, UnknownItemsWarning, create, load, save
    from models.interactions import Interactions
    from models.options import TrainingOptions
    from models.registry import known
    from tasks.release.shelf import Shelf
    from tasks.release.shelf import open_shelf as open  # noqa: A004 - as in tarfile.open
    from tasks.runtime.errors import UserError

    __version__: str

__all__ = [
    "Dataset",
    "Estimator",
    "Histories",
    "Interactions",
    "Model",
    "ModelConfig",
    "ModelError",
    "Shelf",
    "TrainingOptions",
    "UnknownItemsWarning",
    "UserError",
    "__version__",
    "create",
    "evaluate",
    "known",
    "load",
    "open",
    "save",
]
"""All names but ModelContract, which needs pytest: `from nightshelf import *` does without."""

_HOMES = {
    "Dataset": "models.dataset",
    "Estimator": "models.estimator",
    "Histories": "models.dataset",
    "Interactions": "models.interactions",
    "Model": "models.base",
    "ModelConfig": "models.base",
    "ModelContract": "models.contract.suite",
    "ModelError": "models.errors",
    "Shelf": "tasks.release.shelf",
    "TrainingOptions": "models.options",
    "UnknownItemsWarning": "models.estimator",
    "UserError": "tasks.runtime.errors",
    "create": "models.estimator",
    "evaluate": "models.comparison",
    "known": "models.registry",
    "load": "models.estimator",
    "open": "tasks.release.shelf:open_shelf",
    "save": "models.estimator",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("nightshelf")
    elif name in _HOMES:
        if name == "ModelContract" and not _has_pytest():
            raise AttributeError("nightshelf.ModelContract needs pytest, which is not installed")
        module, _, attribute = _HOMES[name].partition(":")
        value = _imported(module, attribute or name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *(["ModelContract"] if _has_pytest() else [])})


def _has_pytest() -> bool:
    from importlib.util import find_spec

    return find_spec("pytest") is not None


def _imported(module: str, attribute: str) -> object:
    """Return an attribute of a module; ImportError names a package that has the name of a room."""
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        here = Path(__file__).resolve().parent
        for room in ("models", "tasks", "sql"):
            loaded = sys.modules.get(room)
            paths = [*getattr(loaded, "__path__", ()), getattr(loaded, "__file__", None) or here]
            path = Path(paths[0]).resolve()
            if not path.is_relative_to(here):
                raise ImportError(
                    f"expected the package {room!r} of nightshelf in {here}, got {path}, which has the same "
                    "name and comes before it on sys.path: rename it"
                ) from error
        raise

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

from importlib import import_module
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
        module, _, attribute = _HOMES[name].partition(":")
        value = getattr(import_module(module), attribute or name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "ModelContract"})

"""What nightshelf.py exports, for type checkers: py.typed cannot mark a module, only a package (PEP 561)."""

from models.base import Model, ModelConfig
from models.comparison import evaluate
from models.contract.suite import ModelContract as ModelContract
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

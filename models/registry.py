"""The models by name, imported on first use: the built-in ones, and those of installed packages.

A package registers a model by an entry point in the group ``nightshelf.models`` of its
pyproject.toml: ``[project.entry-points."nightshelf.models"]`` and ``mine = "package.module:Mine"``.
A built-in name always means the built-in model; packages are only searched for other names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from models.base import Model, ModelConfig
from models.errors import ModelError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "nightshelf.models"
_MODELS = {
    "als": "models.factors.als:ALS",
    "blend": "models.hybrid.blend:Blend",
    "ease": "models.regression.ease:EASE",
    "funk_svd": "models.ratings.funk_svd:FunkSVD",
    "gf_cf": "models.filters.gf_cf:GFCF",
    "global_effects": "models.ratings.global_effects:GlobalEffects",
    "item_knn": "models.neighbours.item_knn:ItemKNN",
    "mult_vae": "models.autoencoders.mult_vae:MultVAE",
    "popularity": "models.baselines.popularity:Popularity",
    "pure_svd": "models.filters.pure_svd:PureSVD",
    "random": "models.baselines.random_order:RandomOrder",
    "recent_popularity": "models.baselines.recent_popularity:RecentPopularity",
    "rp3beta": "models.neighbours.random_walk:RP3Beta",
    "slim": "models.regression.slim:SLIM",
    "sparse_ease": "models.regression.sparse_ease:SparseEASE",
    "svd_pp": "models.ratings.svd_pp:SVDPlusPlus",
    "turbo_cf": "models.filters.turbo_cf:TurboCF",
    "user_knn": "models.neighbours.user_knn:UserKNN",
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED = ("best",)  # [train] serve = "best" does not name a model


def built_in() -> tuple[str, ...]:
    """Return the names of the built-in models, sorted."""
    return tuple(sorted(_MODELS))


def known() -> tuple[str, ...]:
    """Return the names of all models, sorted: the built-in ones and those of installed packages.

    Raises
    ------
    ModelError
        When a package registers a name that is taken, reserved or malformed.

    Examples
    --------
    >>> import nightshelf as ns
    >>> "als" in ns.known()
    True
    """
    return tuple(sorted({*_MODELS, *_registered()}))


def is_known(name: str) -> bool:
    """Tell whether a model has that name; packages are searched only if it is not built in."""
    return name in _MODELS or name in _registered()


def model_class(name: str) -> type[Model[Any]]:
    """Return the class of a model; ModelError for an unknown name or a package's broken model."""
    if name in _MODELS:
        module, _, attribute = _MODELS[name].partition(":")
        return cast("type[Model[Any]]", getattr(import_module(module), attribute))
    if name not in _registered():
        raise ModelError(f"unknown model {name[:100]!r} in [models]; known: {', '.join(known())}")
    return _loaded(_registered()[name])


def distribution(name: str) -> tuple[str, str] | None:
    """Return name and version of the package that registered a model; None if built in."""
    entry = None if name in _MODELS else _registered().get(name)
    return None if entry is None or entry.dist is None else (entry.dist.name, entry.dist.version)


def config(name: str, values: Mapping[str, Any]) -> ModelConfig:
    """Return the checked configuration of a model; ModelError names unknown keys and bad values."""
    kind = model_class(name).Config
    fields = ", ".join(sorted(kind.model_fields))
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        problems, unknown = [], False
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                problems.append(f"unknown key '{key}' in models.{name}")
                unknown = True
            else:
                problems.append(
                    f"bad value of models.{name}.{key}: {problem['msg']}, got {problem['input']!r}"
                )
        raise ModelError("; ".join([*problems, *[f"known: {fields}"] * unknown])) from error


def parts(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the models that a model with these settings combines, mostly none."""
    if model_class(name).Config.parts is ModelConfig.parts:
        return ()
    return config(name, values).parts


def create(name: str, settings: ModelConfig | Mapping[str, Any] | None = None) -> Model[Any]:
    """Return a new model of that name, given a configuration, a mapping or nothing (defaults)."""
    if not isinstance(settings, ModelConfig):
        settings = config(name, settings or {})
    return model_class(name)(settings)


@contextmanager
def naming_the_package(name: str) -> Iterator[None]:
    """Turn errors in a model of another package into a ModelError that names the package."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # other people's code can raise anything
        package = distribution(name)
        if package is None:
            raise
        line = str(error).partition("\n")[0]
        raise ModelError(
            f"the model {name} of {' '.join(package)} failed with {type(error).__name__}: {line}"
        ) from error


@cache
def _registered() -> Mapping[str, EntryPoint]:
    """Return the entry points of installed packages by model name."""
    from importlib.metadata import entry_points  # takes 50 ms, which built-in models save

    entries: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=_package):
        if entry.name in _MODELS:
            problem = "which is built in"
        elif entry.name in entries:
            problem = f"which {_package(entries[entry.name])} registers too"
        elif entry.name in _RESERVED or not _NAME.fullmatch(entry.name):
            problem = f"expected a name of a-z, 0-9 and _ that is not {', '.join(_RESERVED)}"
        else:
            entries[entry.name] = entry
            continue
        raise ModelError(f"{_package(entry)} registers the model {entry.name!r:.100}, {problem}")
    return entries


def _loaded(entry: EntryPoint) -> type[Model[Any]]:
    """Return the class of an entry point; ModelError names the package if it is not a model."""
    expected = f"expected a Model named {entry.name!r} at {entry.value}, as {_package(entry)} registers it"
    try:
        kind = entry.load()
    except (Exception, SystemExit) as error:  # other people's code can raise anything
        line = str(error).partition("\n")[0]
        raise ModelError(f"{expected}, got {type(error).__name__}: {line}") from error
    if not (isinstance(kind, type) and issubclass(kind, Model)):
        raise ModelError(f"{expected}, got {kind!r:.100}")
    name, settings = getattr(kind, "name", None), getattr(kind, "Config", None)
    if name != entry.name:
        raise ModelError(f"{expected}, got one named {name!r:.100}")
    if not (isinstance(settings, type) and issubclass(settings, ModelConfig)):
        raise ModelError(f"{expected}, got one whose Config is not a ModelConfig: {settings!r:.100}")
    return kind


def _package(entry: EntryPoint) -> str:
    return "a package without metadata" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"

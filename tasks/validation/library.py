"""Great Expectations, imported late and without what its pandas expectations do not need."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any, Final

ABSENT: Final = ("pyspark", "sqlalchemy")
"""Packages for data that it does not get here; it runs without them, as on a machine without."""
LATE: Final = ("altair", "jsonschema", "scipy.stats")
"""Modules of single expectations, loaded when one of their names is first used."""


@cache
def great_expectations() -> Any:
    """Return the library. Its first import takes a second and a half of processor time.

    It makes a million objects that stay, in which the collector would look for garbage.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings(), _without_collector(), _lean_imports():
        warnings.filterwarnings("ignore", "module 'sre_(constants|parse)' is deprecated", DeprecationWarning)
        import great_expectations
    return great_expectations


class _LeanFinder:
    """Finds no module of the ABSENT packages, and the LATE ones in a form that loads itself when used."""

    @staticmethod
    def find_spec(
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG004 - the protocol of finders
    ) -> ModuleSpec | None:
        """Return how to load a module; None leaves that to the other finders."""
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} is needed here", name=name)
        spec = PathFinder.find_spec(name, path) if name in LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def _lean_imports() -> Iterator[None]:
    """Use `_LeanFinder` inside the block, for modules that are not loaded yet."""
    sys.meta_path.insert(0, _LeanFinder)
    try:
        yield
    finally:
        sys.meta_path.remove(_LeanFinder)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Stop the cyclic garbage collector inside the block, if it runs."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

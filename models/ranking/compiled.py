"""Compilation with numba (import it late: numba takes half a second)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(signature: str | list[str]) -> Callable[[F], F]:
    """Compile for a signature when the module is imported, without the GIL.

    The result is cached beside the module or in the user's cache folder. Without either (a
    read-only installation and no home folder), every process compiles again. Functions that call
    each other belong in one file, because a change in another file does not invalidate the caller's
    cache.
    """

    def compile_(function: F) -> F:
        try:
            return cast("F", numba.njit(signature, nogil=True, cache=True)(function))
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return cast("F", numba.njit(signature, nogil=True)(function))

    return compile_
